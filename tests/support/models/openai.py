"""Fake OpenAI's API with a model that makes the agent use tools, and then reports the results.

https://platform.openai.com/docs/api-reference/responses-streaming and chat-streaming
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from support.models.stream import answer, event, stream
from support.servers.http1 import Received

# Maps a tool's name to the arguments that make it run a command; a text for a tool of type "custom".
Arguments = Mapping[str, Callable[[str], Mapping[str, object] | str]]
# The tool's name, after its namespace and a dot if it has one, and its input.
ToolUse = tuple[str, Mapping[str, object] | str]
# The item of each kind, and the member of it that grows during streaming.
_GROWS = {"function_call": "arguments", "custom_tool_call": "input"}

USAGE = {"input_tokens": 1, "output_tokens": 1, "total_tokens": 2}


class FakeOpenAi:
    """The handler of an upstream. results: what the agent reported of each use, in order.

    tools: The agents' own tools for shell commands. Without any, the command is a block of shell in the text.
    scripts: The uses in a conversation, by the first of these texts that the user says in it. Other
      conversations
        have only the use of the shell command.
    """

    def __init__(
        self,
        command: str,
        tools: Arguments | None = None,
        scripts: Mapping[str, Sequence[ToolUse]] | None = None,
    ) -> None:
        self.command = command
        self.tools = tools or {}
        self.scripts = scripts or {}
        self.results: list[str] = []

    def __call__(self, request: Received) -> None:
        path = request.target.partition(b"?")[0]
        if request.value(b"upgrade"):
            request.connection.respond(426, b"", reason="Upgrade Required")  # this API has no WebSockets
        elif request.method == b"POST" and path == b"/v1/responses":
            self._respond(request, json.loads(request.read_body()))
        elif request.method == b"POST" and path == b"/v1/chat/completions":
            self._complete(request, json.loads(request.read_body()))
        elif request.method == b"GET" and path == b"/v1/models":
            answer(request, {"object": "list", "data": []})
        else:
            request.read_body()
            answer(request, {"error": {"message": "none", "type": "invalid_request_error"}}, 404)

    def _respond(self, request: Received, asked: dict[str, Any]) -> None:
        results = [item["output"] for item in asked["input"] if item.get("type", "").endswith("_call_output")]
        use = self._use(set(_offered(asked)), _of_user(asked["input"]), results)
        if use is not None:
            (namespace, _, name), arguments = use[0].rpartition("."), use[1]
            number = len(results) + 1
            item: dict[str, Any] = {"id": f"fc_{number}", "call_id": f"call_{number}", "name": name}
            item |= {"namespace": namespace} if namespace else {}
            if isinstance(arguments, str):
                item |= {"type": "custom_tool_call", "input": arguments}
            else:
                item |= {"type": "function_call", "arguments": json.dumps(arguments)}
        else:
            text = self._told(results)
            content = [{"type": "output_text", "text": text, "annotations": []}]
            item = {"type": "message", "id": "msg_1", "role": "assistant", "content": content}
        response = {"id": "resp_1", "object": "response", "model": asked["model"], "created_at": 0}
        if asked.get("stream"):
            stream(request, _response_events(response, {**item, "status": "completed"}))
        else:
            answer(request, {**response, "status": "completed", "output": [item], "usage": USAGE})

    def _complete(self, request: Received, asked: dict[str, Any]) -> None:
        results = [message["content"] for message in asked["messages"] if message["role"] == "tool"]
        offered = {tool.get("function", tool).get("name") for tool in asked.get("tools", ())}
        use = self._use(offered, _of_user(asked["messages"]), results)
        function = None if use is None else {"name": use[0], "arguments": json.dumps(use[1])}
        called = {"id": f"call_{len(results) + 1}", "type": "function", "function": function}
        call = called if function else None
        text = None if call else self._told(results) if self.tools else self._said(asked)
        completion = {"id": "c_1", "model": asked["model"], "created": 0}
        if asked.get("stream"):
            stream(request, _completion_events(completion, text, call))
            return
        message: dict[str, Any] = {"role": "assistant", "content": text}
        if call:
            message["tool_calls"] = [call]
        choice = {"index": 0, "message": message, "finish_reason": "tool_calls" if call else "stop"}
        usage = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}
        answer(request, {**completion, "object": "chat.completion", "choices": [choice], "usage": usage})

    def _use(self, offered: set[Any], said: str, results: list[Any]) -> ToolUse | None:
        """Return what the model wants done next; None: nothing more."""
        shell = next(((name, of(self.command)) for name, of in self.tools.items() if name in offered), None)
        script = next((uses for text, uses in self.scripts.items() if text in said), [shell] if shell else [])
        if len(results) >= len(script) or script[0][0] not in offered:
            return None
        if results:
            self._tell(results)
        return script[len(results)]

    def _tell(self, results: list[Any]) -> str:
        self.results.append(results[-1] if isinstance(results[-1], str) else json.dumps(results[-1]))
        return self.results[-1]

    def _said(self, asked: dict[str, Any]) -> str:
        """Return what to say to an agent without tools, which reports in a message what it ran."""
        said = [message["content"] for message in asked["messages"] if message["role"] == "user"]
        results = [text for text in said if self.command in text]
        return self._told(results) if results else f"Run it:\n\n```bash\n{self.command}\n```\n"

    def _told(self, results: list[Any]) -> str:
        if not results:
            return "{}"
        return f"It printed {self._tell(results)}"


def _of_user(messages: list[dict[str, Any]]) -> str:
    """Return what the user, or the agent that started this one, has said so far in the conversation."""
    said = [each for each in messages if each.get("role") == "user" or each.get("type") == "agent_message"]
    contents = [each.get("content") or "" for each in said]
    parts = [[{"text": each}] if isinstance(each, str) else each for each in contents]
    return "\n".join(part.get("text", part.get("encrypted_content", "")) for each in parts for part in each)


def _offered(asked: dict[str, Any]) -> Iterator[Any]:
    """Yield the names of all tools, including those that appear in the conversation."""
    tools = [*asked.get("tools", ())]
    tools += [tool for item in asked["input"] for tool in item.get("tools", ())]
    for tool in tools:
        yield from (inner.get("name") for inner in tool.get("tools", (tool,)))


def _response_events(response: dict[str, Any], item: dict[str, Any]) -> Iterator[str]:
    number = iter(range(100))

    def of(kind: str, **fields: object) -> str:
        return event({"type": kind, "sequence_number": next(number), **fields}, kind)

    begun = {**response, "status": "in_progress", "output": []}
    yield of("response.created", response=begun)
    member = _GROWS.get(item["type"])
    empty: dict[str, object] = {member: ""} if member else {"content": []}
    yield of("response.output_item.added", output_index=0, item={**item, **empty, "status": "in_progress"})
    place: dict[str, Any] = {"item_id": item["id"], "output_index": 0}
    if member is not None:
        yield from _grown(of, f"response.{item['type']}_{member}", place, member, item[member])
    else:
        part = item["content"][0]
        place["content_index"] = 0
        yield of("response.content_part.added", **place, part={**part, "text": ""})
        yield from _grown(of, "response.output_text", place, "text", part["text"])
        yield of("response.content_part.done", **place, part=part)
    yield of("response.output_item.done", output_index=0, item=item)
    done = {**response, "status": "completed", "output": [item], "usage": USAGE}
    yield of("response.completed", response=done)


def _grown(of: Callable[..., str], kind: str, place: dict[str, Any], member: str, text: str) -> Iterator[str]:
    half = len(text) // 2
    for piece in (text[:half], text[half:]):
        yield of(f"{kind}.delta", **place, delta=piece)
    yield of(f"{kind}.done", **place, **{member: text})


def _completion_events(
    completion: dict[str, Any], text: str | None, call: dict[str, Any] | None
) -> Iterator[str]:
    def of(delta: dict[str, Any], reason: str | None = None) -> str:
        choice = {"index": 0, "delta": delta, "finish_reason": reason}
        return event({**completion, "object": "chat.completion.chunk", "choices": [choice]})

    yield of({"role": "assistant", "content": ""})
    whole = text if call is None else call["function"]["arguments"]
    half = len(whole or "") // 2
    if call is not None:
        yield of({"tool_calls": [{**call, "index": 0, "function": {**call["function"], "arguments": ""}}]})
    for piece in (whole[:half], whole[half:]) if whole else ():
        if call is None:
            yield of({"content": piece})
        else:
            yield of({"tool_calls": [{"index": 0, "function": {"arguments": piece}}]})
    yield of({}, "stop" if call is None else "tool_calls")
    usage = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}
    yield event({**completion, "object": "chat.completion.chunk", "choices": [], "usage": usage})
    yield "data: [DONE]\n\n"


class FakeAzure(FakeOpenAi):
    """The handler of an upstream. OpenAI's API below /openai, and in older paths below a deployment.

    https://learn.microsoft.com/azure/ai-foundry/openai/reference
    """

    def __call__(self, request: Received) -> None:
        method, _, rest = request.head.partition(b" /openai/")
        call = re.sub(rb"v1/|deployments/[^/]+/", b"", rest, count=1)
        super().__call__(replace(request, head=method + b" /v1/" + call))
