"""The stages of the end-to-end tests, each with an ordinary user of its own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from support.ladder.stage import Stage, stage


@pytest.fixture(scope="module")
def ladder_stage() -> Iterator[Stage]:
    """One for the tests of a module: nothing that a test leaves on it may matter to the next."""
    with stage() as prepared:
        yield prepared
