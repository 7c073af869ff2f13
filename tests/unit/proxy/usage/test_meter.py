"""The tokens of responses are read off whole, whatever provider, form and cuts, and limits hold."""

from __future__ import annotations

import json
import struct
import tracemalloc
from collections.abc import Iterator
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nono.audit.traffic import Spent
from nono.policy.schema.route_rules import UsageLimits
from nono.proxy.usage.aws_event_stream import MAX_MESSAGE_BYTES
from nono.proxy.usage.json_picker import JsonPicker
from nono.proxy.usage.ledger import UsageLedger, UsageLimiter
from nono.proxy.usage.meter import MAX_EVENT_BYTES, Usage, UsageMeter
from nono.proxy.usage.prices import ModelPrices, Price, shipped_prices
from nono.proxy.usage.shape import Provider, bedrock_model, is_countable, metered, provider_of
from support.models.bedrock import chunk, framed

JSON = b"application/json; charset=utf-8"
EVENTS = b"text/event-stream; charset=utf-8"
AWS_EVENTS = b"application/vnd.amazon.eventstream"
VERTEX = "/v1/projects/p/locations/us-east5/publishers"
AWS = "bedrock-runtime.us-east-1.amazonaws.com"
ARN_AT_AWS = "/model/arn%3Aaws%3Abedrock%3Aus-east-1%3A1%3A"
PROFILE_AT_AWS = f"{ARN_AT_AWS}application-inference-profile%2Fabc1"
CLAUDE_AT_AWS = "/model/us.anthropic.claude-opus-4-5-20251101-v1%3A0"


def _json(**members: object) -> bytes:
    return json.dumps(members).encode()


def _events(*events: dict[str, object], named: bool = False, end: str = "\n") -> bytes:
    lines = []
    for event in events:
        lines += [f"event: {event['type']}"] if named else []
        lines += [f"data: {json.dumps(event)}", ""]
    return end.join([*lines, ""]).encode()


FALSE_USAGE = 'a "usage": {"output_tokens": 9999, "total": "\\"} { [', {"usage": {"output_tokens": 7777}}

OPENAI_CHAT = _json(
    id="chatcmpl-1",
    model="gpt-4o-2024-08-06",
    choices=[{"message": {"role": "assistant", "content": FALSE_USAGE[0]}, "logprobs": None}],
    usage={
        "prompt_tokens": 1200,
        "completion_tokens": 34,
        "total_tokens": 1234,
        "prompt_tokens_details": {"cached_tokens": 1024, "audio_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": 12},
    },
    system_fingerprint=None,
)
_chunk = {"id": "chatcmpl-1", "model": "gpt-4o-mini", "object": "chat.completion.chunk"}
OPENAI_CHAT_STREAM = (
    _events(
        {**_chunk, "choices": [{"delta": {"content": FALSE_USAGE[0]}}], "usage": None},
        {**_chunk, "choices": [{"delta": {}, "finish_reason": "stop"}], "usage": None},
        {**_chunk, "choices": [], "usage": {"prompt_tokens": 9, "completion_tokens": 12}},
    )
    + b"data: [DONE]\n\n"
)
OPENAI_CHAT_STREAM_UNASKED = (
    _events({**_chunk, "choices": [{"delta": {"content": "hi"}}]}) + b"data: [DONE]\n\n"
)
OPENAI_RESPONSE = _json(
    id="resp_1",
    model="gpt-5.1-2025-11-13",
    output=[{"type": "function_call", "arguments": FALSE_USAGE[0]}, FALSE_USAGE[1]],
    usage={
        "input_tokens": 50,
        "input_tokens_details": {"cached_tokens": 40},
        "output_tokens": 6,
        "output_tokens_details": {"reasoning_tokens": 0},
    },
    metadata={},
)
OPENAI_RESPONSE_STREAM = _events(
    {"type": "response.created", "response": {"model": "gpt-5.1-2025-11-13", "usage": None, "output": []}},
    {"type": "response.output_text.delta", "delta": FALSE_USAGE[0]},
    {"type": "response.completed", "response": json.loads(OPENAI_RESPONSE)},
    named=True,
)
OPENAI_EMBEDDINGS = _json(
    object="list",
    data=[{"embedding": [0.25, -0.5, 1e-3] * 50, "index": 0}],
    model="text-embedding-3-small",
    usage={"prompt_tokens": 8, "total_tokens": 8},
)
_anthropic_usage = {
    "input_tokens": 10,
    "cache_creation_input_tokens": 200,
    "cache_read_input_tokens": 3000,
    "cache_creation": {"ephemeral_5m_input_tokens": 50, "ephemeral_1h_input_tokens": 150},
}
ANTHROPIC = _json(
    id="msg_1",
    type="message",
    model="claude-sonnet-4-5-20250929",
    content=[{"type": "text", "text": FALSE_USAGE[0]}, {"type": "tool_use", "input": FALSE_USAGE[1]}],
    usage={**_anthropic_usage, "output_tokens": 55, "service_tier": "standard"},
)
ANTHROPIC_STREAM = _events(
    {
        "type": "message_start",
        "message": {
            "model": "claude-opus-4-5-20251101",
            "content": [],
            "usage": {**_anthropic_usage, "output_tokens": 1},
        },
    },
    {"type": "ping"},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": FALSE_USAGE[0]}},
    {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 20}},
    {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 55}},
    {"type": "message_stop"},
    named=True,
)
_iterations = {
    "input_tokens": 10,
    "output_tokens": 5,
    "iterations": [
        {"type": "compaction", "input_tokens": 900, "output_tokens": 300, "cache_creation": {"x": 1}},
        {"type": "message", "input_tokens": 10, "output_tokens": 5, "cache_read_input_tokens": 2},
    ],
    "service_tier": "standard",
}
_gemini_chunks: list[dict[str, object]] = [
    {
        "candidates": [{"content": {"parts": [{"text": FALSE_USAGE[0]}, {"functionCall": FALSE_USAGE[1]}]}}],
        "usageMetadata": {"promptTokenCount": 7, "totalTokenCount": 7},
        "modelVersion": "gemini-2.5-flash",
    },
    {
        "candidates": [{"finishReason": "STOP"}],
        "usageMetadata": {
            "promptTokenCount": 7,
            "candidatesTokenCount": 30,
            "thoughtsTokenCount": 12,
            "toolUsePromptTokenCount": 3,
            "cachedContentTokenCount": 4,
            "promptTokensDetails": [{"modality": "TEXT", "tokenCount": 7}],
        },
        "modelVersion": "gemini-2.5-flash",
    },
]
_metrics = {"inputTokenCount": 10, "outputTokenCount": 55, "firstByteLatency": 2}
BEDROCK_STREAM = b"".join(
    chunk(event)
    for event in (
        *(json.loads(line[6:]) for line in ANTHROPIC_STREAM.splitlines()[:-3] if line.startswith(b"data: ")),
        {"type": "message_stop", "amazon-bedrock-invocationMetrics": _metrics},
    )
)
_converse_usage = {"inputTokens": 10, "outputTokens": 55, "totalTokens": 65, "cacheReadInputTokens": 3000}
CONVERSE_STREAM = b"".join(
    framed(event)
    for event in (
        {"p": "ab", "role": "assistant"},
        {"contentBlockIndex": 0, "delta": {"text": FALSE_USAGE[0]}, "p": "abc"},
        {"contentBlockIndex": 0, "p": "abc"},
        {"p": "a", "stopReason": "end_turn"},
        {"metrics": {"latencyMs": 900}, "p": "a", "usage": _converse_usage},
    )
)
_gemini = Usage("gemini-2.5-flash", 10, 42, 4)

