"""What a command does to its tree while it is read, or to make reading it long, costs nobody their files."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from nono.undo import taking
from nono.undo.acting import Acting
from nono.undo.model.restore_plan import Step
from nono.undo.recording import Limits
from unit.undo.conftest import Stage


def _churn(root: Path, outside: Path) -> None:
    """Replace files, directories and links by each other, as quickly as can be."""
    os.chdir(root)
    number = 0
    while True:
        number += 1
        name = f"busy/{number % 7}"
        with suppress(OSError):
            os.unlink(name)
        with suppress(OSError):
            os.rmdir(name)
        with suppress(OSError):
            match number % 4:
                case 0:
                    Path(name).write_text(str(number) * (number % 500))
                case 1:
                    os.mkdir(name)
                case 2:
                    os.symlink(outside, name)
                case _:
                    os.mkfifo(name)
        with suppress(OSError):
            os.rename(name, f"busy/{number % 5}")


@contextmanager
def churning(root: Path, outside: Path) -> Iterator[None]:
    (root / "busy").mkdir()
    ready, told = os.pipe()
    pid = os.fork()
    if not pid:
        os.write(told, b"x")
        try:
            _churn(root, outside)
        finally:
            os._exit(1)
    try:
        os.read(ready, 1)
        yield
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        os.close(ready)
        os.close(told)


def test_a_tree_that_changes_while_it_is_read_can_be_restored(stage: Stage, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret").write_text("not the run's")
    for number in range(50):
        (stage.root / f"calm{number}").write_text(f"old {number}")
    before = {path: each for path, each in stage.look().items() if path.startswith(b"calm")}
    for _ in range(5):
        with churning(stage.root, outside), stage.recorded() as taken:
            assert "secret" not in str(taken.baseline.trees[0].entries.keys())
            for number in range(50):
                (stage.root / f"calm{number}").write_text("by the run")
            taken.finish(0)
        stage.restore(force=True)
        assert {path: each for path, each in stage.look().items() if path.startswith(b"calm")} == before
        os.system(f"rm -r {stage.root}/busy")
    assert (outside / "secret").read_text() == "not the run's"


def test_a_file_of_a_terabyte_without_content_is_passed_over(stage: Stage) -> None:
    (stage.root / "file").write_text("old")
    before = stage.look()

    def act() -> None:
        (stage.root / "file").write_text("by the run")
        with (stage.root / "huge").open("wb") as file:
            file.truncate(1 << 40)

    began = time.monotonic()
    assert stage.run(act) == ["modified file", "created huge"]
    assert time.monotonic() - began < 30
    assert stage.restore() == []
    assert stage.look() == before


def test_more_files_than_may_be_seen_do_not_hinder_the_restore(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    (stage.root / "file").write_text("old")

    def act() -> None:
        (stage.root / "file").write_text("by the run")
        for number in range(30):
            (stage.root / f"many{number}").write_text("")

    with stage.recorded(limits=Limits(10, 1 << 30, entries_max=10)) as taken:
        act()
        with pytest.raises(taking.TooMuchError):
            taken.finish(0)
    monkeypatch.setattr("nono.undo.recording.ENTRIES_MAX", 10)
    assert stage.restore(force=True) == []
    assert (stage.root / "file").read_text() == "old"
    assert (stage.root / "many1").exists()


def test_a_directory_deeper_than_can_be_walked_is_left(stage: Stage) -> None:
    def act() -> None:
        path = b"deep" + b"/d" * (taking.DEPTH_MAX + 50)
        os.makedirs(os.path.join(os.fsencode(stage.root), path))

    changed = stage.run(act)
    assert len(changed) >= taking.DEPTH_MAX - 1
    left = stage.restore()
    assert left
    assert all("not of the run" in each for each in left)
    assert (stage.root / "deep").exists()


def test_a_link_put_in_place_of_a_file_during_the_restore_is_not_followed(
    stage: Stage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    outside = tmp_path / "outside"
    outside.write_text("not the run's")
    file = stage.root / "sub/file"
    file.parent.mkdir()
    file.write_text("old")
    stage.run(lambda: file.write_text("by the run"))
    actual = Acting.carry_out

    def planted(acting: Acting, steps: list[Step]) -> list[Step]:
        file.unlink()
        file.symlink_to(outside)
        return actual(acting, steps)

    monkeypatch.setattr(Acting, "carry_out", planted)
    left = stage.restore()
    assert any("it changed during the restore" in each for each in left), left
    assert outside.read_text() == "not the run's"
    assert file.is_symlink()
