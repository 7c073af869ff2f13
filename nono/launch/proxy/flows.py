"""Record the exchanges of a run for --record-flows."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

from nono.audit import event
from nono.audit.event import Recorder
from nono.errors import NonoError
from nono.proxy.flows.recorder import FlowRecorder


def refuse_unfit(path: str) -> None:
    """Raise NonoError as a start would for a file that exists, or whose directory does not. Makes nothing."""
    above = os.path.dirname(os.path.abspath(path))
    for number, is_unfit in (
        (errno.EEXIST, os.path.lexists(path)),
        (errno.ENOENT, not os.path.isdir(above)),
        (errno.EACCES, not os.access(above, os.W_OK)),
    ):
        if is_unfit:
            raise _unmade(path, OSError(number, os.strerror(number)))


def _unmade(path: str, error: OSError) -> NonoError:
    return NonoError(
        f"--record-flows: '{path}' cannot be made: {error.strerror}",
        hint="name a file that does not exist yet" if isinstance(error, FileExistsError) else None,
    )


@contextmanager
def recording(
    path: str,
    mask: Callable[[bytes], bytes],
    secret_headers: frozenset[bytes],
    record: Recorder,
    warn: Callable[[str], None],
) -> Iterator[FlowRecorder]:
    """Open a FlowRecorder, and record its file for `nono flows`.

    Raises NonoError if it cannot be started; later problems go to warn at the end.
    """
    recorder = FlowRecorder(path, mask, secret_headers)
    with ExitStack() as stack:
        try:
            stack.enter_context(recorder)
        except OSError as error:
            raise _unmade(path, error) from error
        record(event.flows_recorded(os.path.abspath(path)))
        yield recorder
    if recorder.problem is not None:
        warn(recorder.problem)
