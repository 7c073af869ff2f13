"""nono.cli.text.rollback_text: what a person reads of names that a command chose."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import pytest

from nono.cli.text import rollback_text
from nono.undo.model.changes import Change, ChangeType
from nono.undo.model.entry import FILE, LINK, Entry
from nono.undo.model.restore_plan import Refused, Step

NAME = "a\n  - /etc/passwd\x1b[2K\u2028\t\udcff"
SHOWN = r"/tree/a\n  - /etc/passwd\x1b[2K\u2028\t\xff"
MADE = Entry(FILE, 0o644, 0, 0, 2, 0, 0, 1, 1, "0" * 64)
CHANGE = Change("/tree", NAME, ChangeType.CREATED, None, MADE)


@pytest.mark.parametrize(
    "worded",
    [
        lambda: [rollback_text.change_line(CHANGE)],
        lambda: rollback_text.step_lines([Step("/tree", NAME, None, MADE)]),
        lambda: rollback_text.refused_lines([Refused(f"/tree/{NAME}", "it is gone")]),
        lambda: list(rollback_text.diff_lines(CHANGE, [], ["x"], full=False))[1:2],
        lambda: list(rollback_text.side_by_side(CHANGE, [], ["x"], full=False, columns=80))[:1],
    ],
)
def test_a_name_stays_on_its_line(worded: Callable[[], Iterable[str]]) -> None:
    (line,) = worded()
    assert SHOWN in line


@pytest.mark.parametrize(
    "worded",
    [
        lambda path: [rollback_text.change_line(Change("/tree", path, ChangeType.CREATED, None, MADE))],
        lambda path: rollback_text.step_lines([Step("/tree", path, None, MADE)]),
        lambda path: rollback_text.step_lines([Step("/tree", path, MADE, None)]),
        lambda path: rollback_text.refused_lines([Refused(f"/tree/{path}", "it is gone")]),
    ],
)
def test_no_path_of_any_length_fills_the_terminal(worded: Callable[[str], Iterable[str]]) -> None:
    short, long = "d" * 900, f"{'\x80/' * 50_000}leaf"
    (line,) = worded(long)
    assert len(line) < rollback_text.PATH_MAX + 50
    assert "/tree/" in line
    assert "leaf" in line
    (line,) = worded(short)
    assert f"/tree/{short}" in line


def test_the_target_of_a_link_stays_on_its_line() -> None:
    (line,) = rollback_text.described(MADE._replace(kind=LINK, content=NAME))
    assert line.isprintable()
