"""Build the audit events of requests to language models: turns of an agent, and tokens."""

from __future__ import annotations

from nono.audit.event import TIME, Event
from nono.clock import rfc3339, unix_ms


def turn_began(turn: int, service: str, model: str, request: int | None) -> Event:
    """Report that a person's message went to a model: what follows belongs to this turn.

    turn: Counted from 1. request: The number of the record of the request; None without one.
    """
    began: Event = {"type": "turn_began", TIME: unix_ms(), "turn": turn, "service": service}
    return {**began, "model": model, "request": request}


def turn_marked(turn: int, snapshot: int, changed: int, ms: int) -> Event:
    """Report the snapshot that undo took before a turn, and how many paths had changed since the last."""
    marked: Event = {"type": "turn_marked", TIME: unix_ms(), "turn": turn, "snapshot": snapshot}
    return {**marked, "changed": changed, "ms": ms}


def turn_unclear(service: str, reason: str, request: int | None) -> Event:
    """Report a request to a model that may have begun a turn. Recorded once for each reason."""
    unclear: Event = {"type": "turn_unclear", TIME: unix_ms(), "service": service}
    return {**unclear, "reason": reason, "request": request}


def model_usage(
    service: str,
    *,
    model: str,
    input_tokens: int,
    cached_input_tokens: int,
    output_tokens: int,
    cache_creation_tokens: int = 0,
    cache_creation_1h_tokens: int = 0,
    turn: int | None = None,
    request: int | None = None,
) -> Event:
    """Report the usage that one response of a language model states.

    turn: The one in which its request was sent; None before the first.
    request: The number of the record of its request; None without one.
    """
    return {
        "type": "model_usage",
        "at": rfc3339(),
        "service": service,
        "model": model,
        "input_tokens": input_tokens,
        "cached_input_tokens": cached_input_tokens,
        "cache_creation_tokens": cache_creation_tokens,
        "cache_creation_1h_tokens": cache_creation_1h_tokens,
        "output_tokens": output_tokens,
        "turn": turn,
        "request": request,
    }
