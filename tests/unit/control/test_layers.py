"""nono.control.layers: what is said of a rule that a run cannot take."""

from __future__ import annotations

import pytest

from nono.control.layers import NoFiles, NoHosts
from nono.policy.capability import Access, CapabilitySet, NetworkMode, Scopes, Wsl2ProxyPolicy
from nono.policy.live.rule import Decision, Wanted


@pytest.mark.parametrize(
    ("access", "options"),
    [
        (Access.READ, "--read-file /srv/a (--read for a directory)"),
        (Access.READWRITE, "--allow-file /srv/a (--allow for a directory)"),
    ],
)
def test_the_option_for_the_next_run_fits_a_file(access: Access, options: str) -> None:
    held = CapabilitySet((), (), NetworkMode.ALLOWED, Scopes(), Wsl2ProxyPolicy.ERROR, "/")
    refused = NoFiles(held).refusal(Wanted("allow", "path", "/srv/a", access, None))
    assert refused is not None
    assert options in str(refused.hint)


def test_no_option_is_named_for_a_host_that_an_open_network_reaches_already() -> None:
    refused = NoHosts(NetworkMode.ALLOWED).refusal(Wanted("allow", "host", "a.test", Access.READ, None))
    assert refused is not None
    assert "reaches every host already" in refused.reason
    assert refused.hint is None


@pytest.mark.parametrize(
    ("mode", "decision", "option"),
    [
        (NetworkMode.ALLOWED, "deny", "--deny-domain a.test"),
        (NetworkMode.BLOCKED, "allow", "--allow-domain a.test"),
        (NetworkMode.BLOCKED, "deny", "--deny-domain a.test"),
    ],
)
def test_the_option_for_the_next_run_is_named_for_a_host(
    mode: NetworkMode, decision: Decision, option: str
) -> None:
    refused = NoHosts(mode).refusal(Wanted(decision, "host", "a.test", Access.READ, None))
    assert refused is not None
    assert option in str(refused.hint)
