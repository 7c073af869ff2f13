"""The masks from which rules say "any value but these"."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nono.kernel.filters.bpf import NOTIFY, PROGRAMS, TCP_ONLY
from nono.kernel.filters.rules import Masked, Program, other_values


@given(
    allowed=st.sets(st.integers(0, (1 << 32) - 1) | st.integers(0, 20), min_size=1, max_size=5),
    value=st.integers(0, (1 << 32) - 1) | st.integers(0, 20),
)
def test_exactly_one_mask_matches_a_value_that_is_not_allowed(allowed: set[int], value: int) -> None:
    matching = [other for other in other_values(0, allowed, 32) if value & other.mask == other.value]
    assert len(matching) == (0 if value in allowed else 1)


@pytest.mark.parametrize("bits", [1, 3, 4])
def test_the_masks_cover_every_value_of_a_small_register(bits: int) -> None:
    values = range(1 << bits)
    for allowed in values:
        others = other_values(0, (allowed,), bits)
        missed = [v for v in values if not any(v & other.mask == other.value for other in others)]
        assert missed == [allowed]


@pytest.mark.parametrize("allowed", [(), (16,), (-1,)], ids=["none", "too-wide", "negative"])
def test_values_that_no_mask_can_spare_are_an_error(allowed: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="4 bits"):
        other_values(0, allowed, 4)


def test_the_notify_program_has_every_rule_of_tcp_only() -> None:
    assert set(TCP_ONLY.rules) < set(NOTIFY.rules)


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.name)
def test_no_comparison_asks_for_a_bit_outside_its_mask(program: Program) -> None:
    for rule in program.rules:
        for comparison in rule.comparisons:
            if isinstance(comparison, Masked):  # else it could never match, and the rule would refuse nothing
                assert comparison.value & ~comparison.mask == 0, rule
