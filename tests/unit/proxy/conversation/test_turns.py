"""A turn begins with what a person says, and with nothing that an agent says for itself.

The conversations are those of real agents (docs/adr/0050-turns.md), with their texts cut.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pytest

from nono.proxy.conversation.asked import WANTED, Asked, asked, marked_by
from nono.proxy.conversation.outline import OutlineReader
from nono.proxy.conversation.turns import ANEW, FEWER_TOOLS, NO_TOOLS, Judged, TurnTable
from nono.proxy.usage.shape import Provider, provider_of

Fields = dict[str, str]
Request = tuple[Fields, dict[str, Any]]
TOOLS = [{"name": "Bash"}, {"name": "Agent"}, {"name": "Read"}]
REMINDER = {"type": "text", "text": "<system-reminder>\nAttribution for git commits"}


def text(said: str) -> dict[str, Any]:
    return {"type": "text", "text": said}


def of(provider: Provider, path: str, fields: Fields, body: dict[str, Any]) -> Asked:
    reader = OutlineReader(WANTED)
    reader.feed(json.dumps(body).encode())
    headers = [(name.encode(), value.encode()) for name, value in fields.items()]
    assert reader.outline is not None
    return asked(provider, path, marked_by(headers), reader.outline)


def turns(path: str, requests: Sequence[Request]) -> list[int | str]:
    """Return what each request begins: the number of a turn, 0, or why nobody can tell."""
    table, found = TurnTable(), list[int | str]()
    for fields, body in requests:
        provider = provider_of("api.test", path)
        assert provider is not None
        judged = table.judge("service", of(provider, path, fields, body))
        found.append(judged.turn if judged.begins else judged.unclear or 0)
    return found


def claude(kind: str, prompt: str, *messages: dict[str, Any], **more: Any) -> Request:
    fields = {"x-claude-code-session-id": "s-1", "x-claude-code-request-class": kind}
    if prompt:
        fields["x-claude-code-prompt-id"] = prompt
    return fields, {"model": "claude", "tools": TOOLS, "messages": [*messages], **more}


FIRST: dict[str, Any] = {"role": "user", "content": [REMINDER, text("Do the work")]}
ENVIRONMENT = {"role": "system", "content": [text("# Environment")]}
USE = {"role": "assistant", "content": [{"type": "tool_use", "name": "Bash", "input": {"role": "x"}}]}
RESULT: dict[str, Any] = {"role": "user", "content": [{"type": "tool_result", "content": "compiled"}]}
SAID = {"role": "assistant", "content": [text("It printed compiled")]}
TITLE = {"type": "json_schema", "schema": {"properties": {"title": {"type": "string"}}}}
NOTIFICATION = [text("<system-reminder>\n[SYSTEM NOTIFICATION - NOT USER INPUT]")]
CLAUDE_CODE = [
    (claude("auxiliary", "", FIRST, tools=[], output_config={"format": TITLE}), 0),
    (claude("main", "p-1", FIRST, ENVIRONMENT), 1),
    (claude("main", "p-1", FIRST, ENVIRONMENT, USE, RESULT), 0),
    (claude("subagent", "p-1", {"role": "user", "content": [text("Count the sheep")]}, ENVIRONMENT), 0),
    (claude("main", "p-2", FIRST, USE, RESULT, SAID, {"role": "user", "content": NOTIFICATION}), 0),
    (claude("main", "p-3", FIRST, USE, RESULT, SAID, {"role": "user", "content": [text("What is new?")]}), 2),
    (claude("main", "p-3", FIRST, USE, RESULT, SAID, {"role": "user", "content": [text("What is new?")]}), 0),
    # A person who has spoken while a tool ran.
    (claude("main", "p-4", FIRST, USE, {"role": "user", "content": [*RESULT["content"], text("Stop")]}), 3),
]


def local(session: str, *messages: dict[str, Any], agent: str = "", tools: int = 3) -> Request:
    """Return a request of Claude Code to another address than its provider's, such as the proxy's."""
    fields = {"x-claude-code-session-id": session}
    if agent:
        fields["x-claude-code-agent-id"] = agent
    return fields, {"model": "claude", "tools": TOOLS[:tools], "messages": [*messages]}


LOADED = {"role": "user", "content": [*RESULT["content"], text("Tool loaded.")]}
CLAUDE_CODE_AT_A_ROUTE: list[tuple[Request, int | str]] = [
    (local("s-1", FIRST, ENVIRONMENT), 1),
    (local("s-1", FIRST, ENVIRONMENT, USE, LOADED), 0),
    (local("s-1", {"role": "user", "content": [REMINDER, text("Count the sheep")]}, agent="a-1", tools=2), 0),
    (local("s-1", FIRST, ENVIRONMENT, USE, LOADED, SAID, {"role": "user", "content": NOTIFICATION}), 0),
    (local("s-1", FIRST, USE, LOADED, SAID, {"role": "user", "content": [text("What is new?")]}), 2),
    (local("s-2", FIRST, ENVIRONMENT), 3),  # after /clear
    (local("s-2", FIRST, ENVIRONMENT, USE, RESULT), 0),
    (local("s-2", FIRST), ANEW),  # after /compact
]


def codex(source: str, turn: str, *items: dict[str, Any], kind: str = "turn") -> Request:
    about = {"turn_id": turn, "thread_source": source, "request_kind": kind, "agent_name": "/root"}
    developer = {"type": "message", "role": "developer", "content": [{"type": "input_text", "text": "<x>"}]}
    settings = {"type": "configuration_update", "reasoning": {"effort": "low"}}
    fields = {"x-codex-turn-metadata": json.dumps(about)}
    tools = {"type": "additional_tools", "role": "developer", "tools": TOOLS}
    return fields, {"model": "gpt", "input": [tools, developer, *items, settings]}


def codex_says(said: str) -> dict[str, Any]:
    return {"type": "message", "role": "user", "content": [{"type": "input_text", "text": said}]}


CALLED = {"type": "custom_tool_call_output", "output": "compiled"}
CODEX = [
    (codex("user", "t-1", codex_says("<environment_context>"), codex_says("Do the work")), 1),
    (codex("thread_title", "t-2", codex_says("Generate a concise, single-line task title")), 0),
    (codex("user", "t-1", codex_says("Do the work"), {"type": "custom_tool_call"}, CALLED), 0),
    (codex("subagent", "t-3", {"type": "agent_message", "content": [{"type": "input_text"}]}), 0),
    (codex("user", "t-1", codex_says("Do the work"), kind="compaction"), 0),
    (codex("user", "t-4", codex_says("Do the work"), codex_says("What is new?")), 2),
]


def gemini(*contents: dict[str, Any], **more: Any) -> Request:
    return {}, {"contents": [*contents], "tools": [{"functionDeclarations": TOOLS}], **more}


PROMPT = {"role": "user", "parts": [{"text": "<session_context>"}, {"text": "Do the work"}]}
CALL = {"role": "model", "parts": [{"text": "I run it."}, {"functionCall": {"name": "x"}}]}
RESPONSE = {"role": "user", "parts": [{"functionResponse": {"response": {"output": "compiled"}}}]}
DONE = {"role": "model", "parts": [{"text": "It printed compiled"}]}
AGAIN = {"role": "user", "parts": [{"text": "What is new?"}]}
FORM = {"responseMimeType": "application/json"}
GEMINI_CLI: list[tuple[Request, int | str]] = [
    (gemini(PROMPT), 1),
    (gemini(PROMPT, CALL, RESPONSE), 0),
    (gemini({"role": "user", "parts": [{"text": "Count the sheep"}]}), ANEW),
    (gemini(PROMPT, CALL, RESPONSE, DONE, AGAIN), 2),
    (gemini(PROMPT, CALL, RESPONSE, DONE, AGAIN, DONE, AGAIN, generationConfig=FORM), 0),
    (gemini(PROMPT), 3),  # after /clear
]


def chat(*messages: tuple[str, str], tools: int = 3, **more: Any) -> dict[str, Any]:
    said = [{"role": role, "content": content} for role, content in messages]
    return {"model": "gpt", "messages": said, **({"tools": TOOLS[:tools]} if tools else {}), **more}


SYSTEM, DO, TOOL, ANSWER, MORE = (
    ("system", "You are an agent"),
    ("user", "Do the work"),
    ("tool", "compiled"),
    ("assistant", "It printed compiled"),
    ("user", "What is new?"),
)
OPENCODE = [
    (({"x-session-id": "ses_1"}, chat(DO, tools=0)), 0),  # a title
    (({"x-session-id": "ses_1"}, chat(SYSTEM, DO)), 1),
    (({"x-session-id": "ses_2", "x-parent-session-id": "ses_1"}, chat(SYSTEM, ("user", "Sheep"))), 0),
    (({"x-session-id": "ses_1"}, chat(SYSTEM, DO, ANSWER, TOOL)), 0),
    (({"x-session-id": "ses_1"}, chat(SYSTEM, DO, ANSWER, TOOL, ANSWER, MORE)), 2),
]
COPILOT_CLI = [
    (({"x-initiator": "user"}, chat(SYSTEM, DO)), 1),
    (({"x-initiator": "agent"}, chat(SYSTEM, DO, ANSWER, TOOL)), 0),
    (({"x-initiator": "user"}, chat(SYSTEM, DO, ANSWER, TOOL, ANSWER, MORE)), 2),
]
QWEN_CODE: list[tuple[Request, int | str]] = [
    (({}, chat(SYSTEM, DO)), 1),
    (({}, chat(SYSTEM, DO, ANSWER, TOOL)), 0),
    (({}, chat(SYSTEM, DO, ANSWER, TOOL, ANSWER, MORE)), 2),
    (
        (
            {},
            chat(
                SYSTEM, DO, ANSWER, TOOL, ANSWER, MORE, ANSWER, MORE, response_format={"type": "json_schema"}
            ),
        ),
        0,
    ),
    (({}, chat(SYSTEM, DO, ANSWER, TOOL, ANSWER, MORE, ANSWER, MORE, tools=1)), FEWER_TOOLS),
]
AIDER: list[tuple[Request, int | str]] = [(({}, chat(DO, ANSWER, MORE, SYSTEM, tools=0)), NO_TOOLS)]
AGENTS: dict[str, tuple[str, Sequence[tuple[Request, int | str]]]] = {
    "Claude Code": ("/v1/messages", CLAUDE_CODE),
    "Claude Code at a route": ("/v1/messages", CLAUDE_CODE_AT_A_ROUTE),
    "Codex": ("/v1/responses", CODEX),
    "Gemini CLI": ("/v1beta/models/gemini-2.5-pro:streamGenerateContent", GEMINI_CLI),
    "opencode": ("/v1/chat/completions", OPENCODE),
    "Copilot CLI": ("/v1/chat/completions", COPILOT_CLI),
    "Qwen Code": ("/v1/chat/completions", QWEN_CODE),
    "aider": ("/v1/chat/completions", AIDER),
}


@pytest.mark.parametrize("agent", AGENTS)
def test_a_turn_begins_with_what_a_person_says(agent: str) -> None:
    path, conversation = AGENTS[agent]
    assert turns(path, [request for request, _ in conversation]) == [begins for _, begins in conversation]


def test_a_request_that_is_sent_again_begins_no_turn() -> None:
    again = {"x-stainless-retry-count": "1"}
    begin, more = chat(SYSTEM, DO), chat(SYSTEM, DO, ANSWER, MORE)
    assert turns("/v1/chat/completions", [({}, begin), ({}, begin), (again, more), ({}, more)]) == [
        1,
        0,
        0,
        2,
    ]


def test_a_second_conversation_is_said_to_be_unclear() -> None:
    requests: list[Request] = [({}, chat(SYSTEM, DO, ANSWER, MORE)), ({}, chat(SYSTEM, DO))]
    assert turns("/v1/chat/completions", requests) == [1, ANEW]


def test_an_input_that_is_a_text_is_what_a_person_says() -> None:
    assert turns("/v1/responses", [({}, {"input": "Do it", "tools": TOOLS})]) == [1]


@pytest.mark.parametrize("path", ["/v1/embeddings", "/v1/completions"])
def test_what_is_no_conversation_begins_no_turn(path: str) -> None:
    body = {"model": "m", "input": [], "prompt": "x", "tools": TOOLS}
    assert turns(path, [({}, body)]) == [0]


def test_the_model_of_gemini_is_in_its_path() -> None:
    request = of("gemini", "/v1beta/models/gemini-2.5-pro:generateContent", {}, {"contents": []})
    assert request.model == "gemini-2.5-pro"


def test_a_conversation_at_bedrock_is_read() -> None:
    path = "/model/us.anthropic.claude-opus-4-5-20251101-v1%3A0/converse-stream"
    said = [{"role": "user", "content": [{"text": "Do it"}]}]
    body = {"messages": said, "toolConfig": {"tools": [{"toolSpec": {"name": "bash"}}]}}
    answer = {"role": "assistant", "content": [{"toolUse": {"name": "bash"}}]}
    result = {"role": "user", "content": [{"toolResult": {"status": "success"}}]}
    assert of("bedrock", path, {}, body).model == "claude-opus-4-5-20251101-v1:0"
    assert turns(path, [({}, body), ({}, {**body, "messages": [*said, answer, result]})]) == [1, 0]


def test_a_conversation_in_an_envelope_is_read() -> None:
    fields, body = gemini(PROMPT)
    request = of("gemini", "/v1internal:generateContent", fields, {"model": "m", "request": body})
    assert TurnTable().judge("service", request) == Judged(1, begins=True)


def test_a_name_of_a_model_with_an_escape_is_no_name() -> None:
    assert of("openai", "/v1/responses", {}, {"model": "\x1b[31mred", "input": "x"}).model == ""
