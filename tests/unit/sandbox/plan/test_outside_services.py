"""nono.sandbox.plan.outside_services: which services a run hides, and which a person has granted."""

from __future__ import annotations

import pytest

from nono.policy.capability import Access, CapabilitySet, Grant, NetworkMode, Scopes, Wsl2ProxyPolicy
from nono.policy.socket_grant import SocketGrant, SocketScope
from nono.sandbox.plan.outside_services import (
    Session,
    directories_of_keys,
    fixed,
    kept_from,
    temporary_sockets,
    usual_sockets,
)

RUN = "/run/user/1000"
DOCKER, LIBVIRT, BUS = "/run/docker.sock", "/run/libvirt", f"{RUN}/bus"
SESSION = Session(RUN, (DOCKER, LIBVIRT, BUS))


def capabilities(*grants: Grant, sockets: tuple[SocketGrant, ...] = ()) -> CapabilitySet:
    return CapabilitySet(
        grants, (), NetworkMode.ALLOWED, Scopes(), Wsl2ProxyPolicy.ERROR, "/home/me/project", sockets=sockets
    )


def files(path: str, source: str = "user") -> Grant:
    return Grant(path, Access.READ, True, source, path)


def socket(path: str, scope: SocketScope = SocketScope.FILE) -> SocketGrant:
    return SocketGrant(path, scope, False, "user", path)


@pytest.mark.parametrize(
    ("granted", "runtime_dir", "closed"),
    [
        (capabilities(), RUN, (DOCKER, LIBVIRT)),
        (capabilities(files(f"{RUN}/doc")), RUN, (DOCKER, LIBVIRT)),
        (capabilities(files("/run", "group:g")), RUN, (DOCKER, LIBVIRT)),
        (capabilities(files(LIBVIRT, "group:g")), RUN, (DOCKER, LIBVIRT)),
        (capabilities(files(RUN)), None, (DOCKER, LIBVIRT, BUS)),
        (capabilities(files("/run", "profile")), None, (DOCKER, LIBVIRT, BUS)),
        (capabilities(files(LIBVIRT)), RUN, (DOCKER,)),
        (capabilities(sockets=(socket(DOCKER),)), RUN, (LIBVIRT,)),
        (capabilities(sockets=(socket(f"{DOCKER}.other"),)), RUN, (DOCKER, LIBVIRT)),
        (capabilities(sockets=(socket(f"{LIBVIRT}/sock"),)), RUN, (DOCKER,)),
        (capabilities(sockets=(socket(BUS),)), RUN, (DOCKER, LIBVIRT)),
        (capabilities(sockets=(socket(RUN, SocketScope.DIR_CHILDREN),)), None, (DOCKER, LIBVIRT)),
        (capabilities(sockets=(socket("/run", SocketScope.DIR_SUBTREE),)), None, ()),
        (capabilities(sockets=(socket("/run", SocketScope.DIR_CHILDREN),)), RUN, ()),
    ],
)
def test_what_a_person_has_granted_is_not_hidden(
    granted: CapabilitySet, runtime_dir: str | None, closed: tuple[str, ...]
) -> None:
    kept = kept_from(SESSION, granted, ())
    assert (kept.runtime_dir, kept.closed_sockets) == (runtime_dir, closed)


def test_without_a_runtime_directory_there_is_none_of_the_commands_own() -> None:
    assert kept_from(Session(None, ()), capabilities(), ()) == capabilities()


@pytest.mark.parametrize(
    ("granted", "roots"),
    [
        (capabilities(sockets=(socket(f"{RUN}/app", SocketScope.DIR_CHILDREN),)), ()),
        (capabilities(files(f"{RUN}/out")._replace(access=Access.WRITE)), ()),
        (capabilities(), (f"{RUN}/state/nono",)),
    ],
)
def test_it_is_shared_where_what_lies_there_could_be_read_in_one_of_the_commands_own(
    granted: CapabilitySet, roots: tuple[str, ...]
) -> None:
    """Landlock allows all files of such a directory, so a mount must not show more than is granted."""
    kept = kept_from(SESSION, granted, roots)
    assert (kept.runtime_dir, kept.closed_sockets) == (None, (DOCKER, LIBVIRT, BUS))
    assert kept_from(SESSION, granted, ("/home/me/.local/state/nono",)).runtime_dir == (
        RUN if roots else None
    )


