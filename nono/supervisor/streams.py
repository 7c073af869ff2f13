"""Keep the standard streams usable for the caller, who shares what they refer to with the command."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from nono.kernel.process import FIRST_PRIVATE_DESCRIPTOR
from nono.named_tuple import NamedTuple

_KEPT = os.O_APPEND | os.O_DIRECT | os.O_NOATIME
# Only ever cleared: another program that shares the stream may have set and cleared them during the run, and
# what it had set at our start would stay set for good.
_CLEARED = os.O_NONBLOCK | os.O_ASYNC
_F_SETOWN_EX, _F_GETOWN_EX = 15, 16  # <asm-generic/fcntl.h>
_OWNER_BYTES = 8  # sizeof(struct f_owner_ex)


class _Stream(NamedTuple):
    """What fcntl(2) keeps of an open file description. owner: a struct f_owner_ex."""

    descriptor: int
    flags: int
    owner: bytes
    signal: int


@contextmanager
def shared_streams(*, has_terminal: bool) -> Iterator[None]:
    """Restore the flags of the standard streams, and who gets their signals, at the end of the block.

    has_terminal: Includes the streams that are a terminal. In the background its job in front uses those.
    """
    streams = [each for each in map(_look, range(FIRST_PRIVATE_DESCRIPTOR)) if each is not None]
    try:
        yield
    finally:
        for stream in streams:
            with suppress(OSError):
                if has_terminal or not os.isatty(stream.descriptor):
                    _restore(stream)


def _look(descriptor: int) -> _Stream | None:
    with suppress(OSError):
        return _Stream(
            descriptor,
            fcntl.fcntl(descriptor, fcntl.F_GETFL),
            fcntl.fcntl(descriptor, _F_GETOWN_EX, bytes(_OWNER_BYTES)),
            fcntl.fcntl(descriptor, fcntl.F_GETSIG),
        )
    return None


def _restore(stream: _Stream) -> None:
    now = _look(stream.descriptor)
    if now is None or now == stream:
        return
    flags = now.flags & ~_KEPT | stream.flags & _KEPT
    fcntl.fcntl(stream.descriptor, fcntl.F_SETFL, flags & ~(_CLEARED & ~stream.flags))
    fcntl.fcntl(stream.descriptor, fcntl.F_SETSIG, stream.signal)
    fcntl.fcntl(stream.descriptor, _F_SETOWN_EX, stream.owner)