RECORDED: dict[str, tuple[Provider, bytes, bytes, Usage | None]] = {
    "openai chat": ("openai", JSON, OPENAI_CHAT, Usage("gpt-4o-2024-08-06", 1200, 34, 1024)),
    "openai chat, streamed": ("openai", EVENTS, OPENAI_CHAT_STREAM, Usage("gpt-4o-mini", 9, 12)),
    "openai chat, streamed without usage": ("openai", EVENTS, OPENAI_CHAT_STREAM_UNASKED, None),
    "openai chat, the model named in the first event only": (
        "openai",
        EVENTS,
        _events({"model": "m-1"}, {"model": "m-2"}, {"x": 1}, {"usage": {"prompt_tokens": 3}}),
        Usage("m-1", 3, 0),
    ),
    "openai response": ("openai", JSON, OPENAI_RESPONSE, Usage("gpt-5.1-2025-11-13", 50, 6, 40)),
    "openai response, streamed": (
        "openai",
        EVENTS,
        OPENAI_RESPONSE_STREAM,
        Usage("gpt-5.1-2025-11-13", 50, 6, 40),
    ),
    "openai embeddings": ("openai", JSON, OPENAI_EMBEDDINGS, Usage("text-embedding-3-small", 8, 0)),
    "anthropic": (
        "anthropic",
        JSON,
        ANTHROPIC,
        Usage("claude-sonnet-4-5-20250929", 3210, 55, 3000, 200, 150),
    ),
    "anthropic, streamed": (
        "anthropic",
        EVENTS,
        ANTHROPIC_STREAM,
        Usage("claude-opus-4-5-20251101", 3210, 55, 3000, 200, 150),
    ),
    "anthropic, with its context compacted": (
        "anthropic",
        JSON,
        _json(content=[FALSE_USAGE[1]], usage=_iterations, model="m"),
        Usage("m", 912, 305),
    ),
    "anthropic, streamed with its context compacted": (
        "anthropic",
        EVENTS,
        _events(
            {"type": "message_start", "message": {"model": "m", "usage": {"input_tokens": 10}}},
            {"type": "message_delta", "usage": _iterations},
            {"type": "message_delta", "usage": _iterations},
            {"type": "message_stop"},
        ),
        Usage("m", 912, 305),
    ),
    "gemini": ("gemini", JSON, json.dumps(_gemini_chunks[1]).encode(), _gemini),
    "gemini, streamed as events": ("gemini", EVENTS, _events(*_gemini_chunks, end="\r\n"), _gemini),
    "gemini, streamed as an array": ("gemini", JSON, json.dumps(_gemini_chunks, indent=1).encode(), _gemini),
    "gemini, wrapped": ("gemini", JSON, _json(response=_gemini_chunks[1]), _gemini),
    "bedrock": ("bedrock", JSON, ANTHROPIC, Usage("claude-sonnet-4-5-20250929", 3210, 55, 3000, 200, 150)),
    "bedrock, streamed": (
        "bedrock",
        AWS_EVENTS,
        BEDROCK_STREAM,
        Usage("claude-opus-4-5-20251101", 3210, 55, 3000, 200, 150),
    ),
    "bedrock, another maker's model, streamed": (
        "bedrock",
        AWS_EVENTS,
        chunk({"generation": "hi"}) + chunk({"generation": "", "amazon-bedrock-invocationMetrics": _metrics}),
        Usage("unknown", 10, 55),
    ),
    "bedrock, a conversation": (
        "bedrock",
        JSON,
        _json(output={"message": {"content": [{"text": FALSE_USAGE[0]}]}}, usage=_converse_usage),
        Usage("unknown", 3010, 55, 3000),
    ),
    "bedrock, a conversation, streamed": (
        "bedrock",
        AWS_EVENTS,
        CONVERSE_STREAM,
        Usage("unknown", 3010, 55, 3000),
    ),
    "bedrock, a stream that is none": ("bedrock", AWS_EVENTS, ANTHROPIC_STREAM, None),
    "an error": ("openai", JSON, _json(error={"message": "usage", "usage": {"prompt_tokens": 5}}), None),
    "words that look like counts, in a format that is no JSON": (
        "gemini",
        b"application/x-protobuf",
        b"\n\x8a\x01" + _json(usageMetadata={"promptTokenCount": 1, "candidatesTokenCount": 1}),
        None,
    ),
    "JSON of a type of its own": (
        "openai",
        b"application/vnd.x+json",
        _json(usage={"prompt_tokens": 5}),
        Usage("unknown", 5, 0),
    ),
    "JSON that its server calls a text": (
        "openai",
        b"text/plain; charset=utf-8",
        _json(usage={"prompt_tokens": 5}),
        Usage("unknown", 5, 0),
    ),
    "JSON without a type": ("openai", b"", _json(usage={"prompt_tokens": 5}), Usage("unknown", 5, 0)),
    "no JSON": ("openai", b"text/html", b'<p class="usage">}}]] : "', None),
    "a negative count": ("openai", JSON, _json(usage={"prompt_tokens": -5}), Usage("unknown", 0, 0)),
    "a count that is a text": ("openai", JSON, _json(usage={"prompt_tokens": "5"}), None),
    "a model made of escapes": (
        "openai",
        JSON,
        _json(model="\x1b[2J", usage={"prompt_tokens": 5}),
        Usage("unknown", 5, 0),
    ),
}
_recorded = pytest.mark.parametrize(
    ("provider", "content_type", "body", "expected"), RECORDED.values(), ids=RECORDED
)


