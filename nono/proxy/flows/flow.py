"""Collect one exchange, and encode it, with credentials masked, for mitmproxy's reader."""

from __future__ import annotations

import io
import threading
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from nono.named_tuple import NamedTuple
from nono.proxy.flows.redact import (
    BEYOND_BYTES,
    MAX_KEPT_BYTES,
    Mask,
    masked_body,
    masked_headers,
    masked_target,
)
from nono.proxy.http.message import Header

if TYPE_CHECKING:
    from mitmproxy import http


class KeptBytes:
    """A budget of memory for the bodies of all flows. Taken from on the loop, given back on the thread."""

    def __init__(self, limit_bytes: int) -> None:
        self.free = limit_bytes
        self._lock = threading.Lock()

    def take(self, count: int) -> int:
        """Reserve `count` bytes, or as many as are free. Returns their number."""
        with self._lock:
            taken = min(count, self.free)
            self.free -= taken
        return taken

    def give_back(self, count: int) -> None:
        with self._lock:
            self.free += count


class _Body:
    """The beginning of a body, up to MAX_KEPT_BYTES, and the length of the whole body."""

    __slots__ = ("_all_kept", "is_short", "kept", "length")

    def __init__(self, all_kept: KeptBytes) -> None:
        self._all_kept = all_kept
        self.kept = bytearray()
        self.length = 0
        self.is_short = False  # less was kept than allowed, because other flows used up the memory

    def add(self, piece: bytes) -> None:
        self.length += len(piece)
        wanted = min(len(piece), MAX_KEPT_BYTES - len(self.kept))
        if wanted and not self.is_short:
            taken = self._all_kept.take(wanted)
            self.is_short = taken < wanted
            self.kept += piece[:taken]

    def release(self) -> None:
        self._all_kept.give_back(len(self.kept))
        self.kept = bytearray()


class _Response(NamedTuple):
    status: int
    reason: bytes
    headers: tuple[Header, ...]
    started: float  # seconds since the epoch


class Flow:
    """One exchange. Each body is kept up to MAX_KEPT_BYTES."""

    def __init__(
        self,
        on_end: Callable[[Flow], None],
        all_kept: KeptBytes,
        method: bytes,
        scheme: str,
        host: str,
        port: int,
        target: bytes,
        version: bytes,
        headers: Sequence[Header],
    ) -> None:
        """Begin an exchange.

        on_end: Called when it is over, perhaps more than once.
        all_kept: The memory that the bodies of all flows share.
        """
        self._on_end = on_end
        self._method = method
        self._scheme = scheme
        self._host = host
        self._port = port
        self._target = target
        self._version = version
        self._request_headers = tuple(headers)
        self._request_body = _Body(all_kept)
        self._response: _Response | None = None
        self._response_body = _Body(all_kept)
        self._failure: str | None = None
        self._ended = 0.0
        self.started = time.time()

    def request_piece(self, piece: bytes) -> None:
        if not self._ended:
            self._request_body.add(piece)

    def response(self, status: int, reason: bytes, headers: Sequence[Header]) -> None:
        """Record the head of the final response; interim responses are not recorded."""
        if not self._ended:
            self._response = _Response(status, reason, tuple(headers), time.time())

    def response_piece(self, piece: bytes) -> None:
        if not self._ended:
            self._response_body.add(piece)

    def finish(self) -> None:
        self._ended = self._ended or time.time()
        self._on_end(self)

    def failed(self, reason: str) -> None:
        """End the exchange with this reason."""
        if not self._ended:
            self._failure = reason
        self.finish()

    def release(self) -> None:
        """Free the memory of the bodies."""
        self._request_body.release()
        self._response_body.release()

    def encoded(self, mask: Mask, secret_headers: frozenset[bytes]) -> bytes:
        """Encode the flow for mitmproxy's reader. The comment names each body that was changed or cut."""
        from mitmproxy import connection, flow, http
        from mitmproxy import io as flow_io

        client = connection.Client(peername=("127.0.0.1", 0), sockname=("127.0.0.1", 0))
        server = connection.Server(address=(self._host, self._port))
        client.timestamp_start, client.timestamp_end = self.started, self._ended
        client.tls = server.tls = self._scheme == "https"
        recorded = http.HTTPFlow(client, server)
        recorded.request, notes = self._masked_request(mask, secret_headers)
        if self._response is not None:
            recorded.response, more = self._masked_response(self._response, mask, secret_headers)
            notes += more
        if self._failure is not None:
            recorded.error = flow.Error(mask(self._failure.encode()).decode("utf-8", "replace"), self._ended)
        recorded.comment = "; ".join(notes)
        output = io.BytesIO()
        flow_io.FlowWriter(output).add(recorded)  # type: ignore[no-untyped-call]  # its only method with types
        return output.getvalue()

    def _masked_request(self, mask: Mask, secret_headers: frozenset[bytes]) -> tuple[http.Request, list[str]]:
        from mitmproxy import http

        content, headers, notes = _masked(
            "request", self._request_headers, self._request_body, mask, secret_headers
        )
        request = http.Request(
            host=self._host,
            port=self._port,
            method=self._method,
            scheme=self._scheme.encode(),
            authority=b"",
            path=masked_target(self._target, mask),
            http_version=b"HTTP/" + self._version,
            headers=http.Headers(headers),
            content=content,
            trailers=None,
            timestamp_start=self.started,
            timestamp_end=self._response.started if self._response else self._ended,
        )
        return request, notes

    def _masked_response(
        self, response: _Response, mask: Mask, secret_headers: frozenset[bytes]
    ) -> tuple[http.Response, list[str]]:
        from mitmproxy import http

        content, headers, notes = _masked(
            "response", response.headers, self._response_body, mask, secret_headers
        )
        recorded = http.Response(
            http_version=b"HTTP/" + self._version,
            status_code=response.status,
            reason=mask(response.reason),
            headers=http.Headers(headers),
            content=content,
            trailers=None,
            timestamp_start=response.started,
            timestamp_end=self._ended,
        )
        return recorded, notes


def _masked(
    which: str, headers: Sequence[Header], body: _Body, mask: Mask, secret_headers: frozenset[bytes]
) -> tuple[bytes, list[Header], list[str]]:
    """Return masked content, masked fields, and notes about the body."""
    content, note = masked_body(bytes(body.kept), headers, mask)
    fields = masked_headers(headers, mask, secret_headers)
    # The recorded body is decoded already; a reader would decode it again.
    fields = [field for field in fields if field[0].lower() != b"content-encoding"]
    if body.is_short:
        content = content[: max(len(content) - BEYOND_BYTES, 0)]
        cut = "cut short, because other exchanges took the memory for recordings"
        note = cut if note is None else f"{note} and {cut}"
    notes = [] if note is None else [f"{which} body of {body.length:,} bytes {note}"]
    return content, fields, notes
