"""A tree, a state directory, and what a tree looks like to somebody who knows nothing of undo."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from nono.undo import baseline, kept, restoring
from nono.undo.kept import Kept
from nono.undo.model.left_out import LeftOut
from nono.undo.model.session import Info
from nono.undo.recording import Limits, Recording

LIMITS = Limits(10, 1 << 30)
USUAL = LeftOut()


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    return Stage(tmp_path)


class Stage:
    """One directory that a run may write, and the state directory of undo."""

    def __init__(self, place: Path) -> None:
        self.root = place / "tree"
        self.root.mkdir()
        self.environ = {"HOME": str(place), "XDG_STATE_HOME": str(place / "state")}
        self.runs = 0
        self.progress: Callable[[int], None] = lambda count: None

    @contextmanager
    def recorded(
        self,
        left_out: LeftOut = USUAL,
        limits: Limits = LIMITS,
        optional: Sequence[str] = (),
        elsewhere: str | None = None,
        files: Sequence[Path] = (),
    ) -> Iterator[Recording]:
        """Yield a run that is kept; finish() is the test's.

        files: Those that the run may write, in place of the directory.
        """
        self.runs += 1
        info = Info(
            f"{self.runs:016x}",
            "2026-01-01",
            self.runs,
            ("sh",),
            (*map(str, files), *optional) if files else (str(self.root), *optional),
            left_out,
            name=f"run-{self.runs}",
        )
        named = [str(each) for each in files]
        taken = baseline.begin(self.environ, info, limits, self.progress, elsewhere, optional, named)
        try:
            yield taken
        finally:
            taken.close()

    def run(self, act: Callable[[], object], left_out: LeftOut = USUAL, limits: Limits = LIMITS) -> list[str]:
        """Let a run do something. Returns its changes, each as its type and the path."""
        with self.recorded(left_out, limits) as taken:
            act()
            return [
                f"{each.type.value} {each.path}" for each in taken.finish(0) if each.type.value != "touched"
            ]

    @contextmanager
    def kept(self, query: str = "latest") -> Iterator[Kept]:
        with kept.chosen(query, self.environ) as session:
            session.lock()
            yield session

    def restore(self, number: int = 0, query: str = "latest", *, force: bool = False) -> list[str]:
        """Restore. Returns what was left as it is, each as path and reason."""
        with self.kept(query) as session:
            done = restoring.restore(session, restoring.prepare(session, number), force=force)
            return [f"{os.path.relpath(each.full_path, self.root)}: {each.reason}" for each in done.left]

    def look(self) -> dict[bytes, Any]:
        return look(self.root)


def look(root: Path) -> dict[bytes, Any]:
    """Return all of a tree by the bytes of each path: mode, time, attributes, content."""
    found: dict[bytes, Any] = {}
    top = os.fsencode(root)
    for where, directories, files in os.walk(top):
        for path in (where, *(os.path.join(where, name) for name in (*directories, *files))):
            status = os.lstat(path)
            content: object = None
            if stat.S_ISLNK(status.st_mode):
                content = os.readlink(path)
            elif stat.S_ISREG(status.st_mode):
                content = Path(os.fsdecode(path)).read_bytes()
            attributes: dict[str, bytes] = {}
            if not stat.S_ISLNK(status.st_mode):
                with suppress(OSError):
                    attributes = {each: os.getxattr(path, each) for each in os.listxattr(path)}
            found[os.path.relpath(path, top)] = (status.st_mode, status.st_mtime_ns, attributes, content)
    return found
