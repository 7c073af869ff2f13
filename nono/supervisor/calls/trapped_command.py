"""Take what later serves a command's trapped calls before the command starts."""

from __future__ import annotations

import os

from nono.kernel import threads
from nono.supervisor.calls.caller import CallerContext, caller_context, open_root


class TrappedCommand:
    """The listener of a restricted launcher and its identity, taken while it can change neither."""

    def __init__(self, pid: int, number: int) -> None:
        # With pidfd_getfd, because the listener would trap a sendmsg that passes it.
        self._listener = threads.duplicate_descriptor(pid, number)
        try:
            self.standing: CallerContext = caller_context(pid)
            self._root = open_root(pid)
        except BaseException:
            os.close(self._listener)
            raise

    @property
    def listener(self) -> int:
        return self._listener

    def hand_over(self) -> tuple[int, int]:
        """Return the listener and the root of the command, which the caller closes."""
        taken, self._listener, self._root = (self._listener, self._root), -1, -1
        return taken

    def close(self) -> None:
        for descriptor in (self._listener, self._root):
            if descriptor >= 0:
                os.close(descriptor)
