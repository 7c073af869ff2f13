"""Faults put into the proxy, which the hunt has to see: otherwise it is blind."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from unittest.mock import patch

from hunt.traffic.ends import routes
from nono.credentials.values.credential import LeakDetector
from nono.credentials.values.escapes import Span
from nono.credentials.values.leak_mask import Occurrences
from nono.proxy.exchange import http1
from nono.proxy.http2 import downgrade
from nono.proxy.upstream.connection import PoolKey, UpstreamConnection
from nono.proxy.upstream.pool import Pool
from nono.secret import Secret


class TellingTripwire:
    """Holds back what could be the beginning of a secret, so that the cuts of an answer tell it."""

    guessable = False

    def __init__(self, secrets: Sequence[Secret]) -> None:
        self._texts = [secret.reveal().encode() for secret in secrets]

    def stream(self) -> TellingStream:
        return TellingStream(self._texts)

    def long_runs(self, text: bytes) -> Sequence[Span]:
        return ((0, len(text)),)

    def find(self, text: bytes, runs: Sequence[Span] | None = None) -> Occurrences:
        return Occurrences([(0, 0)], near=())  # so that whole bodies go through the stream as well

    def mask_text(self, value: bytes) -> bytes | None:
        return None

    def occurs_in(self, text: bytes) -> bool:
        return False


class TellingStream:
    found = near = False

    def __init__(self, texts: Sequence[bytes]) -> None:
        self._texts = texts
        self._held = b""

    def feed(self, piece: bytes, runs: Sequence[Span] | None = None) -> bytes:
        text = self._held + piece
        beginnings = [each[:length] for each in self._texts for length in range(1, len(each))]
        held = max((len(each) for each in beginnings if text.endswith(each)), default=0)
        self._held = text[len(text) - held :]
        return text[: len(text) - held]

    def finish(self) -> bytes:
        held, self._held = self._held, b""
        return held


def _telling(secrets: Sequence[Secret], *, basic: bool = False) -> LeakDetector:
    return TellingTripwire(secrets)


def _take_any(pool: Pool, key: PoolKey) -> UpstreamConnection | None:
    """Take an idle connection to the same host, whoever used it before."""
    for idle in pool._idle.values():
        for connection in idle:
            if connection.key[:3] == key[:3] and connection.is_open and connection.is_silent:
                idle.remove(connection)
                return connection
    return None


def _is_always_read(*_: object, **__: object) -> bool:
    return True


@contextmanager
def planted() -> Iterator[None]:
    """Plant faults until the block is left: a tripwire that tells, connections that belong to everybody."""
    with (
        patch.object(routes, "tripwire_for", _telling),
        patch.object(Pool, "take", _take_any),
        patch.object(http1, "is_surely_read", _is_always_read),
        patch.object(downgrade, "is_surely_read", _is_always_read),
    ):
        yield
