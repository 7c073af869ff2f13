"""What nono says stands in the documents, so that its first words find what helps."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from support.help.mistakes import mistakes

ROOT = Path(__file__).parents[4]
PAGE = (ROOT / "docs/troubleshooting.md").read_text(encoding="utf-8")
NOT_AN_ERROR = {"", "connect-helper"}  # help, and the usage of what nobody types


def _hook() -> ModuleType:
    """Return the module that writes the page, which is part of no package."""
    spec = importlib.util.spec_from_file_location("messages", ROOT / "docs/hooks/messages.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def hook() -> ModuleType:
    return _hook()


@pytest.fixture(scope="module")
def listed(hook: ModuleType) -> list[Any]:
    found: list[Any] = hook.messages()
    return found


def test_every_answer_to_a_mistake_is_on_the_page(listed: list[Any]) -> None:
    lines = {each.typed: first_line(each.answer) for each in mistakes() if each.typed not in NOT_AN_ERROR}
    missing = [line for line in lines.values() if not any(each.pattern.match(line) for each in listed)]
    assert missing == []


def first_line(answer: str) -> str:
    """Return the message of an answer, whose first line is the exit code."""
    return answer.splitlines()[1].removeprefix("nono: ")


def test_a_line_that_nono_does_not_say_is_not_on_the_page(listed: list[Any]) -> None:
    assert [each.text for each in listed if each.pattern.match("all is well with your run")] == []


def test_what_troubleshooting_explains_is_said_by_the_program(listed: list[Any]) -> None:
    """A table by message is of no use once the message has other words."""
    table = PAGE.partition("## From nono")[2]
    rows = re.findall(r"^\| (`.*?`) \|", table, re.MULTILINE)
    explained = [words for row in rows for words in re.findall(r"`(.*?)`", row)]
    texts = "\n".join((*(each.text for each in listed), _sources()))
    assert len(explained) > 30
    assert [words for words in explained if not _is_said(words, texts)] == []


def _is_said(words: str, texts: str) -> bool:
    """Check that all parts of the words, between what is filled in, stand in the texts."""
    parts = (part.strip(" :'.") for part in re.split(r"\bFILE(?:: it)?\b", words))
    return all(part in texts for part in parts if part)


def _sources() -> str:
    """Return the code that puts messages together, where the list has a gap."""
    rooms = ("approval", "policy", "launch", "cli/instructions", "private_dir.py", "sandbox/plan")
    paths = (path for room in rooms for path in _files(ROOT / "nono" / room))
    return "\n".join(path.read_text(encoding="utf-8") for path in paths)


def _files(place: Path) -> list[Path]:
    return [place] if place.is_file() else sorted(place.rglob("*.py"))


def test_the_page_has_a_row_for_each_message(hook: ModuleType, listed: list[Any]) -> None:
    rows = [line for line in hook.page().splitlines() if line.startswith("| ")]
    assert len(rows) == len(listed) + 1
    assert {row.replace("\\|", "").count("|") for row in rows} == {4}