KEYS = "/home/me/.ssh"
MASTER = f"{KEYS}/cm"


@pytest.mark.parametrize(
    ("granted", "closed"),
    [
        (capabilities(), (KEYS,)),
        (capabilities(files("/home/me/project")), (KEYS,)),
        (capabilities(files(f"{KEYS}/known_hosts", "group:g")), (MASTER,)),
        (capabilities(files("/home/me")), (MASTER,)),
        (capabilities(sockets=(socket(f"{KEYS}/other"),)), (MASTER,)),
        (capabilities()._replace(workdir="/home/me"), (KEYS,)),
        (capabilities()._replace(workdir=f"{KEYS}/config.d"), (MASTER,)),
        (capabilities(sockets=(socket(MASTER),)), ()),
    ],
)
def test_a_directory_of_keys_is_hidden_whole_if_nothing_in_it_is_granted(
    granted: CapabilitySet, closed: tuple[str, ...]
) -> None:
    assert kept_from(Session(None, (MASTER,), (KEYS,)), granted, ()).closed_sockets == closed


def test_keys_lie_in_the_home_and_where_a_variable_says() -> None:
    found = [*directories_of_keys("/home/me", {"GNUPGHOME": "/keys"})]
    assert found == [KEYS, "/home/me/.gnupg", "/keys"]
    assert [*directories_of_keys("/home/me", {"GNUPGHOME": "keys"})] == found[:2]


@pytest.mark.parametrize(
    ("runtime_dir", "found"), [(RUN, (RUN, DOCKER, LIBVIRT, BUS)), (None, (DOCKER, LIBVIRT, BUS))]
)
def test_all_of_them_are_fixed_where_connects_are_judged(
    runtime_dir: str | None, found: tuple[str, ...]
) -> None:
    kept = fixed(SESSION._replace(runtime_dir=runtime_dir), capabilities(files("/run")))
    assert (kept.fixed_sockets, kept.closed_sockets, kept.runtime_dir) == (found, (), None)


def usual(runtime_dir: str | None, environ: dict[str, str]) -> list[str]:
    found = usual_sockets("/home/me", runtime_dir, environ)
    return [f"{directory}/{each}" for directory, below in found for each in below]


def test_the_usual_sockets_are_absolute_and_stand_once() -> None:
    paths = usual(RUN, {"XDG_CACHE_HOME": "/home/me/.cache", "GNUPGHOME": "keys"})
    of_system = {DOCKER, LIBVIRT, "/run/dbus/system_bus_socket", "/run/systemd/private", "/run/WSL"}
    of_home = {"/home/me/.ssh/agent", "/home/me/.gnupg/S.*", "/home/me/.docker/run/docker.sock"}
    of_home |= {"/home/me/.cache/git/credential"}
    of_session = {BUS, *(f"{RUN}/{name}" for name in ("systemd", "podman", "gnupg", "keyring", "emacs"))}
    assert of_system | of_home | of_session <= {*paths}
    assert len(paths) == len({*paths})
    assert all(path.startswith("/") for path in paths)
    assert not any(path.startswith(RUN) for path in usual(None, {}))


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("XDG_CACHE_HOME", "git/credential"),
        ("XDG_CONFIG_HOME", "Code/*.sock"),
        ("XDG_STATE_HOME", "watchman/*/sock"),
        ("TMUX_TMPDIR", "tmux-*/*"),
        ("SCREENDIR", "*"),
        ("GNUPGHOME", "S.*"),
        ("PM2_HOME", "*.sock"),
    ],
)
def test_sockets_are_found_where_a_variable_has_moved_them(name: str, found: str) -> None:
    moved = {*usual(None, {name: "/moved"})} - {*usual(None, {})}
    assert f"/moved/{found}" in moved


def test_windows_are_found_in_a_shared_directory_of_temporary_files() -> None:
    found = dict(temporary_sockets(["/tmp", "/run/screen"]))
    assert "tmux-*/*" in found["/tmp"]
    assert found["/run/screen"] == ("*/*",)