def _metered(provider: Provider, content_type: bytes, *pieces: bytes) -> Usage | None:
    meter = UsageMeter(provider, content_type)
    assert b"".join([*map(meter.feed, pieces), meter.finish()]) == b"".join(pieces)
    return meter.usage


@_recorded
def test_usage_is_what_the_response_says(
    provider: Provider, content_type: bytes, body: bytes, expected: Usage | None
) -> None:
    assert _metered(provider, content_type, body) == expected
    assert _metered(provider, content_type, *[bytes([octet]) for octet in body]) == expected


@_recorded
@given(cuts=st.lists(st.integers(0, 2000), max_size=8))
def test_cuts_do_not_matter(
    provider: Provider, content_type: bytes, body: bytes, expected: Usage | None, cuts: list[int]
) -> None:
    edges = [0, *sorted(cut for cut in cuts if cut <= len(body)), len(body)]
    pieces = [body[start:end] for start, end in pairwise(edges)]
    assert _metered(provider, content_type, *pieces) == expected


def test_a_stream_that_was_cut_off_counts_up_to_there() -> None:
    start = ANTHROPIC_STREAM[: ANTHROPIC_STREAM.index(b"event: ping")]
    assert _metered("anthropic", EVENTS, start) == Usage("claude-opus-4-5-20251101", 3210, 1, 3000, 200, 150)


@pytest.mark.parametrize("content_type", [JSON, EVENTS], ids=["one text", "one event"])
def test_a_body_of_any_size_is_metered_in_little_memory(content_type: bytes) -> None:
    head, tail = b'{"data": [{"b64": "', b'"}], "model": "m", "usage": {"prompt_tokens": 3}}\n\n'
    filling = b"A" * 65536
    meter = UsageMeter("openai", content_type)
    tracemalloc.start()
    try:
        meter.feed(b"data: " + head if content_type is EVENTS else head)
        for _ in range(512):
            meter.feed(filling)
        meter.feed(b'"}], "' + filling + b'": {"x": 0.' + b"1" * 65536 + b'}, "data": [{"x": "')
        meter.feed(tail)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    meter.finish()
    # Of an event so long no more is read, and what it used is unknown.
    assert meter.usage == (None if content_type is EVENTS else Usage("m", 3, 0))
    assert peak < 1024 * 1024


