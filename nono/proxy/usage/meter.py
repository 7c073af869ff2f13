"""Read the token usage that a language model reports in its response, as the response streams past.

Supported: OpenAI's completions, chat completions, embeddings and responses, Anthropic's messages, Gemini's
generateContent and streamGenerateContent, each as one JSON text or as server-sent events.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Literal

from nono.named_tuple import NamedTuple
from nono.proxy.usage.json_picker import JsonPicker, Path

Provider = Literal["openai", "anthropic", "gemini"]

UNKNOWN_MODEL = "unknown"
_MAX_TOKENS = 10**12  # per response; larger numbers are ignored

_OPENAI_CALLS = frozenset(("completions", "embeddings", "responses"))
_GEMINI_CALLS = (":generateContent", ":streamGenerateContent")
_VERSION = re.compile(r"v\d\w*", re.ASCII)
_COUNTS = re.compile(rb'"usage(?:Metadata)?"\s*:\s*\{')
_MODEL = re.compile(r"[\w./:@+-]{1,100}", re.ASCII)  # it is printed on a terminal

_FIELDS: Mapping[Provider, Mapping[Path, str]] = {
    "openai": {
        ("model",): "model",
        ("usage", "prompt_tokens"): "input",
        ("usage", "input_tokens"): "input",
        ("usage", "completion_tokens"): "output",
        ("usage", "output_tokens"): "output",
        ("usage", "prompt_tokens_details", "cached_tokens"): "cached",
        ("usage", "input_tokens_details", "cached_tokens"): "cached",
    },
    "anthropic": {
        ("model",): "model",
        ("usage", "input_tokens"): "input",
        ("usage", "output_tokens"): "output",
        ("usage", "cache_read_input_tokens"): "cached",
        ("usage", "cache_creation_input_tokens"): "written to cache",
    },
    "gemini": {
        ("modelVersion",): "model",
        ("usageMetadata", "promptTokenCount"): "input",
        ("usageMetadata", "toolUsePromptTokenCount"): "tools",
        ("usageMetadata", "candidatesTokenCount"): "output",
        ("usageMetadata", "thoughtsTokenCount"): "thoughts",
        ("usageMetadata", "cachedContentTokenCount"): "cached",
    },
}
# The object in which the first or last event of a stream wraps its state.
_WRAPPED_IN: Mapping[Provider, str] = {"openai": "response", "anthropic": "message", "gemini": "response"}
# Only Anthropic counts tokens read from or written to a cache separately from the input.
_INPUT: Mapping[Provider, tuple[str, ...]] = {
    "openai": ("input",),
    "anthropic": ("input", "cached", "written to cache"),
    "gemini": ("input", "tools"),
}
_OUTPUT = ("output", "thoughts")


class Usage(NamedTuple):
    """The token usage of one response."""

    model: str
    input_tokens: int  # including cached ones
    output_tokens: int  # including reasoning
    cached_input_tokens: int = 0


def provider_of(host: str, path: str) -> Provider | None:
    """Return the provider whose format the response to a POST to `path` has; None if it counts no tokens.

    The path decides, because many hosts offer these APIs; the host is used only if the path is ambiguous. The
    query is ignored.
    """
    *above, call = path.partition("?")[0].split("/")
    versioned = any(_VERSION.fullmatch(segment) for segment in above)
    if call in _OPENAI_CALLS and (versioned or "openai" in above or above[-1:] == ["chat"]):
        return "openai"
    if call == "messages" and (versioned or host == "api.anthropic.com"):
        return "anthropic"
    return "gemini" if call.endswith(_GEMINI_CALLS) else None


class UsageMeter:
    """Reads a decoded response body without changing it.

    Counts in a stream are cumulative, so the last of each wins; the first model named wins. A stream of
    OpenAI's chat completions reports no usage unless the request set ``stream_options.include_usage``.
    """

    def __init__(self, provider: Provider, content_type: bytes) -> None:
        """Choose the format: ``text/event-stream`` is parsed as events, any other type as one JSON text."""
        self._provider = provider
        fields, wrapper = _FIELDS[provider], _WRAPPED_IN[provider]
        self._fields = {**fields, **{(wrapper, *path): name for path, name in fields.items()}}
        self._said: dict[str, str | int] = {}
        self._picker = JsonPicker(self._fields)
        self._in_text = False  # the picker has seen some of the event
        media_type = content_type.partition(b";")[0].strip().lower()
        self._events = EventData() if media_type == b"text/event-stream" else None

    def feed(self, piece: bytes) -> bytes:
        if self._events is None:
            self._picker.feed(piece)
        else:
            self._feed_events(self._events.feed(piece))
        return piece

    def _feed_events(self, parts: Sequence[bytes | None]) -> None:
        for at, part in enumerate(parts):
            if part is None:
                if self._in_text:
                    self._end_of_text()
            # Most events carry a word of the answer and no count: if an event is complete, a search for
            # counts is ten times quicker than parsing it.
            elif (
                self._in_text
                or "model" not in self._said
                or parts[at + 1 : at + 2] != [None]
                or _COUNTS.search(part)
            ):
                self._picker.feed(part)
                self._in_text = True

    def finish(self) -> bytes:
        self._end_of_text()
        return b""

    @property
    def usage(self) -> Usage | None:
        """The usage reported so far, also for a body that was cut off; None if nothing was reported."""
        if not self._said.keys() & {"input", "output"}:
            return None
        model = str(self._said.get("model", ""))
        return Usage(
            model=model if _MODEL.fullmatch(model) else UNKNOWN_MODEL,
            input_tokens=sum(map(self._count, _INPUT[self._provider])),
            output_tokens=sum(map(self._count, _OUTPUT)),
            cached_input_tokens=self._count("cached"),
        )

    def _end_of_text(self) -> None:
        for path, value in self._picker.values.items():
            name = self._fields[path]
            if name == "model" and isinstance(value, str):
                self._said.setdefault(name, value)
            elif name != "model" and isinstance(value, int):
                self._said[name] = value
        self._picker = JsonPicker(self._fields)
        self._in_text = False

    def _count(self, name: str) -> int:
        value = self._said.get(name, 0)
        return value if isinstance(value, int) and 0 <= value <= _MAX_TOKENS else 0


class EventData:
    """Extracts the data of server-sent events (HTML Living Standard section 9.2.6) without buffering lines.

    A lone carriage return, which no provider sends, is not recognised as a line end.
    """

    def __init__(self) -> None:
        self._start = b""  # the beginning of a line whose field is not known yet
        self._is_data: bool | None = None
        self._in_event = False  # inside an event that has data

    def feed(self, piece: bytes) -> list[bytes | None]:
        """Return the parts of data in order; None marks the end of an event that had data."""
        parts = list[bytes | None]()
        for number, part in enumerate(piece.split(b"\n")):
            if number and self._end_of_line() and self._in_event:
                self._in_event = False
                parts.append(None)
            if part and (content := self._data_in(part)):
                self._in_event = True
                parts.append(content)
        return parts

    def _data_in(self, part: bytes) -> bytes:
        if self._is_data is None:
            part = self._start + part
            if b"data:".startswith(part) or part == b"\r":
                self._start = b"" if part == b"data:" else part
                self._is_data = True if part == b"data:" else None
                return b""
            self._is_data = part.startswith(b"data:")
            self._start, part = b"", part[len(b"data:") :]
        return part if self._is_data else b""

    def _end_of_line(self) -> bool:
        """Return True if the line was the blank one that ends an event."""
        blank = self._is_data is None and self._start in (b"", b"\r")
        self._start, self._is_data = b"", None
        return blank
