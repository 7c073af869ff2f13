"""Answer trapped calls, whose callers may be gone by then."""

from __future__ import annotations

import errno
from contextlib import suppress

from nono.kernel import notify
from nono.kernel.notify import Notification


class Answers:
    """Answers the calls of one listener, which its owner closes. After close() nothing is answered."""

    def __init__(self, listener: int) -> None:
        self._listener = listener
        self._is_closed = False

    def close(self) -> None:
        """Leave calls that still wait to whoever closes the listener."""
        self._is_closed = True

    def fail(self, call: Notification, errno_value: int) -> None:
        """Let the call return this errno; 0 for success."""
        if not self._is_closed:
            with suppress(FileNotFoundError):  # ENOENT: the caller is gone
                notify.respond(self._listener, call.id, errno_value=errno_value)

    def leave(self, call: Notification) -> None:
        """Let the kernel carry out the call, which grants nothing (see notify.respond_continue)."""
        if not self._is_closed:
            with suppress(FileNotFoundError):  # ENOENT: the caller is gone
                notify.respond_continue(self._listener, call.id)

    def hand_over(self, call: Notification, descriptor: int, *, close_on_exec: bool) -> int | None:
        """Let the call return a copy of `descriptor`, which stays open here.

        Returns None, or the errno of a call that still waits: EMFILE, EINTR, EINVAL before Linux 5.9.
        """
        if self._is_closed:
            return None
        try:
            notify.respond_with_descriptor(self._listener, call.id, descriptor, close_on_exec=close_on_exec)
        except FileNotFoundError:  # ENOENT: the caller is gone
            return None
        except OSError as error:
            return error.errno or errno.EACCES
        return None

    def is_awaited(self, call: Notification) -> bool:
        """Return True if the caller still waits: its tid has referred to the same thread until now."""
        return not self._is_closed and notify.is_valid(self._listener, call.id)