@pytest.mark.parametrize("excess", [-100, 100])
def test_an_event_beyond_a_mebibyte_leaves_its_stream_unmetered(excess: int) -> None:
    text = b'{"x": "' + b"A" * (MAX_EVENT_BYTES + excess) + b'"}'
    last = b'{"model": "m", "usage": {"prompt_tokens": 3}}'
    used = _metered("openai", EVENTS, b"data: " + text + b"\n\ndata: " + last + b"\n\n")
    assert used == (None if excess > 0 else Usage("m", 3, 0))


_scalars = st.none() | st.booleans() | st.integers(-(10**6), 10**6) | st.text(max_size=8)
_trees = st.recursive(
    _scalars | st.floats(allow_nan=False),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["a", "b", "usage", 'q"\\', "é"]), inner, max_size=4)
    ),
    max_leaves=12,
)


def _picked(tree: object, path: tuple[str, ...]) -> object:
    for key in path:
        tree = tree.get(key) if isinstance(tree, dict) else None
    return tree if isinstance(tree, str | int) and not isinstance(tree, bool) else None


@given(
    st.dictionaries(st.sampled_from(["a", "b", "usage"]), _trees, max_size=4),
    st.lists(st.integers(0, 200), max_size=6),
    st.booleans(),
    st.sampled_from([None, 2]),
)
def test_the_picker_finds_what_a_whole_parser_finds(
    tree: dict[str, object], cuts: list[int], ascii_only: bool, indent: int | None
) -> None:
    wanted = [("a",), ("usage", "a"), ("usage", "b", "a")]
    text = json.dumps(tree, ensure_ascii=ascii_only, indent=indent).encode()
    picker = JsonPicker(wanted)
    edges = [0, *sorted(cut for cut in cuts if cut <= len(text)), len(text)]
    for start, end in pairwise(edges):
        picker.feed(text[start:end])
    expected = {path: _picked(tree, path) for path in wanted}
    assert picker.values == {path: value for path, value in expected.items() if value is not None}


@given(st.binary(max_size=200))
def test_the_picker_survives_anything(text: bytes) -> None:
    JsonPicker([("a",)]).feed(text)


@pytest.mark.parametrize(
    ("host", "path", "provider"),
    [
        ("api.openai.com", "/v1/chat/completions", "openai"),
        ("api.openai.com", "/v1/completions", "openai"),
        ("api.openai.com", "/v1/responses", "openai"),
        ("api.openai.com", "/v1/embeddings", "openai"),
        ("api.groq.com", "/openai/v1/chat/completions", "openai"),
        ("openrouter.ai", "/api/v1/chat/completions?x=1", "openai"),
        ("x.openai.azure.com", "/openai/deployments/d/chat/completions?api-version=1", "openai"),
        ("x.openai.azure.com", "/openai/deployments/d/embeddings", "openai"),
        ("api.deepseek.com", "/chat/completions", "openai"),
        ("generativelanguage.googleapis.com", "/v1beta/openai/chat/completions", "openai"),
        ("api.anthropic.com", "/v1/messages", "anthropic"),
        ("api.anthropic.com", "/v1/messages?beta=true", "anthropic"),
        ("api.deepseek.com", "/anthropic/v1/messages", "anthropic"),
        ("generativelanguage.googleapis.com", "/v1beta/models/gemini-2.5-pro:generateContent", "gemini"),
        (
            "generativelanguage.googleapis.com",
            "/v1beta/models/g:streamGenerateContent?alt=sse",
            "gemini",
        ),
        ("cloudcode-pa.googleapis.com", "/v1internal:streamGenerateContent", "gemini"),
        ("eu-aiplatform.googleapis.com", f"{VERTEX}/anthropic/models/c@1:streamRawPredict", "anthropic"),
        ("aiplatform.googleapis.com", f"{VERTEX}/anthropic/models/c:rawPredict?x=1", "anthropic"),
        ("aiplatform.googleapis.com", f"{VERTEX}/anthropic/models/count-tokens:rawPredict", None),
        ("aiplatform.googleapis.com", f"{VERTEX}/mistralai/models/m:rawPredict", None),
        ("aiplatform.googleapis.com", f"{VERTEX}/anthropic/models/c:predict", None),
        (AWS, f"{CLAUDE_AT_AWS}/invoke", "bedrock"),
        (AWS, f"{CLAUDE_AT_AWS}/invoke-with-response-stream", "bedrock"),
        (AWS, "/model/meta.llama3-1-70b-instruct-v1%3A0/invoke", None),
        (AWS, "/model/meta.llama3-1-70b-instruct-v1%3A0/invoke-with-response-stream", "bedrock"),
        (AWS, "/model/amazon.nova-pro-v1%3A0/Converse", "bedrock"),
        (AWS, f"{PROFILE_AT_AWS}/converse-stream", "bedrock"),
        (AWS, f"{CLAUDE_AT_AWS}/count-tokens", None),
        (AWS, f"{CLAUDE_AT_AWS}/async-invoke", None),
        (AWS, "/models/us.anthropic.x/invoke", None),
        ("api.openai.com", "/v1/models", None),
        ("api.openai.com", "/v1/responses/resp_1", None),
        ("api.openai.com", "/v1/files", None),
        ("api.anthropic.com", "/v1/messages/count_tokens", None),
        ("api.anthropic.com", "/v1/messages/batches", None),
        ("generativelanguage.googleapis.com", "/v1beta/models/g:countTokens", None),
        ("forms.example", "/forms/3/responses", None),
        ("forms.example", "/forms/version/responses", None),
        ("chat.example", "/v1/messages/", "anthropic"),
        ("api.anthropic.com", "/V1/Messages", "anthropic"),
        ("api.anthropic.com", "/v1/m%65ssages;x=1", "anthropic"),
        ("api.openai.com", "/v1/chat%2Fcompletions", None),
        ("generativelanguage.googleapis.com", "/v1beta/models/g%3AgenerateContent", "gemini"),
        ("chat.example", "/v1/" * 2000 + "x", None),
        ("chat.example", "completions", None),
        ("chat.example", "/messages", None),
    ],
)
def test_the_provider_is_told_by_host_and_path(host: str, path: str, provider: Provider | None) -> None:
    assert provider_of(host, path) == provider


