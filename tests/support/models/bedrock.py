"""Fake Claude's models at Amazon Bedrock: Anthropic's messages, in an event stream of AWS.

https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_InvokeModelWithResponseStream.html
"""

from __future__ import annotations

import base64
import json
import struct
import zlib
from collections.abc import Iterator
from typing import Any

from support.models.anthropic import FakeAnthropic, events
from support.models.stream import answer
from support.servers.http1 import Received

_HEADERS = {":event-type": "chunk", ":content-type": "application/json", ":message-type": "event"}
_STRING = 7  # a type of a header's value


class FakeBedrock(FakeAnthropic):
    """The handler of an upstream."""

    def __call__(self, request: Received) -> None:
        body = request.read_body()
        model, _, call = request.target.decode().partition("?")[0].removeprefix("/model/").rpartition("/")
        if call not in ("invoke", "invoke-with-response-stream"):
            answer(request, {"message": "none"}, 404)
            return
        message, blocks = self.told({**json.loads(body), "model": model})
        if call == "invoke":
            answer(request, {**message, "content": blocks})
            return
        frames = b"".join(chunk(event) for event in _data(events(message, blocks)))
        fields = [("Content-Type", "application/vnd.amazon.eventstream")]
        request.connection.respond(body=frames, fields=fields)


def _data(told: Iterator[str]) -> Iterator[dict[str, Any]]:
    """Return what each server-sent event holds."""
    for event in told:
        yield json.loads(event.partition("data: ")[2])


def chunk(event: dict[str, Any]) -> bytes:
    """Return a message of InvokeModelWithResponseStream."""
    return framed({"bytes": base64.b64encode(json.dumps(event).encode()).decode(), "p": "abcd"})


def framed(document: object) -> bytes:
    """Return a message of the event stream encoding of AWS."""
    headers = b"".join(
        bytes([len(name)]) + name.encode() + struct.pack(">BH", _STRING, len(value)) + value.encode()
        for name, value in _HEADERS.items()
    )
    payload = json.dumps(document, separators=(",", ":")).encode()
    prelude = struct.pack(">II", 16 + len(headers) + len(payload), len(headers))
    checked = prelude + struct.pack(">I", zlib.crc32(prelude)) + headers + payload
    return checked + struct.pack(">I", zlib.crc32(checked))
