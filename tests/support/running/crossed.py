"""Try two things against each other: each value of both in `make test`, each pair in `make test-long`."""

from __future__ import annotations

from collections.abc import Mapping

import pytest


def crossed(
    first: str, firsts: Mapping[str, object], second: str, seconds: Mapping[str, object]
) -> pytest.MarkDecorator:
    """Parametrize with all pairs of two arguments' values, which are given by their names in test IDs.

    It is for claims that hold for one value whatever the other is. Pairs beyond those that it takes to have
    each value once are marked slow, so the Makefile has to name the file for test-long.
    """
    ours, theirs = list(firsts.items()), list(seconds.items())
    longer = max(len(ours), len(theirs))
    daily = {(number % len(ours), number % len(theirs)) for number in range(longer)}
    pairs = [
        pytest.param(
            mine, other, id=f"{name}-{other_name}", marks=() if (row, column) in daily else pytest.mark.slow
        )
        for row, (name, mine) in enumerate(ours)
        for column, (other_name, other) in enumerate(theirs)
    ]
    return pytest.mark.parametrize((first, second), pairs)
