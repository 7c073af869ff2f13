"""Classify a request to a model from its outline, by the formats of providers and the marks of agents.

docs/adr/0050-turns.md has the versions of the agents whose requests were examined.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any, Literal

from nono.named_tuple import NamedTuple
from nono.proxy.conversation.outline import Listed, Outline, Wanted
from nono.proxy.usage.shape import Provider, bedrock_model

# person: a person, or a model that gives another one a task. notice: a text that the agent inserted instead.
# tools: the results of tools. "": nobody.
Speaker = Literal["person", "notice", "tools", "model", ""]

_MODEL = re.compile(r"[\w./:@+-]{1,100}", re.ASCII)  # printed on a terminal
_IN_PATH = re.compile(r"/models/([^/:]+):")
_ID = re.compile(r"[\w-]{1,64}", re.ASCII)
_NOTICE = re.compile(r"<(?:system-reminder|environment_context|turn_aborted|subagent_notification)\b")
_OPENING = re.compile(r"<session_context>")  # sent by Gemini CLI, but not by its subagents
_CONVERSATION: Mapping[Provider, tuple[str, ...]] = {
    "anthropic": ("messages",),
    "openai": ("messages", "input"),
    "gemini": ("contents",),
    "bedrock": ("messages",),
}
_FORMAT = ("response_format", "text", "output_config", "generationConfig")
WANTED = Wanted(
    kept=frozenset(("model", "input", *_FORMAT)),
    lists=frozenset(("messages", "input", "contents")),
    counted=frozenset(("tools",)),
    # Code Assist, the API for logins with Google; Bedrock's Converse
    transparent=frozenset(("request", "toolConfig")),
)


class Marked(NamedTuple):
    """What an agent states about its request in header fields."""

    is_aside: bool = False  # from a subagent, or a question of the agent itself
    turn: str = ""  # equal for all requests of a turn; "" if not stated
    session: str = ""  # differs for each conversation with a person; "" if not stated
    is_retry: bool = False


class Asked(NamedTuple):
    """A classified request to a model."""

    model: str  # "" if not stated
    speaker: Speaker  # of the last item of the conversation
    items: int = 0  # in the conversation
    answers: int = 0  # items from the model
    tools: int = 0  # offered
    wants_json: bool = False
    opens_session: bool = False  # the last item includes what an agent sends at the start of a session
    marked: Marked = Marked()


def asked(provider: Provider, path: str, marked: Marked, outline: Outline) -> Asked:
    """Classify a request. With Gemini and Bedrock, `path` names the model."""
    said = next((outline[name] for name in _CONVERSATION[provider] if name in outline), None)
    if isinstance(said, str):
        said = Listed(1, {"role": "user", "content": said})
    if not isinstance(said, Listed):
        said = Listed(0)
    tools = outline.get("tools")
    in_path = _IN_PATH.search(path)
    model = outline.get("model") or (in_path[1] if in_path is not None else bedrock_model(path))
    return Asked(
        model=model if isinstance(model, str) and _MODEL.fullmatch(model) else "",
        speaker=_speaker(said.last),
        items=said.size,
        answers=said.answers,
        tools=tools.size if isinstance(tools, Listed) else 0,
        opens_session=any(map(_OPENING.match, _texts(said.last))),
        wants_json=any(_wants_json(outline.get(name)) for name in _FORMAT),
        marked=marked,
    )


def marked_by(headers: Iterable[tuple[bytes, bytes]]) -> Marked:
    """Read the header fields in which agents state what a request is for."""
    fields = {name.lower(): value.decode("latin-1") for name, value in headers}
    is_retry = fields.get(b"x-stainless-retry-count", "0") != "0"
    if b"x-claude-code-session-id" in fields:
        # To another address than its provider's it only states whether a subagent asks.
        is_aside = fields.get(b"x-claude-code-request-class", "main") != "main"
        is_aside = is_aside or b"x-claude-code-agent-id" in fields
        prompt, session = fields.get(b"x-claude-code-prompt-id"), fields[b"x-claude-code-session-id"]
        return Marked(is_aside, _id(prompt), _id(session), is_retry)
    if b"x-codex-turn-metadata" in fields:
        about = _object(fields[b"x-codex-turn-metadata"])
        is_main = about.get("thread_source") == "user" and about.get("request_kind") == "turn"
        return Marked(not is_main, _id(about.get("turn_id")), "", is_retry)
    # opencode, Copilot CLI
    is_aside = b"x-parent-session-id" in fields or fields.get(b"x-initiator") == "agent"
    return Marked(is_aside, "", _id(fields.get(b"x-session-id")), is_retry)


def _id(text: object) -> str:
    return text if isinstance(text, str) and _ID.fullmatch(text) else ""


def _object(text: str) -> Mapping[str, Any]:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _speaker(last: Any) -> Speaker:
    if not isinstance(last, dict):
        return ""
    role, kind = last.get("role"), last.get("type", "message")
    if role in ("tool", "function") or (isinstance(kind, str) and kind.endswith("_output")):
        return "tools"
    if kind == "agent_message":  # from Codex's other agents
        return "notice"
    if role in ("assistant", "model") or kind != "message":
        return "model"
    kinds = [_kind(part) for part in _parts(last)]
    # Text that an agent adds to the results of tools cannot be told from a person's.
    if "tools" in kinds:
        return "notice" if kinds[-1] == "notice" else "tools"
    return "person" if "person" in kinds else "notice"


def _parts(said: Mapping[str, Any]) -> list[Any]:
    content = said.get("content", said.get("parts"))
    return content if isinstance(content, list) else [{"text": content}]


def _texts(said: Any) -> list[str]:
    parts = _parts(said) if isinstance(said, dict) else ()
    texts = (part.get("text") for part in parts if isinstance(part, dict))
    return [text for text in texts if isinstance(text, str)]


def _kind(part: object) -> Speaker:
    if not isinstance(part, dict):
        return ""
    kind = part.get("type")
    if not part.keys().isdisjoint(("functionResponse", "toolResult")) or (
        isinstance(kind, str) and kind.endswith("tool_result")
    ):
        return "tools"
    text = part.get("text")
    return "notice" if isinstance(text, str) and _NOTICE.match(text) else "person"


def _wants_json(value: Any) -> bool:
    """Return True if the request wants JSON, as no conversation with a person does."""
    if not isinstance(value, dict):
        return False
    within = value.get("format")
    kind = value.get("type") or (within.get("type") if isinstance(within, dict) else None)
    return kind in ("json_schema", "json_object") or value.get("responseMimeType") == "application/json"
