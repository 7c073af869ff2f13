"""nono.policy.live.sockets: what is laid over the Unix sockets of the start."""

from __future__ import annotations

import pytest

from nono.policy.capability import Access, Grant
from nono.policy.files.denials import DenyRules
from nono.policy.files.unix_sockets import UnixSocketRules
from nono.policy.live.rule import Decision, LiveRule
from nono.policy.live.sockets import LiveSockets
from nono.policy.socket_grant import SocketGrant, SocketScope

PATH = "/run/app.sock"
GRANTED = UnixSocketRules(
    grants=(SocketGrant(PATH, SocketScope.FILE, True, "user", PATH),),
    deny_rules=DenyRules(bypassed=("/run",)),
    state_roots=("/home/a/.local/state/nono",),
)


def rule(decision: Decision, target: str, access: Access = Access.READ) -> LiveRule:
    return LiveRule("0", decision, "socket", target, access, "a person", 0, None)


def allows(live: LiveSockets, path: str, *, binds: bool = False) -> bool:
    return live.judge(path, binds=binds).is_allowed


def test_an_allowed_socket_is_connected_to() -> None:
    live = LiveSockets(UnixSocketRules())
    assert not allows(live, PATH)
    live.put([rule("allow", PATH)])
    assert allows(live, PATH)
    assert not allows(live, "/run/other.sock")
    live.put([])
    assert not allows(live, PATH)


def test_only_a_rule_for_writing_lets_a_socket_be_made() -> None:
    live = LiveSockets(UnixSocketRules())
    live.put([rule("allow", PATH)])
    assert not allows(live, PATH, binds=True)
    live.put([rule("allow", PATH, Access.READWRITE)])
    assert allows(live, PATH, binds=True)


def test_a_denial_beats_the_grant_and_the_bypass_of_the_start() -> None:
    live = LiveSockets(GRANTED)
    assert allows(live, PATH, binds=True)
    live.put([rule("deny", "/run"), rule("allow", PATH)])
    assert not allows(live, PATH)
    assert not allows(live, PATH, binds=True)


def test_no_rule_reaches_the_state_of_nono() -> None:
    path = "/home/a/.local/state/nono/sessions/0.sock"
    live = LiveSockets(GRANTED)
    live.put([rule("allow", path)])
    assert not allows(live, path)


WRITTEN = (Grant("/p", Access.READWRITE, True, "user", "/p"), Grant("/r", Access.READ, True, "user", "/r"))


def granted(path: str, scope: SocketScope, *, binds: bool = False) -> SocketGrant:
    return SocketGrant(path, scope, binds, "user", path)


@pytest.mark.parametrize(
    ("denied", "other", "is_evaded"),
    [
        ("/p/a.sock", granted("/p", SocketScope.DIR_CHILDREN), True),
        ("/p/a.sock", granted("/p/b.sock", SocketScope.FILE), True),
        ("/p/sub", granted("/p", SocketScope.DIR_SUBTREE), True),
        ("/p/a.sock", granted("/", SocketScope.DIR_SUBTREE), True),
        ("/p", granted("/", SocketScope.DIR_SUBTREE), True),
        ("/q/a.sock", granted("/q", SocketScope.DIR_CHILDREN, binds=True), True),
        ("/p/a.sock", granted("/p/a.sock", SocketScope.FILE), False),
        ("/p/sub", granted("/p/sub", SocketScope.DIR_CHILDREN), False),
        ("/p/a.sock", granted("/q/b.sock", SocketScope.FILE), False),
        ("/q/a.sock", granted("/q", SocketScope.DIR_CHILDREN), False),
        ("/p/a.sock", granted("/q", SocketScope.DIR_SUBTREE), False),
        ("/r/a.sock", granted("/r", SocketScope.DIR_CHILDREN), False),
    ],
)
def test_a_denial_is_known_to_be_evaded_by_a_rename(denied: str, other: SocketGrant, is_evaded: bool) -> None:
    live = LiveSockets(UnixSocketRules(grants=(other,), written=WRITTEN))
    assert live.by_another_name(denied) == (other if is_evaded else None)


@pytest.mark.parametrize("decision", ["allow", "deny"])
def test_only_an_allowed_socket_is_one_to_which_a_rename_would_lead(decision: Decision) -> None:
    live = LiveSockets(UnixSocketRules(written=WRITTEN))
    other = f"{WRITTEN[0].path}/other.sock"
    live.put([rule(decision, other)])
    found = live.by_another_name(f"{WRITTEN[0].path}/app.sock")
    assert (found and found.path) == (other if decision == "allow" else None)
