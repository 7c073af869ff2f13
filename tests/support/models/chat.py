"""Fake a model provider that speaks the formats of OpenAI and Anthropic, as far as their SDKs need it."""

from __future__ import annotations

import json
import threading

from support.servers.http1 import TIMEOUT_S, Received

WHOLE = "a whole answer"
FIRST, LAST = "first", "last"
STREAMED = f"{FIRST}|{LAST}"


class ModelProvider:
    """The handler of an upstream. A streamed answer ends only after the list of models was requested."""

    def __init__(self) -> None:
        self._first_arrived = threading.Event()

    def __call__(self, request: Received) -> None:
        body = request.read_body()
        path = request.target.partition(b"?")[0]
        if path.endswith(b"/models"):
            self._first_arrived.set()
            _answer(request, {"object": "list", "data": [], "has_more": False})
        elif path == b"/v1/chat/completions":
            self._complete(request, bool(json.loads(body).get("stream")))
        elif path == b"/v1/messages":
            self._message(request, bool(json.loads(body).get("stream")))
        else:
            request.connection.respond(404, b"{}", reason="Not Found")

    def _complete(self, request: Received, streamed: bool) -> None:
        """Answer a chat completion. https://platform.openai.com/docs/api-reference/chat"""
        common = {"id": "c", "created": 0, "model": "m"}
        if not streamed:
            choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": WHOLE}}
            _answer(request, {**common, "object": "chat.completion", "choices": [choice]})
            return
        chunks = [
            {
                **common,
                "object": "chat.completion.chunk",
                "choices": [{"index": 0, "delta": {"content": text}}],
            }
            for text in (FIRST, LAST)
        ]
        first, last = (f"data: {json.dumps(chunk)}\n\n" for chunk in chunks)
        self._stream(request, first, last + "data: [DONE]\n\n")

    def _message(self, request: Received, streamed: bool) -> None:
        """Answer a message. https://docs.anthropic.com/en/api/messages and messages-streaming"""
        usage = {"input_tokens": 1, "output_tokens": 1}
        message: dict[str, object] = {
            "id": "m",
            "type": "message",
            "role": "assistant",
            "model": "m",
            "usage": usage,
        }
        message |= {"model": "m", "usage": usage, "stop_reason": "end_turn", "stop_sequence": None}
        if not streamed:
            _answer(request, {**message, "content": [{"type": "text", "text": WHOLE}]})
            return
        first, last = (
            _event("content_block_delta", {"index": 0, "delta": {"type": "text_delta", "text": text}})
            for text in (FIRST, LAST)
        )
        start = _event("message_start", {"message": {**message, "content": []}})
        self._stream(request, start + first, last + _event("message_stop", {}))

    def _stream(self, request: Received, before: str, after: str) -> None:
        head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
        request.connection.send(head.encode() + _chunk(before))
        if self._first_arrived.wait(TIMEOUT_S):
            request.connection.send(_chunk(after) + _chunk(""))
        else:
            request.connection.reset()  # the client fails, and the test with it


def _answer(request: Received, answer: object) -> None:
    fields = [("Content-Type", "application/json")]
    request.connection.respond(body=json.dumps(answer).encode(), fields=fields)


def _event(kind: str, fields: dict[str, object]) -> str:
    return f"event: {kind}\ndata: {json.dumps({'type': kind, **fields})}\n\n"


def _chunk(text: str) -> bytes:
    return f"{len(text):x}\r\n{text}\r\n".encode()
