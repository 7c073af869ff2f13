"""A mark from what was written is the same as a walk; one that cannot be taken ends them, and is said."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import anyio
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nono.audit.event import Event
from nono.launch.around import turn_marks
from nono.launch.around.turn_marks import TurnMarks
from nono.launch.session import Session
from nono.undo.looking import Allowance
from nono.undo.model.entry import Entry
from nono.undo.model.turns import number_before
from nono.undo.recording import Limits, Recording
from nono.undo.taking import take
from nono.undo.walking import Walk
from nono.undo.written import Written
from unit.undo.conftest import USUAL, Stage


class Kept:
    """A run that is kept, and what is recorded and said of its marks."""

    def __init__(self, taken: Recording, written: Written | None) -> None:
        self.taken = taken
        self.events: list[Event] = []
        self.said: list[str] = []
        session = Session({}, None, self.events.append, self.said.append, lambda lines: None)
        self.marks = TurnMarks(taken, written, session)

    def turn(self, number: int) -> None:
        anyio.run(self.marks, number)

    @property
    def changed(self) -> list[object]:
        return [event["changed"] for event in self.events]


@contextmanager
def kept(stage: Stage, limits: Limits | None = None) -> Iterator[Kept]:
    with (
        Written({str(stage.root): USUAL.sieve(str(stage.root))}) as written,
        stage.recorded(limits=limits or Limits(10, 1 << 30)) as taken,
    ):
        yield Kept(taken, written)


def test_a_mark_has_what_the_turn_before_it_wrote(stage: Stage) -> None:
    with kept(stage) as run:
        run.turn(1)
        (stage.root / "file").write_text("one")
        run.turn(2)
        run.turn(3)
        assert run.changed == [0, 1, 0]
        assert number_before(2, [run.taken.last._replace(number=7)]) is None
    assert run.said == []
    with stage.kept() as session:
        assert number_before(2, session.snapshots()) == 2


def test_a_full_store_ends_the_marks_with_one_sentence(stage: Stage) -> None:
    with kept(stage, Limits(10, 100_000)) as run:
        (stage.root / "large").write_bytes(os.urandom(200_000))
        run.turn(1)
        run.turn(2)
    assert run.events == []
    [sentence] = run.said
    assert sentence == "undo takes no more marks between turns, from turn 1 on: the store of undo is full"


def test_marks_end_with_a_sentence_where_no_thread_can_be_started(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refuse(*_: object, **__: object) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(anyio.to_thread, "run_sync", refuse)
    with kept(stage) as run:
        run.turn(1)
        run.turn(2)
    assert run.events == []
    (sentence,) = run.said
    assert sentence.endswith("from turn 1 on: can't start new thread")


def test_a_mark_that_was_given_up_leaves_what_it_looked_at_to_the_next(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was written is told once: the next mark has to search for it."""

    def given_up(*_: object) -> None:
        raise KeyError

    with kept(stage) as run:
        (stage.root / "file").write_text("one")
        monkeypatch.setattr(run.taken, "mark", given_up)
        with pytest.raises(KeyError):
            run.turn(1)
        monkeypatch.undo()
        run.turn(2)
        assert run.changed == [1]


@pytest.mark.parametrize("held_s", [-1, 3600])
def test_a_mark_that_took_longer_than_a_request_is_held_is_told_of(
    held_s: int, stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(turn_marks, "MAX_HELD_S", held_s)
    with kept(stage) as run:
        run.turn(1)
    told = [each.partition(" took ")[0] for each in run.said]
    assert told == ["the mark before turn 1"] * (held_s < 0)


def test_no_more_snapshots_are_taken_than_configured(stage: Stage) -> None:
    with kept(stage, Limits(10, 1 << 30, snapshots_max=4)) as run:
        for number in range(1, 5):
            run.turn(number)
        run.taken.finish(0)
    assert len(run.events) == 2
    (sentence,) = run.said
    assert "from turn 3 on: max_snapshots of config.toml allows 4 in a run" in sentence
    with stage.kept() as session:
        assert (session.count(), session.info.snapshot_count) == (4, 4)


def test_every_name_of_a_file_is_looked_at(stage: Stage) -> None:
    (stage.root / "one").write_text("x")
    os.link(stage.root / "one", stage.root / "two")
    with kept(stage) as run:
        with open(stage.root / "two", "a") as file:
            file.write("y")
        run.turn(1)
    assert run.changed == [2]


NAMES = st.sampled_from(["a", "b", "c"])
PATHS = st.lists(NAMES, min_size=1, max_size=3).map("/".join)
ACTS = st.sampled_from(["write", "append", "mkdir", "remove", "move", "mode", "symlink"])
TURNS = st.lists(st.lists(st.tuples(ACTS, PATHS, PATHS), max_size=6), min_size=1, max_size=3)


def act(tree: Path, what: str, path: str, other: str) -> None:
    one, two = tree / path, tree / other
    match what:
        case "write":
            one.write_text(other)
        case "append":
            with one.open("a") as file:
                file.write(other)
        case "mkdir":
            one.mkdir()
        case "remove":
            shutil.rmtree(one) if one.is_dir() and not one.is_symlink() else one.unlink()
        case "move":
            one.rename(two)
        case "mode":
            one.chmod(0o740 if one.is_dir() else 0o640)
        case "symlink":
            one.symlink_to(other)


def shape(entry: Entry) -> tuple[object, ...]:
    return (entry.kind, entry.mode, entry.size, entry.content, entry.mtime_ns)


@given(TURNS)
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_mark_is_what_a_walk_would_find(
    tmp_path_factory: pytest.TempPathFactory, turns: list[list[tuple[str, str, str]]]
) -> None:
    stage = Stage(tmp_path_factory.mktemp("stage"))
    with kept(stage) as run:
        for number, actions in enumerate(turns, 1):
            for action in actions:
                try:
                    act(stage.root, *action)
                except OSError:
                    continue
            run.turn(number)
            [marked] = run.taken.last.trees
            allowance = Allowance(1 << 30, is_strict=True)
            walk = Walk(USUAL.sieve(str(stage.root)), None, {}, 1000, allowance, lambda count: None)
            walked = take(str(stage.root), walk)
            assert {path: shape(each) for path, each in marked.entries.items()} == {
                path: shape(each) for path, each in walked.entries.items()
            }
    assert run.said == []