@pytest.mark.parametrize(
    ("path", "model"),
    [
        (f"{CLAUDE_AT_AWS}/invoke", "claude-opus-4-5-20251101-v1:0"),
        (f"/bedrock{CLAUDE_AT_AWS}/converse?x=/", "claude-opus-4-5-20251101-v1:0"),
        ("/model/meta.llama3.1-70b/converse", "llama3.1-70b"),
        (f"{ARN_AT_AWS}inference-profile%2Feu.amazon.nova-pro-v1%3A0/converse", "nova-pro-v1:0"),
        (f"{PROFILE_AT_AWS}/converse", ""),
        ("/model/x", ""),
        ("/model", ""),
        ("", ""),
    ],
)
def test_the_model_of_bedrock_is_in_its_path(path: str, model: str) -> None:
    assert bedrock_model(path) == model
    meter = UsageMeter("bedrock", JSON, path)
    meter.feed(_json(usage=_converse_usage))
    meter.finish()
    assert meter.usage == Usage(model or "unknown", 3010, 55, 3000)


@pytest.mark.parametrize("excess", [-100, 100])
def test_a_message_beyond_a_mebibyte_leaves_its_stream_unmetered(excess: int) -> None:
    long = framed({"x": "A" * (MAX_MESSAGE_BYTES + excess)})
    assert _metered("bedrock", AWS_EVENTS, long, CONVERSE_STREAM) == (
        None if excess > 0 else Usage("unknown", 3010, 55, 3000)
    )


@pytest.mark.parametrize(("length", "is_metered"), [(0, False), (15, False), (16, True)])
def test_a_message_shorter_than_its_frame_leaves_its_stream_unmetered(length: int, is_metered: bool) -> None:
    short = struct.pack(">3I", length, 0, 0).ljust(length, b"\0")
    assert (_metered("bedrock", AWS_EVENTS, short, CONVERSE_STREAM) is not None) is is_metered


@given(st.binary(max_size=200), st.integers(0, 200))
def test_any_octets_pass_through_an_event_stream(octets: bytes, cut: int) -> None:
    _metered("bedrock", AWS_EVENTS, octets[:cut], octets[cut:])


@pytest.mark.parametrize(
    ("method", "path", "countable"),
    [
        ("POST", "/v1/messages", True),
        ("POST", "/v1/messages/count_tokens", True),
        ("POST", "/v1/files/", True),
        ("POST", "/v1/uploads/u/parts", True),
        ("POST", "/v1beta/models/g:CountTokens", True),
        ("GET", "/v1/batches", True),
        ("DELETE", "/v1/files/f", True),
        ("POST", f"{VERTEX}/anthropic/models/count-tokens:rawPredict", True),
        ("POST", f"{VERTEX}/anthropic/models/count-tokens-2:rawPredict", True),
        ("POST", f"{VERTEX}/mistralai/models/count-tokens:rawPredict", False),
        ("POST", f"{CLAUDE_AT_AWS}/invoke", True),
        ("POST", f"{CLAUDE_AT_AWS}/count-tokens", True),
        ("POST", "/model/meta.llama3-1-70b-instruct-v1%3A0/invoke", False),
        ("POST", "/guardrail/g/version/1/apply", False),
        ("POST", "/v1/batches", False),
        ("POST", "/v1/messages/batches", False),
        ("PUT", "/v1/x", False),
        ("PATCH", "/v1/x", False),
        ("BREW", "/v1/x", False),
        ("POST", "/", False),
    ],
)
def test_what_uses_tokens_that_nobody_reports_is_not_countable(
    method: str, path: str, countable: bool
) -> None:
    assert is_countable(method, "api.example", path) == countable


def test_only_what_may_run_a_model_is_metered() -> None:
    assert (
        metered("POST", "api.example", "/v1/messages")
        == metered("PUT", "api.example", "/v1/messages")
        == "anthropic"
    )
    assert metered("GET", "api.example", "/v1/messages") is None


_ends = pytest.mark.parametrize(
    ("provider", "content_type", "body"),
    [
        ("anthropic", EVENTS, ANTHROPIC_STREAM),
        ("bedrock", AWS_EVENTS, BEDROCK_STREAM),
        ("bedrock", AWS_EVENTS, CONVERSE_STREAM),
        ("openai", EVENTS, OPENAI_CHAT_STREAM),
        ("openai", EVENTS, OPENAI_RESPONSE_STREAM),
    ],
    ids=["anthropic", "bedrock", "bedrock conversation", "openai chat", "openai response"],
)


