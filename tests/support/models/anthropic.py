"""Fake Anthropic's API with a model that makes the agent use tools, and then reports the results.

https://docs.anthropic.com/en/api/messages and messages-streaming
"""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from support.models.stream import answer, event, stream
from support.servers.http1 import Received

USAGE = {"input_tokens": 1, "output_tokens": 1}
SHOWN = 60  # characters of the last tool's result
ToolUse = tuple[str, Mapping[str, object]]  # the tool's name and its input


class FakeAnthropic:
    """The handler of an upstream. results: what the agent reported of each use, in order.

    tool: The agent's own tool for shell commands.
    scripts: The uses in a conversation, by the text that it begins with. Other conversations have only the
      use of
        the shell command.
    """

    def __init__(
        self, command: str, tool: str = "Bash", scripts: Mapping[str, Sequence[ToolUse]] | None = None
    ) -> None:
        self.shell: ToolUse = (tool, {"command": command, "description": "Runs a command"})
        self.scripts = scripts or {}
        self.results: list[str] = []

    def __call__(self, request: Received) -> None:
        body = request.read_body()
        path = request.target.partition(b"?")[0]
        if request.method == b"POST" and path == b"/v1/messages":
            self.message(request, json.loads(body))
        elif path.endswith(b"/hello"):  # of api.anthropic.com and platform.claude.com: is anybody there?
            answer(request, {"message": "hello"})
        elif path.startswith(b"/claude-code-releases/plugins/"):  # of downloads.claude.ai
            request.connection.respond(body=_no_plugins() if path.endswith(b".zip") else b"one", fields=())
        else:
            answer(request, {"type": "error", "error": {"type": "not_found_error", "message": "none"}}, 404)

    def message(self, request: Received, asked: dict[str, Any]) -> None:
        message, blocks = self.told(asked)
        if asked.get("stream"):
            stream(request, events(message, blocks))
        else:
            answer(request, {**message, "content": blocks})

    def told(self, asked: dict[str, Any]) -> tuple[dict[str, Any], list[dict[str, Any]]]:
        """Return the message that answers a request, and its content blocks."""
        blocks = self._blocks(asked)
        # An agent takes messages with the same id for parts of one message.
        number = len(asked["messages"])
        message = {"id": f"msg_{number}", "type": "message", "role": "assistant", "model": asked["model"]}
        message["stop_reason"] = "tool_use" if blocks[0]["type"] == "tool_use" else "end_turn"
        message |= {"stop_sequence": None, "usage": USAGE}
        return message, blocks

    def _blocks(self, asked: dict[str, Any]) -> list[dict[str, Any]]:
        """Return the content blocks. Without tools: agents ask small questions of their own on the side."""
        begin = _text(asked["messages"][0]["content"])
        script = next((uses for text, uses in self.scripts.items() if text in begin), [self.shell])
        results = _results(asked)
        names = {tool.get("name") for tool in asked.get("tools", ())}
        if script[0][0] not in names:
            return [{"type": "text", "text": "{}"}]
        self.results += results[-1:]
        if len(results) < len(script):
            name, given = script[len(results)]
            return [{"type": "tool_use", "id": f"toolu_{len(self.results)}", "name": name, "input": given}]
        return [{"type": "text", "text": f"It printed {results[-1][:SHOWN]}"}]


def _no_plugins() -> bytes:
    """Return the archive of Claude Code's own market place, with nothing in it."""
    market = {"name": "claude-plugins-official", "owner": {"name": "somebody"}, "plugins": []}
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        name = "marketplaces/claude-plugins-official/.claude-plugin/marketplace.json"
        file.writestr(name, json.dumps(market))
    return archive.getvalue()


def _results(asked: dict[str, Any]) -> list[str]:
    """Return the results of the tools used so far in the conversation."""
    contents = [message["content"] for message in asked["messages"]]
    blocks = [block for content in contents if not isinstance(content, str) for block in content]
    return [_text(block["content"]) for block in blocks if block["type"] == "tool_result"]


def _text(content: str | list[dict[str, Any]]) -> str:
    return content if isinstance(content, str) else "".join(part.get("text", "") for part in content)


def events(message: dict[str, Any], blocks: list[dict[str, Any]]) -> Iterator[str]:
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
