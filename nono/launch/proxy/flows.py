"""Record the exchanges of a run for --record-flows."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

from nono.audit import event
from nono.audit.event import Recorder
from nono.errors import NonoError
from nono.proxy.flows.recorder import FlowRecorder


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
            raise NonoError(
                f"--record-flows: '{path}' cannot be made: {error.strerror}",
                hint="name a file that does not exist yet" if isinstance(error, FileExistsError) else None,
            ) from error
        record(event.flows_recorded(os.path.abspath(path)))
        yield recorder
    if recorder.problem is not None:
        warn(recorder.problem)
