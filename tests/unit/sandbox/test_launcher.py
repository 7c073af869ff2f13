"""What the launcher is asked to find out before the policy is known."""

from __future__ import annotations

from itertools import product

import pytest

from nono.sandbox.launcher import Probe

PROBES = [Probe(*each) for each in product((False, True), repeat=2)]


@pytest.mark.parametrize("made", PROBES)
def test_a_probe_stands_for_those_that_ask_for_no_more(made: Probe) -> None:
    """Of a network that was not probed, the facts would say that nothing holds it."""
    assert [each for each in PROBES if made.covers(each)] == [
        each for each in PROBES if all(has or not asks for has, asks in zip(made, each, strict=True))
    ]
