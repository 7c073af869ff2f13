"""Fake a model provider that also speaks Gemini's format, and answers one message on a WebSocket."""

from __future__ import annotations

import base64
import hashlib
import json

from support.models.chat import FIRST, LAST, WHOLE, ModelProvider
from support.servers.http1 import Gone, Received

_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455 section 1.3


class Provider(ModelProvider):
    """The handler of an upstream. https://ai.google.dev/api/generate-content"""

    def __call__(self, request: Received) -> None:
        path = request.target.partition(b"?")[0]
        if path.endswith(b":generateContent"):
            request.read_body()
            fields = [("Content-Type", "application/json")]
            request.connection.respond(body=_response(WHOLE).encode(), fields=fields)
        elif path.endswith(b":streamGenerateContent"):
            request.read_body()
            first, last = (f"data: {_response(text)}\r\n\r\n" for text in (FIRST, LAST))
            self._stream(request, first, last)
        elif path.endswith(b"/realtime"):
            _speak(request)
        else:
            super().__call__(request)


def _response(text: str) -> str:
    content = {"role": "model", "parts": [{"text": text}]}
    return json.dumps({"candidates": [{"index": 0, "content": content}], "modelVersion": "m"})


def _speak(request: Received) -> None:
    """Answer a short message, and then the request to close (RFC 6455 sections 4.2.2 and 5.2)."""
    key = request.value(b"sec-websocket-key") or b""
    proof = base64.b64encode(hashlib.sha1(key + _GUID, usedforsecurity=False).digest())
    head = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    connection = request.connection
    connection.send(head + b"Sec-WebSocket-Accept: " + proof + b"\r\n\r\n")
    _read_frame(request)
    connection.send(bytes((0x81, len(WHOLE))) + WHOLE.encode())
    code = _read_frame(request)
    connection.send(bytes((0x88, len(code))) + code)
    raise Gone  # the server closes the connection (section 7.1.1)


def _read_frame(request: Received) -> bytes:
    """Return the payload of a masked frame of less than 126 bytes."""
    _, length = request.connection.read_exactly(2)
    mask = request.connection.read_exactly(4)
    masked = request.connection.read_exactly(length & 0x7F)
    return bytes(byte ^ mask[at % 4] for at, byte in enumerate(masked))
