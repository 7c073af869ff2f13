"""Decide from method and path what a request to a language model uses: counted tokens, none, or unknown."""

from __future__ import annotations

import re
from typing import Literal
from urllib.parse import unquote_plus

from nono.policy.endpoints.path_readings import loose

Provider = Literal["openai", "anthropic", "gemini", "bedrock"]

_READING = frozenset(("GET", "HEAD", "OPTIONS", "DELETE"))  # methods that run no model
_OPENAI_CALLS = frozenset(("completions", "embeddings", "responses"))
_GEMINI_CALLS = (":generatecontent", ":streamgeneratecontent")
_VERTEX_CLAUDE = ["publishers", "anthropic", "models"]  # Google Vertex AI passes Anthropic's messages on
_VERTEX_CALLS = (":rawpredict", ":streamrawpredict")
_VERTEX_COUNT = "count-tokens:rawpredict"
# Amazon Bedrock: /model/MODEL/CALL. `invoke` answers as the model does: of these Anthropic's count tokens.
_BEDROCK_CALLS = frozenset(("converse", "converse-stream", "invoke-with-response-stream"))
_ORIGIN_OF_MODEL = re.compile(r"^(?:[a-z-]+\.)+", re.ASCII)  # of Bedrock's names: us.anthropic.
_VERSION = re.compile(r"v\d\w*", re.ASCII)
# Requests to a model's API that use no tokens, by the end of the path ("*": one segment).
_FREE = (
    ("messages", "count_tokens"),
    ("responses", "input_tokens"),
    ("responses", "*", "cancel"),
    ("batches", "*", "cancel"),
    ("moderations",),
    ("files",),
    ("uploads",),
    ("uploads", "*", "parts"),
    ("uploads", "*", "complete"),
    ("uploads", "*", "cancel"),
    (*_VERTEX_CLAUDE, _VERTEX_COUNT),
    ("model", "*", "count-tokens"),
)
_FREE_CALLS = (":counttokens", ":computetokens")
# Google's APIs leave out of a response what these do not name, and so the counts that a limit needs.
SELECTING_FIELD = b"x-goog-fieldmask"
_SELECTING_PARAMETERS = frozenset(("fields", "$fields"))


def provider_of(host: str, path: str) -> Provider | None:
    """Return the provider whose format the response to a POST to `path` has; None if it counts no tokens.

    The path decides, because many hosts offer these APIs; the host is used only if the path is ambiguous. The
    query is ignored, and the path is read as a lenient server reads it.
    """
    *above, call = _segments(path) or [""]
    versioned = any(_VERSION.fullmatch(segment) for segment in above)
    if call in _OPENAI_CALLS and (versioned or "openai" in above or above[-1:] == ["chat"]):
        return "openai"
    if call == "messages" and (versioned or host == "api.anthropic.com"):
        return "anthropic"
    if above[-3:] == _VERTEX_CLAUDE and call.endswith(_VERTEX_CALLS) and call != _VERTEX_COUNT:
        return "anthropic"
    if above[-2:-1] == ["model"] and (
        call in _BEDROCK_CALLS or (call == "invoke" and "anthropic." in above[-1])
    ):
        return "bedrock"
    return "gemini" if call.endswith(_GEMINI_CALLS) else None


def bedrock_model(path: str) -> str:
    """Return the name of the model in a path of Bedrock's as its maker has it; "" if there is none.

    A profile of one's own (an ARN with an id) does not say which model it is for.
    """
    *_, marker, model, _ = ["", "", "", *_segments(path)]
    if marker != "model" or ":application-inference-profile/" in model:
        return ""
    return _ORIGIN_OF_MODEL.sub("", model.rpartition("/")[2], count=1)


def metered(method: str, host: str, path: str) -> Provider | None:
    """Return the provider whose format reports the tokens of a response; None if it reports none."""
    return None if method in _READING else provider_of(host, path)


def is_countable(method: str, host: str, path: str) -> bool:
    """Return True if the request uses no tokens, or tokens that its response reports.

    False for everything else: batches, which are answered before they are processed, fine-tuning, calls of
    unknown providers.
    """
    if method in _READING or provider_of(host, path) is not None:
        return True
    segments = _segments(path) or [""]
    return segments[-1].endswith(_FREE_CALLS) or any(_ends_with(segments, free) for free in _FREE)


def selecting_parameter(query: str) -> str | None:
    """Return the first query parameter that chooses which parts a response has, or None."""
    for pair in re.split("[&;]", query):
        name = unquote_plus(pair.partition("=")[0]).strip().lower()
        if name in _SELECTING_PARAMETERS:
            return name
    return None


def _ends_with(segments: list[str], free: tuple[str, ...]) -> bool:
    last = segments[-len(free) :]
    return len(last) == len(free) and all(
        wanted in ("*", segment) for wanted, segment in zip(free, last, strict=True)
    )


def _segments(path: str) -> list[str]:
    """Return the path as it is compared: decoded, in lower case, without empty segments at the ends."""
    return [segment.rstrip(". ").lower() for segment in loose(path.partition("?")[0])]
