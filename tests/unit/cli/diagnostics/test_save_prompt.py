"""What is offered to be saved reads as what would be saved."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from nono.cli.diagnostics import save_prompt
from nono.cli.diagnostics.next_command import OptionsOfRun
from nono.policy.why.saving import additions

NOTHING = OptionsOfRun((), (), (), ())
RIGHT_TO_LEFT, BLANK, ACCENT = "\u05d0", "\u3164", "e\u0301"


class Person:
    """Reads everything, and gives the same answer to every question."""

    def __init__(self, answer: str) -> None:
        self.shown: list[str] = []
        self._answer = answer

    def say(self, lines: Iterable[str]) -> None:
        self.shown += lines

    def ask(self, question: str) -> str | None:
        self.shown.append(question)
        return self._answer


def shown(flag: str, directory: Path, answer: str = "", more: Sequence[str] = ()) -> list[str]:
    person = Person(answer)

    @contextmanager
    def asks() -> Iterator[Person]:
        yield person

    environ = {"HOME": str(directory)}
    save_prompt.offer(
        additions([flag, *more], str(directory)), None, "sh", OptionsOfRun((), (), (), ()), environ, asks
    )
    return person.shown


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("notes", "notes"),
        ("my notes", "my notes"),
        (
            "x" + " " * 4 + "2. network.allow_domain: a.example",
            r"x \x20\x20\x202. network.allow_domain: a.example",
        ),
        (f"x{RIGHT_TO_LEFT}y", r"x\u05d0y"),
        (f"x{BLANK}", r"x\u3164"),
        (ACCENT, r"e\u0301"),
    ],
    ids=["a word", "two words", "an indented line", "right to left", "a blank letter", "a combining mark"],
)
def test_a_name_is_offered_as_nobody_can_misread_it(name: str, said: str, tmp_path: Path) -> None:
    lines = shown(f"--read '/srv/{name}'", tmp_path)
    assert lines[1] == f"    1. filesystem.read: /srv/{said}"


@pytest.mark.parametrize(("columns", "offered"), [(30, 20), (90, 10), (250, 5)])
def test_no_more_is_offered_than_can_be_seen_at_once(columns: int, offered: int, tmp_path: Path) -> None:
    more = [f"--read /srv/{number:0{columns}}" for number in range(30)]
    lines = shown("--read /srv/first", tmp_path, more=more)
    assert lines[1] == "    1. filesystem.read: /srv/first"
    assert sum(". filesystem.read: " in line for line in lines) == offered
    assert shown(f"--read /srv/{'x' * 1600}", tmp_path) == []


def test_a_protected_path_is_confirmed_as_nobody_can_misread_it(tmp_path: Path) -> None:
    path = f"'{tmp_path}/.ssh/{BLANK}'"
    lines = shown(f"--read {path} --bypass-protection {path}", tmp_path, "g")
    assert lines[1].endswith("/.ssh/\\u3164   (protected)")
    assert "/.ssh/\\u3164 is protected" in lines[3]
