"""The recording of a run's exchanges that --record-flows asks for."""

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
    """As FlowRecorder, with what it may run into as sentences. NonoError when it cannot be begun."""
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
