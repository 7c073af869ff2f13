"""Fake the Gemini API with a model that makes the agent use tools, and then reports the results.

https://ai.google.dev/api/generate-content
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from support.models.stream import answer, event, stream
from support.servers.http1 import Received

USAGE = {"promptTokenCount": 1, "candidatesTokenCount": 1, "totalTokenCount": 2}


ToolUse = tuple[str, Mapping[str, object]]  # the tool's name and its input


class FakeGemini:
    """The handler of an upstream. results: what the agent reported of each use, in order.

    scripts: The uses in a conversation, by the first of these texts that the user says in it. Other
      conversations have only the use of the shell command.
    """

    def __init__(self, command: str, scripts: Mapping[str, Sequence[ToolUse]] | None = None) -> None:
        self.shell: ToolUse = ("run_shell_command", {"command": command, "description": "Runs a command"})
        self.scripts = scripts or {}
        self.results: list[str] = []

    def __call__(self, request: Received) -> None:
        body = request.read_body()
        path = request.target.partition(b"?")[0]
        if path.endswith(b":streamGenerateContent"):
            asked, within = _opened(json.loads(body))
            first, last = self._parts(asked)
            stream(request, [event(within(_response([first]))), event(within(_response(last, "STOP")))])
        elif path.endswith(b":generateContent"):
            asked, within = _opened(json.loads(body))
            parts = self._parts(asked)
            answer(request, within(_response([parts[0], *parts[1]], "STOP")))
        elif path.endswith(b":countTokens"):
            answer(request, {"totalTokens": 1})
        else:
            answer(request, {"error": {"code": 404, "message": "none", "status": "NOT_FOUND"}}, 404)

    def _parts(self, asked: dict[str, Any]) -> tuple[dict[str, Any], list[dict[str, Any]]]:
        """Return the first part, and those that come later."""
        declared = {each.get("name") for tool in asked.get("tools", ()) for each in _declarations(tool)}
        said = _said(asked)
        script = next((uses for text, uses in self.scripts.items() if text in said), [self.shell])
        if script[0][0] not in declared:
            # The agent asks something on the side, and may want JSON.
            return {"text": "{"}, [{"text": "}"}]
        results = _results(asked)
        self.results += results[-1:]
        if len(results) < len(script):
            name, given = script[len(results)]
            return {"text": "I run it."}, [{"functionCall": {"name": name, "args": given}}]
        return {"text": "It printed "}, [{"text": results[-1]}]


def _opened(asked: dict[str, Any]) -> tuple[dict[str, Any], Callable[[dict[str, Any]], dict[str, Any]]]:
    """Return the request itself, and a function that puts the answer where it is expected.

    Code Assist, which is used with a Google login, has both in an envelope.
    """
    if "request" in asked:
        return asked["request"], lambda response: {"response": response}
    return asked, lambda response: response


def _declarations(tool: dict[str, Any]) -> list[dict[str, Any]]:
    declared: list[dict[str, Any]] = tool.get("functionDeclarations", [])
    return declared


def _said(asked: dict[str, Any]) -> str:
    """Return what the user has said so far in the conversation."""
    parts = [part for content in asked["contents"] if content["role"] == "user" for part in content["parts"]]
    return "\n".join(part.get("text", "") for part in parts)


def _results(asked: dict[str, Any]) -> list[str]:
    """Return the results of the tools used so far in the conversation."""
    parts = [part for content in asked["contents"] for part in content["parts"]]
    responses = [part["functionResponse"]["response"] for part in parts if "functionResponse" in part]
    return [str(response.get("output", response)) for response in responses]


def _response(parts: list[dict[str, Any]], reason: str | None = None) -> dict[str, Any]:
    candidate: dict[str, Any] = {"index": 0, "content": {"role": "model", "parts": parts}}
    if reason is not None:
        candidate["finishReason"] = reason
    return {"candidates": [candidate], "usageMetadata": USAGE, "modelVersion": "m", "responseId": "r"}
