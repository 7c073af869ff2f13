"""Fake Claude's models at Google Vertex AI and in Azure AI Foundry, which stream as Anthropic's own API does.

https://docs.cloud.google.com/vertex-ai/generative-ai/docs/partner-models/claude/use-claude
https://learn.microsoft.com/azure/foundry/foundry-models/how-to/use-foundry-models-claude
"""

from __future__ import annotations

import json

from support.models.anthropic import FakeAnthropic, events
from support.models.stream import answer, stream
from support.servers.http1 import Received


class FakeVertex(FakeAnthropic):
    """The handler of an upstream. The path names the model and the call, in place of the body."""

    def __call__(self, request: Received) -> None:
        body = request.read_body()
        path = request.target.decode().partition("?")[0]
        model, _, call = path.rpartition("/models/")[2].partition(":")
        if call not in ("rawPredict", "streamRawPredict") or model == "count-tokens":
            answer(request, {"error": {"code": 404, "message": "none", "status": "NOT_FOUND"}}, 404)
            return
        message, blocks = self.told({**json.loads(body), "model": model})
        if call == "rawPredict":
            answer(request, {**message, "content": blocks})
            return
        stream(request, events(message, blocks))


class FakeFoundry(FakeAnthropic):
    """The handler of an upstream. Anthropic's API, below a path."""

    def __call__(self, request: Received) -> None:
        body = request.read_body()
        if request.target.partition(b"?")[0] == b"/anthropic/v1/messages":
            self.message(request, json.loads(body))
        else:
            answer(request, {"error": {"code": "404", "message": "Resource not found"}}, 404)
