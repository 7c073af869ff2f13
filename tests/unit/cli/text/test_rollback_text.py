"""nono.cli.text.rollback_text: what a person reads of names that a command chose."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import pytest

from nono.cli.text import rollback_text
from nono.cli.text.session_text import LINE_MAX
from nono.undo.model.changes import Change, ChangeType
from nono.undo.model.entry import FILE, LINK, Entry
from nono.undo.model.left_out import LeftOut
from nono.undo.model.restore_plan import Refused, Step
from nono.undo.model.session import Info

NAME = "a\n - /etc/passwd\x1b[2K\u2028\t\udcff"
SHOWN = r"/tree/a\n - /etc/passwd\x1b[2K\u2028\t\xff"
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


@pytest.mark.parametrize(
    ("name", "shown"), [("a b - c", "a b - c"), ("a    - c  -9 KiB", r"a \x20 \x20- c \x20-9 KiB")]
)
def test_no_name_looks_like_a_second_row(name: str, shown: str) -> None:
    """A terminal breaks a long line wherever it ends, and what followed it began like a row: `  - path`."""
    line = rollback_text.change_line(Change("/tree", name, ChangeType.CREATED, None, MADE))
    assert line.startswith(f"  + /tree/{shown}  +")


def test_the_target_of_a_link_stays_on_its_line() -> None:
    (line,) = rollback_text.described(MADE._replace(kind=LINK, content=NAME))
    assert line.isprintable()


@pytest.mark.parametrize(("before", "after", "grown"), [(10, 30, "  +20 B"), (30, 10, "  -20 B"), (7, 7, "")])
def test_a_change_says_how_much_a_file_has_grown(before: int, after: int, grown: str) -> None:
    change = Change("/tree", "f", ChangeType.MODIFIED, MADE._replace(size=before), MADE._replace(size=after))
    assert rollback_text.change_line(change) == f"  ~ /tree/f{grown}"


def test_changes_of_times_alone_are_not_counted() -> None:
    touched = Change("/tree", "f", ChangeType.TOUCHED, MADE, MADE)
    assert rollback_text.counted([touched]) == "nothing changed"
    assert rollback_text.counted([touched, CHANGE]) == "1 created"


@pytest.mark.parametrize(
    ("is_running", "ended", "state"),
    [(True, None, "runs"), (False, "2026-01-03T00:30:00Z", "ended"), (False, None, "cut off")],
)
def test_a_run_whose_supervisor_was_killed_is_told_apart(
    is_running: bool, ended: str | None, state: str
) -> None:
    info = Info("s" * 16, "2026-01-03T00:30:00Z", 0, ("make",), ("/tree",), LeftOut(), ended=ended)
    line = rollback_text.session_line(info, 10, is_running=is_running)
    assert line == f"{'s' * 16}  2026-01-03 00:30:00  {state:<7}        ?       10 B  make"


def test_no_command_of_any_length_fills_the_list() -> None:
    info = Info("s" * 16, "2026-01-03T00:30:00Z", 0, ("true", "x" * 60_000), ("/tree",), LeftOut())
    for line in (rollback_text.session_line(info, 10, is_running=False), rollback_text.meant_line(info)):
        assert len(line) < 2 * LINE_MAX


def test_a_step_shows_what_it_does_to_the_path_now() -> None:
    other = MADE._replace(mode=0o600)
    steps = [Step("/t", "a", None, MADE), Step("/t", "b", MADE, None), Step("/t", "c", MADE, other)]
    steps.append(Step("/t", "d", MADE, MADE._replace(size=9, content="1" * 64)))
    assert rollback_text.step_lines(steps) == ["  - /t/a", "  + /t/b", "  p /t/c", "  ~ /t/d"]


@pytest.mark.parametrize(("excess", "is_cut"), [(0, False), (1, True)])
def test_only_a_path_that_is_too_long_is_cut(excess: int, is_cut: bool) -> None:
    name = "d" * (rollback_text.PATH_MAX - len("/tree/") + excess)
    line = rollback_text.change_line(Change("/tree", name, ChangeType.TOUCHED, MADE, MADE))
    assert (f"...({excess:,} more)..." in line) == is_cut


def test_a_diff_names_no_file_where_there_was_none() -> None:
    made = list(rollback_text.diff_lines(CHANGE._replace(path="f"), [], ["x"], full=False))
    assert [line.split()[1] for line in made[:2]] == ["/dev/null", "/tree/f"]
    gone = CHANGE._replace(path="f", before=MADE, after=None)
    lines = list(rollback_text.diff_lines(gone, ["x"], [], full=False))
    assert [line.split()[1] for line in lines[:2]] == ["/tree/f", "/dev/null"]


@pytest.mark.parametrize("columns", [20, 80, 81])
def test_both_sides_fit_in_the_terminal(columns: int) -> None:
    changed = CHANGE._replace(path="f")
    _, line = rollback_text.side_by_side(changed, ["a" * 200], ["b" * 200], full=False, columns=columns)
    assert columns - 1 <= len(line) <= columns
