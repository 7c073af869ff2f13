"""Take a mark for undo when a person's turn begins, in a thread, while the request that begins it waits."""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Collection, Iterator
from contextlib import AbstractContextManager, suppress
from posixpath import join

import anyio.to_thread

from nono.audit import model_events
from nono.errors import reason_of
from nono.launch.around.undo import Covered
from nono.launch.session import Session
from nono.proxy.conversation.run_turns import MAX_HELD_S
from nono.undo.model.changes import shown
from nono.undo.model.scope import scopes
from nono.undo.model.turns import label_of
from nono.undo.recording import Mark, Recording
from nono.undo.written import Written


class TurnMarks:
    """The marks of one run; called with the number of each turn."""

    def __init__(self, taken: Recording, written: Written | None, session: Session) -> None:
        """written: Collects what was written since the last mark; None: each mark walks the directories."""
        self._taken = taken
        self._written = written
        self._session = session
        self._is_behind = written is None  # it is unknown what the next mark must examine
        self._is_over = False

    async def __call__(self, turn: int) -> None:
        """Take the mark before a turn. A failure is reported, and the turn continues without a mark."""
        if self._is_over:
            return
        if not self._taken.marks_left:
            self._end(turn, f"max_snapshots of config.toml allows {self._taken.snapshots_max:,} in a run")
            return
        began_s = time.monotonic()
        try:
            mark = await anyio.to_thread.run_sync(self._take, turn, abandon_on_cancel=True)
        except (OSError, ValueError, RuntimeError) as error:  # the last: no thread can be started
            self._end(turn, reason_of(error))
            return
        taken_ms = round((time.monotonic() - began_s) * 1000)
        if taken_ms > MAX_HELD_S * 1000:
            self._session.warn(
                f"the mark before turn {turn} took {taken_ms / 1000:.0f} s, so it may have some of what the "
                "turn wrote (--rollback-exclude DIR leaves a directory out)"
            )
        changed = len(shown([*mark.changes]))
        self._session.record(model_events.turn_marked(turn, mark.number, changed, taken_ms))

    def _end(self, turn: int, reason: str) -> None:
        self._is_over = True
        self._session.warn(f"undo takes no more marks between turns, from turn {turn} on: {reason}")

    def _take(self, turn: int) -> Mark:
        changed = None if self._written is None else self._written.changed()
        changed = None if changed is None or self._is_behind else {*changed, *_aliases(changed, self._taken)}
        self._is_behind = True  # unless the mark is taken, the written paths must be searched for
        mark = self._taken.mark(label_of(turn), changed)
        self._is_behind = self._written is None
        return mark


def _aliases(changed: Collection[str], taken: Recording) -> Iterator[str]:
    """Yield the other names of files that were written: only the name that was used has an event."""
    inodes = set[int]()
    for path in changed:
        with suppress(OSError):
            found = os.lstat(path)
            if found.st_nlink > 1 and not stat.S_ISDIR(found.st_mode):
                inodes.add(found.st_ino)
    if inodes:
        for tree in taken.last.trees:
            yield from (join(tree.path, path) for path, each in tree.entries.items() if each.inode in inodes)


def watched(covered: Covered) -> AbstractContextManager[Written]:
    """Note from now on what is written of what undo covers. Raises OSError."""
    wanted = scopes(covered.paths, covered.files)
    return Written({scope.path: scope.sieve(covered.left_out) for scope in wanted})
