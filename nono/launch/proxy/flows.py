"""Records the exchanges of a run for --record-flows."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

from nono.errors import NonoError
from nono.proxy.flows.recorder import FlowRecorder


@contextmanager
def recording(
    path: str,
    mask: Callable[[bytes], bytes],
    secret_headers: frozenset[bytes],
    warn: Callable[[str], None],
) -> Iterator[FlowRecorder]:
    """Open a FlowRecorder. Raises NonoError if it cannot be started; later problems go to warn at the end."""
    recorder = FlowRecorder(path, mask, secret_headers)
    with ExitStack() as stack:
        try:
            stack.enter_context(recorder)
        except OSError as error:
            raise NonoError(
                f"--record-flows: '{path}' cannot be made: {error.strerror}",
                hint="name a file that does not exist yet" if isinstance(error, FileExistsError) else None,
            ) from error
        yield recorder
    if recorder.problem is not None:
        warn(recorder.problem)