@_ends
@given(cuts=st.lists(st.integers(0, 2000), max_size=4))
def test_a_stream_is_final_after_its_last_event(
    provider: Provider, content_type: bytes, body: bytes, cuts: list[int]
) -> None:
    meter = UsageMeter(provider, content_type)
    edges = [0, *sorted(cut for cut in cuts if cut <= len(body)), len(body)]
    for start, end in pairwise(edges):
        meter.feed(body[start:end])
    assert meter.is_final


@_ends
@given(left=st.integers(2, 4000))
def test_a_stream_that_was_left_earlier_is_never_final(
    provider: Provider, content_type: bytes, body: bytes, left: int
) -> None:
    meter = UsageMeter(provider, content_type)
    meter.feed(body[: max(0, len(body) - left)])
    assert not meter.is_final


def test_a_stream_that_ends_without_its_total_is_not_final() -> None:
    meter = UsageMeter("anthropic", EVENTS)
    meter.feed(ANTHROPIC_STREAM[: ANTHROPIC_STREAM.index(b"event: message_delta")])
    meter.finish()
    assert not meter.is_final


def _left_after(deltas: int, words: str, provider: Provider = "anthropic") -> UsageMeter:
    """Return the meter of a stream that was left once so many pieces of an answer had come."""
    start: dict[str, object] = {
        "type": "message_start",
        "message": {"model": "m", "usage": {"input_tokens": 9, "output_tokens": 1}},
    }
    delta: dict[str, object] = {
        "type": "content_block_delta",
        "index": 0,
        "delta": {"type": "text_delta", "text": words},
    }
    told = [start, *[delta] * deltas]
    meter = UsageMeter(provider, EVENTS if provider == "anthropic" else AWS_EVENTS)
    body = _events(*told) if provider == "anthropic" else b"".join(chunk(event) for event in told)
    for at in range(0, len(body), 1000):
        meter.feed(body[at : at + 1000])
    return meter


@pytest.mark.parametrize("provider", ["anthropic", "bedrock"])
@pytest.mark.parametrize(("words", "tokens"), [("word", 1), ("four words of text " * 4, 16)])
def test_what_was_left_before_its_total_has_about_the_output_that_had_come(
    words: str, tokens: int, provider: Provider
) -> None:
    meter = _left_after(500, words, provider)
    assert meter.usage == Usage("m", 9, 1)  # what is recorded
    likely = meter.likely_usage
    assert likely is not None
    assert likely.input_tokens == 9
    assert 500 * tokens * 0.7 < likely.output_tokens < 500 * tokens * 3 + 100


BEGUN, LONG = "content_block_start", "x" * 80_000


@pytest.mark.parametrize(
    ("provider", "event", "counts"),
    [
        ("anthropic", {"type": "content_block_delta", "delta": {"signature": LONG}}, True),
        ("anthropic", {"type": "content_block_delta", "delta": {"partial_json": LONG}}, True),
        ("anthropic", {"type": BEGUN, "content_block": {"type": "redacted_thinking", "data": LONG}}, True),
        ("bedrock", {"delta": {"reasoningContent": {"redactedContent": LONG}}}, True),
        ("anthropic", {"type": BEGUN, "content_block": {"type": "web_search_tool_result", "x": LONG}}, False),
        ("anthropic", {"type": BEGUN, "content_block": {"x": " " * 99 + 'delta"' * 13_000}}, False),
    ],
    ids=["a signature", "arguments", "redacted", "redacted, bedrock", "a search", "named in a search"],
)
def test_thoughts_that_are_not_shown_are_output_and_results_of_a_search_are_not(
    provider: Provider, event: dict[str, object], counts: bool
) -> None:
    """Who asks for hidden thoughts and leaves before the total would have them for nothing."""
    meter = _left_after(1, "word", provider)
    body = _events(event) if provider == "anthropic" else chunk(event)
    for at in range(0, len(body), 1000):
        meter.feed(body[at : at + 1000])
    likely = meter.likely_usage
    assert likely is not None
    assert (likely.output_tokens > 19_000) is counts
    assert likely.output_tokens >= 1000


def test_what_reports_its_total_is_not_estimated() -> None:
    meter = _left_after(500, "word")
    meter.feed(_events({"type": "message_delta", "usage": {"output_tokens": 7}}))
    assert meter.likely_usage == Usage("m", 9, 7)


def test_what_has_reported_nothing_is_not_estimated() -> None:
    event: dict[str, object] = {"model": "m", "choices": [{"delta": {"content": "word"}}]}
    meter = UsageMeter("openai", EVENTS)
    meter.feed(_events(*[event] * 500))
    assert meter.likely_usage is None


@pytest.mark.parametrize(
    "event",
    [
        {
            "type": "content_block_delta",
            "delta": {"type": "message_stop", "text": '{"type": "message_stop"}'},
        },
        {"type": "x", "metadata": {"type": "message_stop", "usage": {"output_tokens": 1}}},
        {"text": "[DONE]"},
    ],
    ids=lambda event: str(event)[:30],
)
def test_nothing_inside_an_event_passes_for_the_end(event: dict[str, object]) -> None:
    start = ANTHROPIC_STREAM[: ANTHROPIC_STREAM.index(b"event: ping")]
    meter = UsageMeter("anthropic", EVENTS)
    meter.feed(start + _events(event))
    assert not meter.is_final


