"""The stages of the end-to-end tests, each with an ordinary user of its own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from support.clients.intercepted import stage_of
from support.clients.run import Stage as ClientStage
from support.ladder.launch import Place, place
from support.ladder.stage import Stage, stage
from support.nono_run import NonoRun, nono_run


@pytest.fixture
def sandbox() -> Iterator[NonoRun]:
    """Yield one for each test, removed with all it has left. A module may have its own."""
    with nono_run() as runner:
        yield runner


@pytest.fixture
def here() -> Iterator[Place]:
    """Yield a place on which a test leaves neither a file nor a process."""
    with place() as prepared:
        yield prepared


@pytest.fixture(scope="module")
def made(request: pytest.FixtureRequest) -> Iterator[ClientStage]:
    """Yield the stage of the user that as_every_user or as_ordinary_user names."""
    with stage_of(request.param) as prepared:
        yield prepared


@pytest.fixture(scope="module")
def ladder_stage() -> Iterator[Stage]:
    """Yield one stage for the tests of a module: nothing that a test leaves on it may matter to the next."""
    with stage() as prepared:
        yield prepared
