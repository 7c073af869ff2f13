"""nono.sandbox.plan.private_view: what shows through never widens a grant."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nono.policy.capability import (
    Absent,
    Access,
    CapabilitySet,
    Denial,
    Grant,
    Mask,
    Masking,
    NetworkMode,
    Scopes,
    Wsl2ProxyPolicy,
)
from nono.policy.path_expansion import is_within
from nono.policy.socket_grant import SocketGrant, SocketScope
from nono.sandbox.plan.private_view import (
    DIRECTORIES,
    PrivateView,
    Shown,
    hidden_below,
    masked_in,
    own_grants,
    private_view,
    with_devices_held,
    with_directories,
    without_hosts,
)

DEVICES = ("/dev/pts", "/dev/mqueue", "/dev/ptmx")
NAMES = st.sampled_from(["a", "a-b", "ab", "b"])
PATHS = st.builds(
    lambda top, below: "/".join([top, *below]),
    st.sampled_from(["/tmp", "/tmp-of-mine", "/var/tmp", "/dev/shm", "/home/me", "/var"]),
    st.lists(NAMES, max_size=3),
)
GRANTS = st.lists(
    st.builds(
        Grant, PATHS, st.sampled_from([*Access]), st.just(True), st.sampled_from(["user", "group:g"]), PATHS
    )
)


def capabilities(*grants: Grant, sockets: tuple[SocketGrant, ...] = ()) -> CapabilitySet:
    return CapabilitySet(
        grants, (), NetworkMode.ALLOWED, Scopes(), Wsl2ProxyPolicy.ERROR, "/home/me/project", sockets=sockets
    )


def granted(path: str, access: Access = Access.READWRITE, source: str = "user") -> Grant:
    return Grant(path, access, True, source, path)


@given(GRANTS)
def test_no_grant_is_written_through_that_was_for_reading(grants: list[Grant]) -> None:
    view = private_view(capabilities(*grants), (), None)
    for shown in view.shown:
        assert any(shown.path != each and is_within(shown.path, each) for each in view.directories)
        below = [grant for grant in grants if is_within(shown.path, grant.path)]
        assert below
        assert shown.writes == any(grant.access.writes for grant in below if grant.path == shown.path) or any(
            grant.access.writes for grant in below
        )


@given(GRANTS)
def test_what_is_granted_below_a_private_directory_is_shown(grants: list[Grant]) -> None:
    view = private_view(capabilities(*grants), (), None)
    for grant in grants:
        for directory in view.directories:
            if grant.access.reads and grant.path != directory and is_within(grant.path, directory):
                above = [each for each in view.shown if is_within(grant.path, each.path)]
                assert any(each.writes >= grant.access.writes for each in above)


def test_a_grant_to_write_within_one_to_read_is_shown_beside_it() -> None:
    view = private_view(capabilities(granted("/tmp/a", Access.READ), granted("/tmp/a/b")), (), None)
    assert view.shown == (Shown("/tmp/a", False), Shown("/tmp/a/b", True))


def test_a_grant_to_read_within_one_to_write_is_not_shown_twice() -> None:
    view = private_view(capabilities(granted("/tmp/a"), granted("/tmp/a/b", Access.READ)), (), None)
    assert view.shown == (Shown("/tmp/a", True),)


@given(GRANTS)
def test_a_view_survives_its_message(grants: list[Grant]) -> None:
    view = private_view(capabilities(*grants), (), "/dev/pts/3")
    held = with_devices_held(view, grants)
    assert PrivateView.from_message(json.loads(json.dumps(held.to_message()))) == held
    assert PrivateView.from_message(json.loads(json.dumps(view.to_message()))) == view


@pytest.mark.parametrize(
    ("asked", "roots"),
    [
        pytest.param(capabilities(granted("/tmp", Access.READ)), (), id="granted itself"),
        pytest.param(capabilities(granted("/tmp/out", Access.WRITE)), (), id="write without read"),
        pytest.param(
            capabilities(sockets=(SocketGrant("/tmp/s", SocketScope.DIR_CHILDREN, False, "user", "/tmp/s"),)),
            (),
            id="the sockets of a directory",
        ),
        pytest.param(capabilities(), ("/tmp/home/.local/state/nono",), id="nono's own state"),
    ],
)
def test_a_directory_stays_shared_where_a_mount_cannot_hold_the_grant(
    asked: CapabilitySet, roots: tuple[str, ...]
) -> None:
    others = tuple(each for each in DIRECTORIES if each != "/tmp")
    assert private_view(asked, roots, None).directories == others


def test_a_directory_is_private_whatever_a_group_grants_of_it() -> None:
    view = private_view(capabilities(granted("/tmp", Access.WRITE, "group:g"), granted("/var")), (), None)
    assert view == PrivateView(DIRECTORIES, unchanged=("/dev",))


@pytest.mark.parametrize(
    ("path", "held"),
    [
        ("/dev/video0", ("/dev/null", "/dev/video0")),
        ("/dev/snd", ("/dev/null", "/dev/snd")),
        ("/dev/pts/4", ("/dev/null",)),
        ("/dev/shm", ("/dev/null",)),
        ("/devices", ("/dev/null",)),
        ("/dev", None),
        ("/", None),
    ],
)
def test_the_devices_that_can_be_opened_are_those_granted(path: str, held: tuple[str, ...] | None) -> None:
    grants = (granted("/dev/null", source="group:g"), granted(path, Access.READ))
    assert with_devices_held(PrivateView(), grants).devices == held
    groups = (granted("/dev/null"), granted(path, source="group:g"))
    assert with_devices_held(PrivateView(), groups).devices == (held or ("/dev/null",))


def test_nonos_own_state_is_unchanged_unless_a_grant_says_otherwise() -> None:
    roots = ("/home/me/.local/state/nono", "/home/me/.config/nono")
    assert private_view(capabilities(), roots, None).unchanged == (*roots, "/dev")
    lifted = capabilities(granted("/home/me/.config/nono/profiles"))
    assert private_view(lifted, roots, None).unchanged == (roots[0], "/dev")


def test_a_socket_is_shown_where_it_is() -> None:
    socket = SocketGrant("/tmp/s/agent", SocketScope.FILE, False, "user", "/tmp/s/agent")
    assert private_view(capabilities(sockets=(socket,)), (), None).shown == (Shown("/tmp/s/agent", False),)


def test_a_runtime_directory_is_the_commands_own_with_what_is_granted_of_it() -> None:
    runtime_dir = "/run/user/1000"
    file = granted(f"{runtime_dir}/doc", Access.READ)
    socket = SocketGrant(f"{runtime_dir}/gnupg", SocketScope.DIR_CHILDREN, False, "user", "gnupg")
    asked = capabilities(file, granted("/run", Access.READ, "group:g"), sockets=(socket,))
    view = private_view(asked._replace(runtime_dir=runtime_dir, closed_sockets=("/run/a.sock",)), (), None)
    assert view.directories == (*DIRECTORIES, runtime_dir)
    assert view.shown == (Shown(file.path, False), Shown(socket.path, False))
    assert view.closed == ("/run/a.sock",)
    own = {grant.path: grant.access for grant in own_grants(view, (), None, ())}
    assert own[runtime_dir] is Access.READWRITE


def test_a_runtime_directory_in_a_project_cannot_be_moved_away() -> None:
    inside = capabilities(granted("/home/me"))._replace(runtime_dir="/home/me/project/run")
    assert private_view(inside, (), None).pinned == ("/home/me/project",)


@pytest.mark.parametrize(
    ("denied", "left"),
    [
        ((), {"/proc", *DIRECTORIES, *DEVICES}),
        (("/proc",), {*DIRECTORIES, *DEVICES}),
        (("/proc/kcore",), {*DIRECTORIES, *DEVICES}),
        (("/tmp/project/.env",), {"/proc", *DIRECTORIES, *DEVICES}),
        (("/dev/mqueue",), {"/proc", *DIRECTORIES, "/dev/pts", "/dev/ptmx"}),
        (("/dev",), {"/proc", *DIRECTORIES} - {"/dev/shm"}),
    ],
)
def test_what_is_denied_is_not_granted_as_surroundings(denied: tuple[str, ...], left: set[str]) -> None:
    assert {grant.path for grant in own_grants(PrivateView(), (), "/dev/ptmx", denied)} == left


def test_without_namespaces_the_callers_terminals_are_granted_alone() -> None:
    grants = own_grants(None, ["/dev/pts/3"], "/dev/ptmx", ())
    assert [(grant.path, grant.access) for grant in grants] == [
        ("/proc", Access.READ),
        ("/dev/pts/3", Access.READWRITE),
    ]


@pytest.mark.parametrize(
    ("path", "grants", "where"),
    [
        ("/home/me/project", (), None),
        ("/tmp", (), None),
        ("/tmp/a", (), "/tmp"),
        ("/tmp/a", (granted("/tmp/a", Access.READ),), None),
        ("/tmp/a/b", (granted("/tmp/a", Access.READ),), None),
        ("/tmp/a", (granted("/tmp/a/b", Access.READ),), None),
        ("/tmp/a", (granted("/tmp/ab", Access.READ),), "/tmp"),
        ("/tmp/a", (granted("/tmp"),), None),
        ("/tmp/a", (granted("/tmp/a", Access.WRITE, "group:temporary"),), "/tmp"),
        ("/var/tmp/a", (granted("/tmp/a"),), "/var/tmp"),
        ("/proc", (), None),
        ("/proc/1", (), "/proc"),
        ("/run/user/1000", (), None),
        ("/run/user/1000/bus", (), "/run/user/1000"),
        ("/run/user/1000/doc/a", (granted("/run/user/1000/doc"),), None),
        ("/run/user/1001/bus", (), None),
    ],
)
def test_what_a_private_directory_hides_is_not_there(
    path: str, grants: tuple[Grant, ...], where: str | None
) -> None:
    hiding = capabilities(*grants)._replace(runtime_dir="/run/user/1000")
    assert hidden_below(path, hiding, ()) == where


@pytest.mark.parametrize(
    ("writable", "pinned"),
    [
        ("/home/me/project", ("/home/me/project/.git",)),
        ("/home/me", ("/home/me/project", "/home/me/project/.git")),
        ("/srv/elsewhere", ()),
    ],
)
def test_no_directory_above_unchanged_hooks_can_be_renamed(writable: str, pinned: tuple[str, ...]) -> None:
    hooks = "/home/me/project/.git/hooks"
    view = private_view(capabilities(granted(writable))._replace(hooks=hooks), (), None)
    assert (view.unchanged, view.pinned) == (("/dev", hooks), pinned)


@pytest.mark.parametrize(
    ("writable", "above", "itself"),
    [
        (granted("/tmp"), ("/tmp/tmux-7",), ("/tmp/tmux-7/default",)),  # shared
        (granted("/tmp", source="group:g"), (), ()),  # the command's own, where there is no such socket
        (granted("/tmp", Access.READ), (), ()),
        (granted("/tmp/tmux-7"), (), ("/tmp/tmux-7/default",)),
    ],
    ids=["shared", "private", "for reading", "the directory itself"],
)
def test_a_socket_of_a_service_is_not_moved_to_where_a_later_run_would_not_look(
    writable: Grant, above: tuple[str, ...], itself: tuple[str, ...]
) -> None:
    """What is mounted over one that is closed keeps that in place."""
    closing = capabilities(writable)._replace(closed_sockets=("/tmp/tmux-7/default",))
    assert private_view(closing, (), None).pinned == above
    fixing = capabilities(writable)._replace(fixed_sockets=("/tmp/tmux-7/default",))
    assert private_view(fixing, (), None).pinned == (*above, *itself)


def test_a_command_without_hooks_of_git_has_nothing_pinned() -> None:
    view = private_view(capabilities(granted("/home/me/project")), (), None)
    assert (view.unchanged, view.pinned) == (("/dev",), ())


@pytest.mark.parametrize(
    ("writable", "pinned"), [("/home/me/.codex", ()), ("/home/me", ("/home/me/.codex",)), ("/srv", ())]
)
def test_a_directory_that_is_added_cannot_be_moved_away(writable: str, pinned: tuple[str, ...]) -> None:
    before = private_view(capabilities(granted(writable)), (), None)
    view = with_directories(before, ["/home/me/.codex/control"], capabilities(granted(writable)))
    assert view == before._replace(
        directories=(*before.directories, "/home/me/.codex/control"), pinned=pinned
    )


@pytest.mark.parametrize(
    ("shown", "is_masked", "pinned"),
    [
        ((), False, ()),
        ((Shown("/tmp/else", True),), False, ()),
        ((Shown("/tmp/a/b", True),), True, ("/tmp/a", "/tmp/a/b")),
        ((Shown("/tmp/a/b/.env.d", True),), False, ("/tmp/a", "/tmp/a/b")),
    ],
)
def test_what_is_not_there_for_the_command_needs_no_mask(
    shown: tuple[Shown, ...], is_masked: bool, pinned: tuple[str, ...]
) -> None:
    """Nothing could be mounted there. The directories above what shows through stay where they are."""
    denials = [Denial(path, path, "group:g") for path in ("/home/me/.env", "/tmp/a/b/.env")]
    masks = tuple(Mask(denial, "file", 1, granted("/tmp")) for denial in denials)
    absent = tuple(Absent(denial, granted("/tmp"), is_creatable=True) for denial in denials)
    above = ("/home/me", "/tmp/a", "/tmp/a/b")
    found = masked_in(PrivateView(shown=shown), Masking(masks, above, absent, ("/tmp", *above)))
    assert found.masks == (masks if is_masked else masks[:1])
    assert found.absent == (absent if is_masked else absent[:1])
    assert found.pinned == ("/home/me", *pinned)
    assert found.watched == ("/tmp", "/home/me", *pinned)


@pytest.mark.parametrize(
    ("grants", "is_empty"),
    [
        ((), True),
        ((granted("/net/server/data"),), False),
        ((granted("/net/server/home/.gitconfig", source="group:g"),), False),
        ((granted("/"),), False),
        ((granted("/", source="group:g"),), True),
        ((granted("/network"),), True),
    ],
)
def test_hosts_are_asked_for_exports_only_where_some_are_granted(
    grants: tuple[Grant, ...], is_empty: bool
) -> None:
    found = without_hosts(PrivateView(closed=("/run/bus",)), ["/net"], capabilities(*grants), ["/state"])
    assert found.closed == (("/run/bus", "/net") if is_empty else ("/run/bus",))


def test_hosts_are_asked_for_exports_where_the_command_starts_or_nono_has_its_state() -> None:
    started = capabilities()._replace(workdir="/net/server/project")
    assert without_hosts(PrivateView(), ["/net"], started, ["/state"]).closed == ()
    assert without_hosts(PrivateView(), ["/net"], capabilities(), ["/net/server/home/state"]).closed == ()
    assert without_hosts(PrivateView(), ["/net"], capabilities(), ["/state"]).closed == ("/net",)
