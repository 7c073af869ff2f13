"""nono.sandbox.plan.namespaces_verdict: namespaces where they can be had, and a word where not."""

from __future__ import annotations

import pytest

from nono.policy.capability import CapabilitySet, Namespaces, NetworkMode, Scopes, Wsl2ProxyPolicy
from nono.sandbox.plan.enforcement import (
    OTHER_SOCKETS_GAP,
    UNIX_SOCKET_GAP,
    Enforcement,
    Refusal,
    hides_services,
)
from nono.sandbox.plan.facts import NamespaceFacts
from nono.sandbox.plan.namespaces_verdict import SHARED, with_namespaces, without_supervisor

HELD = Enforcement(rung=None, gaps=("one",))
REFUSED = NamespaceFacts(failed="unshare: EPERM", apparmor_restricts=True)


def wanting(namespaces: Namespaces, *, signal: bool = True) -> CapabilitySet:
    scopes = Scopes(signal=signal)
    return CapabilitySet(
        (), (), NetworkMode.ALLOWED, scopes, Wsl2ProxyPolicy.ERROR, "/", namespaces=namespaces
    )


@pytest.mark.parametrize("wanted", [Namespaces.AUTO, Namespaces.REQUIRE])
def test_they_are_taken_where_they_can_be_had(wanted: Namespaces) -> None:
    assert with_namespaces(HELD, wanting(wanted), None) == HELD._replace(namespaces=True)


def test_with_them_services_outside_are_hidden_where_nobody_judges_sockets() -> None:
    open_to_all = HELD._replace(gaps=("one", UNIX_SOCKET_GAP))
    hidden = with_namespaces(open_to_all, wanting(Namespaces.AUTO), None)
    assert isinstance(hidden, Enforcement)
    assert (hidden.gaps, hides_services(hidden)) == (("one", OTHER_SOCKETS_GAP), True)
    shared = with_namespaces(open_to_all, wanting(Namespaces.OFF), None)
    assert isinstance(shared, Enforcement)
    assert UNIX_SOCKET_GAP in shared.gaps
    judged = with_namespaces(HELD, wanting(Namespaces.AUTO), None)
    assert isinstance(judged, Enforcement)
    assert not hides_services(shared) and not hides_services(judged)  # noqa: PT018 - two that are alike


def test_off_says_what_is_shared() -> None:
    chosen = with_namespaces(HELD, wanting(Namespaces.OFF), None)
    shares = f"{SHARED} (namespaces off)."
    assert chosen == HELD._replace(shares=shares, shares_by="namespaces off", gaps=("one", shares))


def test_where_they_are_refused_the_run_warns_with_the_cause_with_the_remedy() -> None:
    chosen = with_namespaces(HELD, wanting(Namespaces.AUTO), REFUSED)
    assert isinstance(chosen, Enforcement)
    assert chosen.shares.startswith(SHARED)
    assert "AppArmor restricts unprivileged user namespaces (unshare: EPERM)" in chosen.shares
    assert "apparmor_restrict_unprivileged_userns=0" in chosen.shares
    assert chosen.gaps == ("one", chosen.shares)
    assert not chosen.namespaces
    assert not chosen.shares_by  # nobody chose it: it is a warning


def test_where_they_are_required_a_refusal_names_the_remedy() -> None:
    refusal = with_namespaces(HELD, wanting(Namespaces.REQUIRE), REFUSED)
    assert isinstance(refusal, Refusal)
    assert "AppArmor" in refusal.message
    assert refusal.hint is not None
    assert "apparmor_restrict_unprivileged_userns=0" in refusal.hint


def test_signals_to_everybody_do_without() -> None:
    chosen = with_namespaces(HELD, wanting(Namespaces.AUTO, signal=False), None)
    assert isinstance(chosen, Enforcement)
    assert not chosen.namespaces
    assert chosen.shares_by == 'signal_mode "allow_all"'
    assert isinstance(with_namespaces(HELD, wanting(Namespaces.REQUIRE, signal=False), None), Refusal)


def test_a_command_without_a_supervisor_shares_unless_that_is_forbidden() -> None:
    shares = f"{SHARED} (no supervisor)."
    shared = HELD._replace(shares=shares, shares_by="no supervisor", gaps=("one", shares))
    assert without_supervisor(HELD, Namespaces.AUTO) == shared
    assert isinstance(without_supervisor(HELD, Namespaces.REQUIRE), Refusal)
