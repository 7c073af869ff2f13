"""A Gemini API whose model has the agent run one shell command, and then says what came of it.

https://ai.google.dev/api/generate-content
"""

from __future__ import annotations

import json
from typing import Any

from support.models.stream import answer, event, stream
from support.servers.http1 import Received

USAGE = {"promptTokenCount": 1, "candidatesTokenCount": 1, "totalTokenCount": 2}


class FakeGemini:
    """The handler of an upstream. tool: the agent's own for shell commands; results: what it reported."""

    def __init__(self, command: str, tool: str = "run_shell_command") -> None:
        self.command = command
        self.tool = tool
        self.results: list[str] = []

    def __call__(self, request: Received) -> None:
        body = request.read_body()
        path = request.target.partition(b"?")[0]
        if path.endswith(b":streamGenerateContent"):
            first, last = self._parts(json.loads(body))
            stream(request, [event(_response([first])), event(_response(last, "STOP"))])
        elif path.endswith(b":generateContent"):
            parts = self._parts(json.loads(body))
            answer(request, _response([parts[0], *parts[1]], "STOP"))
        elif path.endswith(b":countTokens"):
            answer(request, {"totalTokens": 1})
        else:
            answer(request, {"error": {"code": 404, "message": "none", "status": "NOT_FOUND"}}, 404)

    def _parts(self, asked: dict[str, Any]) -> tuple[dict[str, Any], list[dict[str, Any]]]:
        """The first, and those that come later."""
        declared = {each.get("name") for tool in asked.get("tools", ()) for each in _declarations(tool)}
        if self.tool not in declared:
            # A question of the agent's own, beside the conversation; it may want JSON.
            return {"text": "{"}, [{"text": "}"}]
        if (result := _last_result(asked)) is None:
            call = {"name": self.tool, "args": {"command": self.command, "description": "Runs a command"}}
            return {"text": "I run it."}, [{"functionCall": call}]
        self.results.append(result)
        return {"text": "It printed "}, [{"text": result}]


def _declarations(tool: dict[str, Any]) -> list[dict[str, Any]]:
    declared: list[dict[str, Any]] = tool.get("functionDeclarations", [])
    return declared


def _last_result(asked: dict[str, Any]) -> str | None:
    for part in asked["contents"][-1]["parts"]:
        if "functionResponse" in part:
            response = part["functionResponse"]["response"]
            return str(response.get("output", response))
    return None


def _response(parts: list[dict[str, Any]], reason: str | None = None) -> dict[str, Any]:
    candidate: dict[str, Any] = {"index": 0, "content": {"role": "model", "parts": parts}}
    if reason is not None:
        candidate["finishReason"] = reason
    return {"candidates": [candidate], "usageMetadata": USAGE, "modelVersion": "m", "responseId": "r"}
