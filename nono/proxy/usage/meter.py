"""Read the token usage that a language model reports in its response, as the response streams past.

Supported: OpenAI's completions, chat completions, embeddings and responses, Anthropic's messages, Gemini's
generateContent and streamGenerateContent, each as one JSON text or as server-sent events; Amazon Bedrock's
InvokeModel and Converse, as one JSON text or as an event stream of AWS.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from nono.named_tuple import NamedTuple
from nono.proxy.usage.aws_event_stream import MEDIA_TYPE, AwsEventStream
from nono.proxy.usage.event_data import EventData
from nono.proxy.usage.json_picker import EACH, JsonPicker, Path
from nono.proxy.usage.shape import Provider, bedrock_model

UNKNOWN_MODEL = "unknown"
MAX_EVENT_BYTES = 1024 * 1024  # of one event of a stream; providers send a few KiB
_MAX_TOKENS = 10**12  # per response; larger numbers are ignored
# To estimate the tokens of an event of a stream: what surrounds the words in it, and the bytes of a token.
_AROUND_WORDS_BYTES = 80
_TOKEN_BYTES = 4
_EVENT_TOKENS_MAX = 1000  # results of a search, which are no output, are long
_START_BYTES = 128  # of an event, in which its type stands
# Of output, however long: a request can have its thoughts hidden in a signature, and they are paid for.
_OF_OUTPUT = re.compile(rb'delta"|"redacted')

_COUNTS = re.compile(rb'"usage(?:Metadata)?"\s*:\s*\{|"message_stop"|"amazon-bedrock-invocationMetrics"')
_MODEL = re.compile(r"[\w./:@+-]{1,100}", re.ASCII)  # it is printed on a terminal
# Servers in Go and in workers of Cloudflare that set no type of their own send JSON as text/plain.
_MAY_BE_JSON = re.compile(rb"json$|^(?:text/plain)?$")

_ANTHROPIC: Mapping[Path, str] = {
    ("model",): "model",
    ("usage", "input_tokens"): "input",
    ("usage", "output_tokens"): "output",
    ("usage", "cache_read_input_tokens"): "cached",
    ("usage", "cache_creation_input_tokens"): "written to cache",
    ("usage", "cache_creation", "ephemeral_1h_input_tokens"): "written for an hour",
    # The iterations exceed the total if the context was compacted, or another model gave advice.
    ("usage", "iterations", EACH, "input_tokens"): "input, iterated",
    ("usage", "iterations", EACH, "output_tokens"): "output, iterated",
    ("usage", "iterations", EACH, "cache_read_input_tokens"): "cached, iterated",
    ("usage", "iterations", EACH, "cache_creation_input_tokens"): "written to cache, iterated",
}
# The last event of Bedrock's streams reports one of these; other events may follow it.
_CONVERSE: Mapping[Path, str] = {
    ("usage", "inputTokens"): "input",
    ("usage", "outputTokens"): "output",
    ("usage", "cacheReadInputTokens"): "cached",
    ("usage", "cacheWriteInputTokens"): "written to cache",
}
_INVOKE: Mapping[Path, str] = {
    ("amazon-bedrock-invocationMetrics", "inputTokenCount"): "input",
    ("amazon-bedrock-invocationMetrics", "outputTokenCount"): "output",
    ("amazon-bedrock-invocationMetrics", "cacheReadInputTokenCount"): "cached",
    ("amazon-bedrock-invocationMetrics", "cacheWriteInputTokenCount"): "written to cache",
}
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
    "anthropic": _ANTHROPIC,
    "bedrock": {**_ANTHROPIC, **_CONVERSE, **_INVOKE},
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
_WRAPPED_IN: Mapping[Provider, str] = {
    "openai": "response",
    "anthropic": "message",
    "gemini": "response",
    "bedrock": "message",
}
# Only these count tokens read from or written to a cache separately from the input.
_SEPARATELY = ("input", "cached", "written to cache")
_INPUT: Mapping[Provider, tuple[str, ...]] = {
    "openai": ("input",),
    "anthropic": _SEPARATELY,
    "bedrock": _SEPARATELY,
    "gemini": ("input", "tools"),
}
_OUTPUT = ("output", "thoughts")
# The first event of a stream reports one token of output, and the one before the last the actual number.
_TOTAL_AT_END = frozenset(("anthropic", "bedrock"))
# The events after which a stream reports nothing more. Gemini's has none.
_LAST_EVENTS = frozenset(
    ("message_stop", "response.completed", "response.incomplete", "response.failed", "response.cancelled")
)
_DONE = b"[DONE]"  # in place of a last event, for OpenAI's completions


class Usage(NamedTuple):
    """The token usage of one response."""

    model: str
    input_tokens: int  # including cached ones
    output_tokens: int  # including reasoning
    cached_input_tokens: int = 0
    cache_creation_tokens: int = 0  # of the input: what was written to a cache
    cache_creation_1h_tokens: int = 0  # of these: for an hour rather than minutes


class UsageMeter:
    """Reads a decoded response body without changing it.

    Counts in a stream are cumulative, so the last of each wins; the first model named wins. A stream of
    OpenAI's chat completions reports no usage unless the request set ``stream_options.include_usage``. A
    stream with an event above MAX_EVENT_BYTES is not read on, and counts as one that reports no usage.
    """

    def __init__(self, provider: Provider, content_type: bytes, path: str = "") -> None:
        """Choose the format: streams of two types are parsed as events, what may be JSON as one text.

        Any other type is not read: a command can ask Google for its protobuf, in which the words of a model
        would pass for counts.

        path: of the request. Bedrock's names the model.
        """
        self._provider = provider
        fields, wrapper = _FIELDS[provider], _WRAPPED_IN[provider]
        wrapped = {(wrapper, *path): name for path, name in fields.items()}
        self._fields = {**fields, **wrapped, ("type",): "type"}
        self._said: dict[str, str | int] = {}
        if provider == "bedrock" and (model := bedrock_model(path)):
            self._said["model"] = model
        self._event_start = b""  # of the event being read
        self._has_total = False  # an event after the first reported output tokens
        self._has_end = False  # the last event of a stream has arrived
        self._is_whole = False
        self._picker = JsonPicker(self._fields)
        self._in_text = False  # the picker has read part of the event
        self._event_bytes = 0
        self._streamed_tokens = 0  # an estimate, of the events after the first report
        media_type = content_type.partition(b";")[0].strip().lower()
        streams: Mapping[bytes, type[EventData | AwsEventStream]] = {
            b"text/event-stream": EventData,
            MEDIA_TYPE: AwsEventStream,
        }
        self._events = streams[media_type]() if media_type in streams else None
        self._gave_up = self._events is None and _MAY_BE_JSON.search(media_type) is None

    def feed(self, piece: bytes) -> bytes:
        if self._gave_up:
            return piece
        if self._events is None:
            self._picker.feed(piece)
        else:
            self._feed_events(self._events.feed(piece))
            if self._events.is_broken:
                self._gave_up = True
        return piece

    def _feed_events(self, parts: Sequence[bytes | None]) -> None:
        for at, part in enumerate(parts):
            self._event_bytes += 0 if part is None else len(part)
            if self._event_bytes > MAX_EVENT_BYTES:
                self._gave_up = True
                return
            if part is None:
                if self._said.keys() & {"input", "output"}:
                    self._streamed_tokens += self._tokens_of_event()
                self._event_bytes = 0
                if self._event_start.strip() == _DONE:
                    self._has_end = True
                self._event_start = b""
                if self._in_text:
                    self._end_of_text()
                continue
            self._event_start = (self._event_start + part[:_START_BYTES])[:_START_BYTES]
            # Most events carry a word of the answer and no count: searching a complete event for counts is
            # ten times faster than parsing it.
            if (
                self._in_text
                or "model" not in self._said
                or parts[at + 1 : at + 2] != [None]
                or _COUNTS.search(part)
            ):
                self._picker.feed(part)
                self._in_text = True

    def _tokens_of_event(self) -> int:
        tokens = max(1, (self._event_bytes - _AROUND_WORDS_BYTES) // _TOKEN_BYTES)
        if tokens > _EVENT_TOKENS_MAX and _OF_OUTPUT.search(self._event_start) is None:
            return _EVENT_TOKENS_MAX
        return tokens

    def finish(self) -> bytes:
        self._end_of_text()
        self._is_whole = True
        return b""

    @property
    def is_final(self) -> bool:
        """True if `usage` is everything the response used, even if a client stopped reading after the end.

        The first event of an Anthropic stream reports the length of the input and one token of output; the
        actual output is only reported at the end.
        """
        if self.usage is None or not (self._is_whole or self._has_end):
            return False
        return self._provider not in _TOTAL_AT_END or self._has_total

    @property
    def usage(self) -> Usage | None:
        """The usage reported so far, also for a body that was cut off; None if none was reported or read."""
        if self._gave_up or not self._said.keys() & {"input", "output"}:
            return None
        model = str(self._said.get("model", ""))
        return Usage(
            model=model if _MODEL.fullmatch(model) else UNKNOWN_MODEL,
            input_tokens=self._total(_INPUT[self._provider]),
            output_tokens=self._total(_OUTPUT),
            cached_input_tokens=self._count("cached"),
            cache_creation_tokens=self._count("written to cache"),
            cache_creation_1h_tokens=self._count("written for an hour"),
        )

    @property
    def likely_usage(self) -> Usage | None:
        """The usage, with an estimate of the output where only its end would report it."""
        usage = self.usage
        if usage is None or self._has_total or self._provider not in _TOTAL_AT_END:
            return usage
        return usage._replace(output_tokens=max(usage.output_tokens, self._streamed_tokens))

    def _end_of_text(self) -> None:
        for path, value in self._picker.values.items():
            name = self._fields[path]
            if name == "output" and path[0] != _WRAPPED_IN[self._provider] and isinstance(value, int):
                self._has_total = True
                self._has_end = self._has_end or path in _CONVERSE or path in _INVOKE
            if name == "type":
                self._has_end = self._has_end or value in _LAST_EVENTS
            elif name == "model" and isinstance(value, str):
                self._said.setdefault(name, value)
            elif name != "model" and isinstance(value, int):
                self._said[name] = value
        self._picker = JsonPicker(self._fields)
        self._in_text = False

    def _total(self, names: Sequence[str]) -> int:
        iterated = sum(self._count(f"{name}, iterated") for name in names)
        return max(sum(map(self._count, names)), iterated)

    def _count(self, name: str) -> int:
        value = self._said.get(name, 0)
        return value if isinstance(value, int) and 0 <= value <= _MAX_TOKENS else 0
