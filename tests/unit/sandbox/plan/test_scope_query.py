"""nono.sandbox.plan.scope_query: what is said of scopes is what the plan holds."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nono.kernel.uapi import landlock as uapi_landlock
from nono.policy.capability import CapabilitySet, NetworkMode, SandboxPolicy, Scopes, Wsl2ProxyPolicy
from nono.sandbox.plan.enforcement import Enforcement, NotifyProgram, Refusal, Rung
from nono.sandbox.plan.facts import HostFacts, Listener
from nono.sandbox.plan.ladder import choose_enforcement
from nono.sandbox.plan.plan import draw
from nono.sandbox.plan.scope_query import ABSTRACT_UNIX_SOCKET, SCOPES, SIGNAL, scope_answer

BITS = {
    SIGNAL: uapi_landlock.LANDLOCK_SCOPE_SIGNAL,
    ABSTRACT_UNIX_SOCKET: uapi_landlock.LANDLOCK_SCOPE_ABSTRACT_UNIX_SOCKET,
}


def capabilities(**changed: object) -> CapabilitySet:
    base = CapabilitySet((), (), NetworkMode.ALLOWED, Scopes(), Wsl2ProxyPolicy.ERROR, "/")
    return base._replace(**changed)  # type: ignore[arg-type]  # the test's own words


def test_what_landlock_holds_is_enforced() -> None:
    assert scope_answer(SIGNAL, capabilities(), Enforcement(None), 6).as_json() == {
        "status": "scope",
        "scope": "signal",
        "state": "enforced",
        "requested": True,
        "enforced": True,
        "supported": True,
        "kernel_abi": "V6",
        "details": "by Landlock",
    }


@pytest.mark.parametrize(
    ("scopes", "chosen", "abi", "state", "enforced"),
    [
        (Scopes(), Enforcement(None), 5, "unsupported", False),
        (Scopes(abstract_unix_socket=False), Enforcement(None), 6, "not_requested", False),
        (Scopes(abstract_unix_socket=False), Enforcement(Rung.NETNS), 6, "not_requested", True),
        (Scopes(), Enforcement(Rung.NETNS), 5, "enforced", True),
        (Scopes(), Enforcement(Rung.NOTIFY), 5, "enforced", True),
        (Scopes(), Enforcement(None, sockets=NotifyProgram.UNIX_PATHS), 5, "enforced", True),
        (Scopes(), Enforcement(None, sockets=NotifyProgram.PORTS), 5, "unsupported", False),
        (Scopes(), Refusal("no Landlock"), 0, "unavailable", False),
    ],
)
def test_abstract_sockets_are_held_by_more_than_landlock(
    scopes: Scopes, chosen: Enforcement | Refusal, abi: int, state: str, enforced: bool
) -> None:
    answer = scope_answer(ABSTRACT_UNIX_SOCKET, capabilities(scopes=scopes), chosen, abi)
    assert (answer.state, answer.enforced) == (state, enforced)
    assert answer.is_open == (answer.requested and not enforced)


@given(
    st.builds(Scopes, st.booleans(), st.booleans()),
    st.sampled_from([NetworkMode.ALLOWED, NetworkMode.PROXY]),
    st.sampled_from([SandboxPolicy.AUTO, SandboxPolicy.NETNS, SandboxPolicy.LANDLOCK]),
    st.sampled_from([Listener.AVAILABLE, Listener.BUSY]),
    st.integers(0, 7),
)
def test_whatever_the_plan_scopes_is_said_to_be_held(
    scopes: Scopes, network: NetworkMode, policy: SandboxPolicy, listener: Listener, abi: int
) -> None:
    wanted = capabilities(scopes=scopes, network=network, sandbox_policy=policy)
    facts = HostFacts("6.12.0", abi, listener, "", network_namespace=True, is_wsl2=False)
    chosen = choose_enforcement(wanted, facts)
    answers = {scope: scope_answer(scope, wanted, chosen, abi) for scope in SCOPES}
    if isinstance(chosen, Refusal):
        assert {answer.state for answer in answers.values()} == {"unavailable"}
        return
    plan = draw(wanted, facts, chosen, proxy_port=4000 if chosen.rung is not None else None)
    for scope, answer in answers.items():
        is_scoped = bool(plan.scoped & BITS[scope])
        assert is_scoped <= answer.enforced
        if scope == SIGNAL or (plan.listener is None and not plan.private_network):
            assert is_scoped == answer.enforced