PRICES = ModelPrices(
    "2025-11", {"gpt-4o": Price(2.5, 1.25, 10), "gpt-4o-mini": Price(1, 1, 1), "gpt-4o-audio": None}
)


@pytest.mark.parametrize(
    ("model", "price"),
    [
        ("gpt-4o", Price(2.5, 1.25, 10)),
        ("gpt-4o-2024-08-06", Price(2.5, 1.25, 10)),
        ("gpt-4o-mini-2024", Price(1, 1, 1)),
        ("openai/gpt-4o-mini", Price(1, 1, 1)),
        ("gpt-4o-audio-preview", None),
        ("gpt-4o.5", None),
        ("gpt-4", None),
        ("unknown", None),
        ("", None),
    ],
)
def test_the_longest_name_that_begins_a_model_prices_it(model: str, price: Price | None) -> None:
    assert PRICES.of(model) == price


def test_the_shipped_prices_are_sound() -> None:
    prices = shipped_prices()
    assert prices.of("claude-sonnet-4-5-20250929") == Price(3, 0.3, 15, 3.75, 6)
    assert prices.of("gemini-2.5-pro") == Price(1.25, 0.125, 10, longer=(200_000, Price(2.5, 0.25, 15)))
    for price in prices.models.values():
        while price is not None:
            assert 0 <= price.cached_input <= price.input <= max(price.output, price.input)
            creation = price.input if price.cache_creation is None else price.cache_creation
            assert creation <= (price.cache_creation_1h or creation)
            above, longer = price.longer or (0, None)
            assert longer is None or (above > 0 and price.input <= longer.input)
            price = longer


def test_each_kind_of_input_has_its_own_price() -> None:
    prices = ModelPrices("2026-12", {"m": Price(10, 1, 100, 12, 20), "n": Price(10, 1, 100)})
    usage = Usage("m", 1_000_000, 10_000, 200_000, 300_000, 100_000)
    assert prices.cost_usd(usage) == pytest.approx(5 + 0.2 + 2.4 + 2 + 1)
    assert prices.cost_usd(usage._replace(model="n")) == pytest.approx(8 + 0.2 + 1)


@pytest.mark.parametrize("tokens", [(200_000, 10), (200_001, 20), (400_001, 30)])
def test_a_long_input_sets_the_price_of_all_tokens(tokens: tuple[int, float]) -> None:
    longest = Price(20, 2, 90, longer=(400_000, Price(30, 3, 100)))
    prices = ModelPrices("2026-12", {"m": Price(10, 1, 80, longer=(200_000, longest))})
    count, price = tokens
    assert prices.cost_usd(Usage("m", count, 0)) == pytest.approx(count * price / 1_000_000)


@pytest.mark.parametrize("most", [Usage("m", 10, 0, 20, 30, 40), Usage("m", 10, 0, 0, 30, 40)])
def test_no_count_makes_a_cost_negative_or_counts_twice(most: Usage) -> None:
    prices = ModelPrices("2026-12", {"m": Price(10, 1, 100, 12, 20)})
    assert 0 < (prices.cost_usd(most) or 0) <= 10 * 20 / 1_000_000


def test_the_ledger_adds_up_per_credential_and_model() -> None:
    ledger = UsageLedger(PRICES)
    assert ledger.summary_lines() == []
    ledger.add("openai", Usage("gpt-4o", 1_000_000, 100_000, 400_000))
    ledger.add("openai", Usage("gpt-4o", 1_000, 0))
    ledger.add("openai", Usage("own-model", 5, 6))
    ledger.add("other", Usage("gpt-4o", 7, 8))
    first, *_ = ledger.totals()
    assert (first.responses, first.input_tokens, first.output_tokens) == (2, 1_001_000, 100_000)
    assert first.cost_usd == pytest.approx(0.6 * 2.5 + 0.4 * 1.25 + 0.1 * 10 + 0.0025)
    assert ledger.summary_lines() == [
        "openai, gpt-4o: 2 responses, 1,001,000 tokens in (400,000 cached), 100,000 out, about $3.00",
        "openai, own-model: 1 response, 5 tokens in, 6 out, price unknown",
        "other, gpt-4o: 1 response, 7 tokens in, 8 out, under $0.01",
        "costs are estimates at list prices of 2025-11: $3.00 in all",
    ]


def test_the_ledger_sums_all_models_up() -> None:
    ledger = UsageLedger(PRICES)
    ledger.add("openai", Usage("gpt-4o", 1_000_000, 100_000, 400_000))
    ledger.add("other", Usage("own-model", 5, 6))
    assert ledger.spent() == Spent(2, 1_000_005, 400_000, 100_006, 3.0)


def test_models_without_a_price_cost_nothing_that_is_known() -> None:
    ledger = UsageLedger(PRICES)
    ledger.add("other", Usage("own-model", 5, 6))
    assert ledger.spent() == Spent(1, 5, 0, 6, None)


