"""An API of Anthropic whose model has the agent run one shell command, and then says what came of it.

https://docs.anthropic.com/en/api/messages and messages-streaming
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from support.models.stream import answer, event, stream
from support.servers.http1 import Received

USAGE = {"input_tokens": 1, "output_tokens": 1}


class FakeAnthropic:
    """The handler of an upstream. tool: the agent's own for shell commands; results: what it reported."""

    def __init__(self, command: str, tool: str = "Bash") -> None:
        self.command = command
        self.tool = tool
        self.results: list[str] = []

    def __call__(self, request: Received) -> None:
        body = request.read_body()
        path = request.target.partition(b"?")[0]
        if request.method == b"POST" and path == b"/v1/messages":
            self._message(request, json.loads(body))
        else:
            answer(request, {"type": "error", "error": {"type": "not_found_error", "message": "none"}}, 404)

    def _message(self, request: Received, asked: dict[str, Any]) -> None:
        blocks = self._blocks(asked)
        message = {"id": "msg_1", "type": "message", "role": "assistant", "model": asked["model"]}
        message["stop_reason"] = "tool_use" if blocks[0]["type"] == "tool_use" else "end_turn"
        message |= {"stop_sequence": None, "usage": USAGE}
        if asked.get("stream"):
            stream(request, _events(message, blocks))
        else:
            answer(request, {**message, "content": blocks})

    def _blocks(self, asked: dict[str, Any]) -> list[dict[str, Any]]:
        """Agents ask small questions of their own, without tools, beside the conversation."""
        if self.tool not in {tool.get("name") for tool in asked.get("tools", ())}:
            return [{"type": "text", "text": "{}"}]
        if (result := _last_result(asked)) is None:
            use = {"name": self.tool, "input": {"command": self.command, "description": "Runs a command"}}
            return [{"type": "tool_use", "id": "toolu_1", **use}]
        self.results.append(result)
        return [{"type": "text", "text": f"It printed {result}"}]


def _last_result(asked: dict[str, Any]) -> str | None:
    content = asked["messages"][-1]["content"]
    blocks = [] if isinstance(content, str) else content
    for block in blocks:
        if block["type"] == "tool_result":
            inner = block["content"]
            return inner if isinstance(inner, str) else "".join(part.get("text", "") for part in inner)
    return None


def _events(message: dict[str, Any], blocks: list[dict[str, Any]]) -> Iterator[str]:
    def of(kind: str, **fields: object) -> str:
        return event({"type": kind, **fields}, kind)

    yield of("message_start", message={**message, "content": [], "stop_reason": None})
    yield of("ping")
    for index, block in enumerate(blocks):
        start: dict[str, Any]
        if block["type"] == "text":
            start, text, kind, name = {"type": "text", "text": ""}, block["text"], "text_delta", "text"
        else:
            start, text = {**block, "input": {}}, json.dumps(block["input"])
            kind, name = "input_json_delta", "partial_json"
        yield of("content_block_start", index=index, content_block=start)
        half = len(text) // 2
        for piece in (text[:half], text[half:]):
            yield of("content_block_delta", index=index, delta={"type": kind, name: piece})
        yield of("content_block_stop", index=index)
    ending = {"stop_reason": message["stop_reason"], "stop_sequence": None}
    yield of("message_delta", delta=ending, usage={"output_tokens": 1})
    yield of("message_stop")
