"""nono.policy.live.sockets: what is laid over the Unix sockets of the start."""

from __future__ import annotations

from nono.policy.capability import Access
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
