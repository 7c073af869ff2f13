"""What is looked at once a command has ended is told, and so is a file system that does not answer."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from types import SimpleNamespace
from typing import cast

import pytest

from nono.audit.event import Event
from nono.launch.around import granted_repositories, slow_lookups
from nono.launch.around.left import agent_settings
from nono.launch.around.repository_watch import ALIKE_MAX, Change
from nono.launch.optional import agents_watched, repositories_watched
from nono.launch.prepare import Prepared
from nono.launch.session import Session
from nono.policy.path_expansion import PathContext

TIMEOUT_S = 10
STILL = ["still looking at /mnt: its file system does not answer"]


class Heard:
    """What a person is told, and a look that ends when they are."""

    def __init__(self) -> None:
        self.said = list[str]()
        self._is_said = threading.Event()

    def insist(self, text: str) -> None:
        self.said.append(text)
        self._is_said.set()

    def look(self, *_: object) -> Iterator[str]:
        assert self._is_said.wait(TIMEOUT_S)
        yield from ()


@pytest.fixture
def heard() -> Heard:
    return Heard()


def _prepared() -> Prepared:
    capabilities = SimpleNamespace(workdir="/mnt", grants=())
    resolved = SimpleNamespace(
        capabilities=capabilities, repository=None, path_context=PathContext("/", "/", "/", {"HOME": "/"})
    )
    return cast(Prepared, SimpleNamespace(capabilities=capabilities, resolved=resolved))


def test_the_end_says_that_it_waits_for_settings_of_agents(
    heard: Heard, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(agent_settings, "places_of", lambda *_: {"/mnt": ()})
    monkeypatch.setattr(agent_settings, "look", lambda _: agent_settings.Looked({}, {}))
    monkeypatch.setattr(agent_settings, "sentences", heard.look)
    with agents_watched(_prepared(), heard.insist):
        assert heard.said == []
        monkeypatch.setattr(slow_lookups, "PATIENCE_S", 0.1)
    assert heard.said == STILL


def test_the_end_says_that_it_waits_for_a_repository(heard: Heard, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(granted_repositories, "places_of", lambda *_: ["/mnt"])
    monkeypatch.setattr(
        granted_repositories,
        "Watched",
        lambda place, above: SimpleNamespace(place=place, repository=None, changes=heard.look),
    )
    with repositories_watched(cast(Session, None), _prepared(), heard.insist):
        assert heard.said == []
        monkeypatch.setattr(slow_lookups, "PATIENCE_S", 0.1)
    assert heard.said == STILL


@pytest.mark.parametrize("beyond", [0, 1, 500])
def test_no_number_of_settings_hides_a_hook(
    beyond: int, heard: Heard, monkeypatch: pytest.MonkeyPatch
) -> None:
    many = [Change(f"/mnt/{number}", "settings", ("core.editor",)) for number in range(ALIKE_MAX + beyond)]
    hook = Change("/mnt/.git/hooks", "hooks", ("pre-commit",))
    monkeypatch.setattr(granted_repositories, "places_of", lambda *_: ["/mnt"])
    monkeypatch.setattr(
        granted_repositories,
        "Watched",
        lambda place, above: SimpleNamespace(place=place, repository=None, changes=lambda: [*many, hook]),
    )
    recorded = list[Event]()
    session = cast(Session, SimpleNamespace(record=recorded.append))
    with repositories_watched(session, _prepared(), heard.insist):
        pass
    rest = [Change("/mnt", "unreadable")] if beyond else []
    told = [*many[:ALIKE_MAX], hook, *rest]
    assert heard.said == [change.sentence for change in told]
    assert recorded == [change.event for change in told]