def test_an_upstream_that_invents_models_does_not_fill_the_memory() -> None:
    ledger = UsageLedger(PRICES)
    for number in range(5_000):
        ledger.add("openai", Usage(f"m{number}", 1, 1))
    assert len(ledger.totals()) <= 201
    assert sum(total.input_tokens for total in ledger.totals()) == 5_000


def _until_refused(limiter: UsageLimiter, usage: Usage | None) -> Iterator[str]:
    for _ in range(100):
        reason = limiter.start()
        if reason is not None:
            yield reason
            return
        limiter.add(usage)
        yield "allowed"


@pytest.mark.parametrize(
    ("limits", "allowed", "reason"),
    [
        (UsageLimits(requests=3), 3, "limit of 3 requests"),
        (UsageLimits(requests=1), 1, "the limit of 1 request is reached"),
        (UsageLimits(input_tokens=25), 3, "limit of 25 input tokens is reached (30 used)"),
        (UsageLimits(output_tokens=10), 2, "limit of 10 output tokens"),
        (UsageLimits(requests=0), 0, "limit of 0 requests"),
    ],
)
def test_a_limit_refuses_the_request_after_it_is_reached(
    limits: UsageLimits, allowed: int, reason: str
) -> None:
    *before, last = _until_refused(UsageLimiter(limits, PRICES), Usage("m", 10, 5))
    assert before == ["allowed"] * allowed
    assert reason in last


def test_no_limit_refuses_nothing() -> None:
    assert (
        list(_until_refused(UsageLimiter(UsageLimits(), PRICES), Usage("m", 10**9, 10**9)))
        == ["allowed"] * 100
    )
    assert list(_until_refused(UsageLimiter(UsageLimits(), PRICES), None)) == ["allowed"] * 100


def test_a_token_limit_refuses_after_a_response_without_usage() -> None:
    *before, last = _until_refused(UsageLimiter(UsageLimits(output_tokens=1000), PRICES), None)
    assert before == ["allowed"]
    assert "include_usage" in last


def test_a_request_limit_needs_no_usage_of_the_responses() -> None:
    assert len(list(_until_refused(UsageLimiter(UsageLimits(requests=50), PRICES), None))) == 51


def test_requests_that_run_side_by_side_do_not_pass_a_limit_of_requests() -> None:
    limiter = UsageLimiter(UsageLimits(requests=2), PRICES)
    assert [limiter.start() is None for _ in range(4)] == [True, True, False, False]


def _allow(limiter: UsageLimiter) -> None:
    reached = limiter.reached()
    assert reached is not None
    limiter.extend(reached)


HALF_A_DOLLAR = Usage("gpt-4o-mini-x", 400_000, 100_000)  # at a dollar for a million of each


def test_a_limit_of_costs_refuses_the_request_after_it_is_reached() -> None:
    limiter = UsageLimiter(UsageLimits(cost_usd=1.5), PRICES)
    *before, last = _until_refused(limiter, HALF_A_DOLLAR)
    assert before == ["allowed"] * 3
    assert last == "the limit of $1.50 is reached (about $1.50 at list prices)"
    _allow(limiter)
    assert len(list(_until_refused(limiter, HALF_A_DOLLAR))) == 4


def test_a_limit_of_costs_refuses_after_a_response_whose_model_has_no_price() -> None:
    limiter, usage = UsageLimiter(UsageLimits(cost_usd=100), PRICES), Usage("own-model", 1, 1)
    *before, last = _until_refused(limiter, usage)
    assert before == ["allowed"]
    assert last == "no list price of own-model is known, so the limit of costs cannot be kept"
    _allow(limiter)  # by somebody who goes on without: nobody asks them for each answer
    assert list(_until_refused(limiter, usage)) == ["allowed"] * 100
    limiter.add(Usage("another-model", 1, 1))  # of which nobody has been asked
    assert "no list price of another-model is known" in str(limiter.reason())
    _allow(limiter)
    limiter.add(Usage("gpt-4o-mini", 10**8, 0))
    assert str(limiter.reason()).startswith("the limit of $100.00 is reached")


def test_a_limit_of_costs_refuses_more_and_more_rarely_after_responses_that_say_nothing() -> None:
    """Who presses Esc is not asked each time, and a command that leaves every answer is noticed."""
    limiter = UsageLimiter(UsageLimits(cost_usd=100), PRICES)
    passed = []
    for _ in range(4):
        *before, last = _until_refused(limiter, None)
        passed.append(len(before))
        _allow(limiter)
        if len(passed) == 1:
            told = "a response did not say how many tokens it used, or was left before that"
            assert last == f"{told}, so the limit of costs cannot be kept"
    assert last.startswith("71 responses did not say how many tokens they used, or were left before that, so")
    assert passed == [1, 10, 20, 40]
    limiter.add(Usage("gpt-4o-mini", 10**8, 0))
    assert str(limiter.reason()).startswith("the limit of $100.00 is reached")


@pytest.mark.parametrize("limits", [UsageLimits(cost_usd=100), UsageLimits(output_tokens=10**9)])
def test_what_an_answer_reported_until_it_was_left_is_a_cost_and_no_number_of_tokens(
    limits: UsageLimits,
) -> None:
    limiter = UsageLimiter(limits, PRICES)
    limiter.add(HALF_A_DOLLAR, is_final=False)
    assert (limiter.reason() is None) == (limits.cost_usd is not None)
