"""Nothing that a person had is lost when undo is killed, at whatever point."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from nono.cli.commands.rollback import upkeep
from nono.undo import kept
from unit.undo.conftest import Stage

KILLS = 170 if os.environ.get("NONO_TEST_LONG") else 6  # of each of three
FILES = 24


def fill(stage: Stage) -> None:
    for number in range(FILES):
        path = stage.root / f"d{number % 5}/f{number}"
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"old {number}\n" * 50)
    (stage.root / "large").write_bytes(b"old large" * 200_000)


def change(stage: Stage) -> None:
    for number in range(0, FILES, 2):
        (stage.root / f"d{number % 5}/f{number}").write_text(f"by the run {number}")
    for number in range(1, FILES, 4):
        (stage.root / f"d{number % 5}/f{number}").unlink()
    shutil.rmtree(stage.root / "d3")
    (stage.root / "made").mkdir()
    (stage.root / "made/file").write_text("by the run")
    (stage.root / "large").write_bytes(b"new large" * 200_000)


def killed(act: Callable[[], object], after_s: float | None) -> bool:
    """Let a process of its own do it, and be killed after some time. Returns True if it was."""
    pid = os.fork()
    if not pid:
        try:
            if after_s is not None:
                signal.setitimer(signal.ITIMER_REAL, max(after_s, 1e-6))  # SIGALRM ends it like SIGKILL
            act()
        finally:
            os._exit(0)
    return os.WIFSIGNALED(os.waitpid(pid, 0)[1])


@contextmanager
def place() -> Iterator[Path]:
    path = Path(f"/var/tmp/nono-undo-{os.getpid()}-{random.randrange(1 << 32):x}")
    path.mkdir(mode=0o700)
    try:
        yield path
    finally:
        shutil.rmtree(path)


def points(act: Callable[[], object]) -> list[float]:
    """Draw moments within the time that an undisturbed process takes."""
    began = time.monotonic()
    assert not killed(act, None)
    whole_s = time.monotonic() - began
    return [random.uniform(0, whole_s) for _ in range(KILLS)]


def contents(stage: Stage) -> set[object]:
    return {each[3] for each in stage.look().values() if each[3] is not None}


def begin(stage: Stage) -> None:
    with stage.recorded():
        pass


def test_a_kill_in_the_baseline_leaves_the_tree_alone() -> None:
    with place() as where:
        stage = Stage(where)
        fill(stage)
        was = stage.look()
        for after_s in points(lambda: begin(stage)):
            killed(lambda: begin(stage), after_s)
            assert stage.look() == was
            # What was left of it neither hinders the next run nor stays.
            stage.runs += 1
            assert stage.run(lambda: None) == []
            with kept.every(stage.environ) as found:
                readable = {each.info.session_id for each in found}
            assert readable == set(kept.names(kept.root_of(stage.environ)))


def test_a_kill_at_the_end_of_a_run_leaves_its_baseline() -> None:
    with place() as where:
        stage = Stage(where)

        def whole() -> None:
            with stage.recorded() as taken:
                change(stage)
                taken.finish(0)

        fill(stage)
        was = stage.look()
        moments = points(whole)
        stage.runs += 1
        for after_s in moments:
            assert stage.restore(force=True) == []
            assert stage.look() == was
            stage.runs += 1
            is_killed = killed(whole, after_s)
            if is_killed and stage.look() != was:
                assert upkeep.verify("latest", stage.environ) == 0


def test_a_kill_in_a_restore_loses_nothing() -> None:
    with place() as where:
        stage = Stage(where)
        fill(stage)
        was = stage.look()
        stage.run(lambda: change(stage))
        became = stage.look()
        shutil.copytree(where, f"{where}.copy", symlinks=True)
        moments = points(lambda: stage.restore())
        try:
            for after_s in moments:
                _again(where)
                assert stage.look().keys() == became.keys()
                killed(lambda: stage.restore(), after_s)
                assert upkeep.verify("latest", stage.environ) == 0
                assert stage.restore() == []
                assert contents(stage) == {each[3] for each in was.values() if each[3] is not None}
                assert stage.look().keys() == was.keys()
        finally:
            shutil.rmtree(f"{where}.copy")


def _again(where: Path) -> None:
    for name in ("tree", "state"):
        shutil.rmtree(where / name)
        # Times and inodes as they were: cp -a keeps the first, and the restore asks for the content.
        subprocess.run(["cp", "-a", f"{where}.copy/{name}", where / name], check=True)
