"""nono.sandbox.plan.outside_services: which services a run hides, and which a person has granted."""

from __future__ import annotations

from fnmatch import fnmatchcase

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


def test_nothing_is_closed_twice_beside_a_runtime_directory() -> None:
    """What lies in a hidden directory is not there to be mounted over."""
    kept = kept_from(Session(RUN, (MASTER, BUS, DOCKER), (KEYS,)), capabilities(), ())
    assert (kept.runtime_dir, kept.closed_sockets) == (RUN, (KEYS, DOCKER))


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


# Where programs listen, each by a name that it has given to a socket. One that ends with "/" is a directory
# in which none need be there yet.
OF_SYSTEM = """
/run/dbus/system_bus_socket /run/systemd/private /run/docker.sock /run/podman/podman.sock
/run/containerd/containerd.sock /run/crio/crio.sock /run/buildkit/buildkitd.sock /run/libvirt/virtqemud-sock
/run/incus/unix.socket /run/multipass_socket /run/snapd.socket /run/watchman/me-state/sock /run/WSL/8_interop
/var/lib/incus/unix.socket /var/lib/lxd/unix.socket /var/snap/lxd/common/lxd/unix.socket
/var/snap/multipass/common/multipass_socket /usr/local/var/run/watchman/me-state/sock
/mnt/wslg/runtime-dir/wayland-0
"""
OF_HOME = """
.docker/desktop/docker.sock .docker/run/docker.sock .colima/docker.sock .colima/default/docker.sock
.colima/_lima/colima/ssh.sock .lima/default/sock/docker.sock .lima/default/ssh.sock .rd/docker.sock
.screen/4711.pts-0.host .ssh/agent/ .ssh/me@host:22 .ssh/cm/0f .1password/agent.sock .bitwarden-ssh-agent.sock
.var/app/com.bitwarden.desktop/data/.bitwarden-ssh-agent.sock
snap/bitwarden/current/.bitwarden-ssh-agent.sock .git-credential-cache/socket .gnupg/S.gpg-agent.ssh
.emacs.d/server/server .pm2/rpc.sock .mutagen/daemon/daemon.sock .sbt/1.0/server/0f/sock .urxvt/urxvtd-host
.abduco/work@host .ansible/cp/0f
.cache/git/credential/socket .cache/JetBrains/PyCharm2026.1/.port .cache/nvim/server.pipe .cache/ibus/dbus-n6X
.cache/at-spi/bus_0 .cache/keyring-QPDK12/control .cache/gcr/ssh .cache/libvirt/libvirt-sock
.cache/qtile/qtilesocket.:0 .local/state/watchman/me-state/sock
.config/colima/default/docker.sock .config/Antigravity/1.9-main.sock .config/Code/1.9-main.sock
.config/Cursor/1.9-main.sock .config/Kiro/1.9-main.sock .config/Positron/1.9-main.sock
.config/Trae/1.9-main.sock .config/VSCodium/1.9-main.sock .config/Windsurf/1.9-main.sock
.local/share/containers/podman/machine/qemu/podman.sock .local/share/wezterm/sock
.local/share/zed/zed-stable.sock
"""
OF_EDITORS = (".config/Code - Insiders/1.9-main.sock", ".config/Code - OSS/1.9-main.sock")
OF_SESSION = """
bus at-spi/bus_0 systemd/private docker.sock podman/podman.sock buildkit/buildkitd.sock
containerd-rootless/api.sock libvirt/virtqemud-sock snapd-session-agent.socket gnupg/S.gpg-agent
keyring/control gcr/ssh openssh_agent ssh-agent.socket rbw/socket emacs/server nvim.4711.0
vscode-ipc-0f.sock tmux-1000/default zellij/0.43.1/work wezterm/gui-sock-4711 Alacritty-:0-4711.sock
sway-ipc.1000.4711.sock i3/ipc-socket.4711 hypr/0f_1/.socket.sock niri.wayland-1.4711.sock
foot-wayland-0.sock kakoune/4711 lf.me.sock shpool/shpool.socket
"""
OF_TEMPORARY = """
tmux-1000/default screens/S-me/4711.pts-0.host emacs1000/server nvim.me/QxYz01/nvim.4711.0 vscode-ipc-0f.sock
zellij-1000/0.43.1/work ssh-XXXXyZ/agent.4711 i3-me.AbCdEf/ipc-socket.4711 dbus-kq5zkCoDxQ
at-spi2-AB12CD/socket keyring-QPDK12/control foot.sock kakoune-me/4711 lf.me.sock
podman-run-1000/podman/podman.sock socket-ts.1000 tmate-1000/AbCdEf
"""
OF_VARIABLES = {
    "PM2_HOME": "/of/PM2_HOME/rpc.sock",
    "TMUX_TMPDIR": "/of/TMUX_TMPDIR/tmux-1000/default",
    "SCREENDIR": "/of/SCREENDIR/4711.pts-0.host",
    "ZELLIJ_SOCKET_DIR": "/of/ZELLIJ_SOCKET_DIR/0.43.1/work",
    "GNUPGHOME": "/of/GNUPGHOME/S.gpg-agent",
}
LISTENING = (
    *OF_SYSTEM.split(),
    *(f"/home/me/{each}" for each in (*OF_HOME.split(), *OF_EDITORS)),
    *(f"{RUN}/{each}" for each in OF_SESSION.split()),
    *(f"/tmp/{each}" for each in OF_TEMPORARY.split()),
    *OF_VARIABLES.values(),
    "/run/screen/S-me/4711.pts-0.host",
)


def places() -> list[str]:
    """Return the patterns of all usual places."""
    environ = {name: f"/of/{name}" for name in OF_VARIABLES}
    found = (*usual_sockets("/home/me", RUN, environ), *temporary_sockets(["/tmp", "/run/screen"]))
    return [f"{directory}/{each}" for directory, below in found for each in below]


def hides(pattern: str, path: str) -> bool:
    """Return True if a socket is hidden: a directory hides all in it, "*" in the last name sockets alone."""
    parts, names = pattern.split("/"), path.split("/")
    is_like = len(names) >= len(parts) and all(map(fnmatchcase, names, parts))
    return is_like and ("*" not in parts[-1] or (len(names) == len(parts) and bool(names[-1])))


@pytest.mark.parametrize("path", LISTENING)
def test_what_acts_outside_is_hidden_where_its_program_listens(path: str) -> None:
    assert any(hides(each, path) for each in places())


def test_each_usual_place_is_that_of_a_program_which_no_other_place_hides() -> None:
    """So the list above leaves out none, and a place that is taken away is noticed."""
    hiding = ([each for each in places() if hides(each, path)] for path in LISTENING)
    assert {*places()} == {each for found in hiding if len(found) == 1 for each in found}
