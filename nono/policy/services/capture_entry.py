"""Turn a profile's entry of credential_capture into the Capture that runs."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from posixpath import isabs

from nono.policy.schema.route_rules import Capture
from nono.policy.schema.routes import CaptureEntry
from nono.policy.services import regex_cost

MAX_TIMEOUT_S = 300
MAX_CACHE_TTL_S = 3600
DEFAULT_CACHE_TTL_S = 900

_NAME = re.compile(r"[A-Za-z0-9_]+", re.ASCII)
_HEADER = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+", re.ASCII)  # token, RFC 9110 section 5.6.2
_MAX_REGEX = 256

# These route or frame a message (RFC 9110 sections 7.2 and 7.6.1, RFC 9112 section 6).
_STEERING = frozenset(
    {"host", "content-length", "transfer-encoding", "connection", "proxy-connection", "keep-alive"}
    | {"proxy-authorization", "proxy-authenticate", "upgrade", "te", "trailer", "expect"}
)


def capture_problems(name: str, entry: CaptureEntry) -> Iterator[tuple[str, str]]:
    """Yield (field, problem) for every mistake in an entry. Its program is looked up when the run starts."""
    if not _NAME.fullmatch(name):
        yield "", "a capture's name holds letters, digits and '_'"
    yield from _source(entry)
    if not 1 <= entry.timeout_secs <= MAX_TIMEOUT_S:
        yield "timeout_secs", f"expected seconds from 1 to {MAX_TIMEOUT_S}"
    yield from _cache(entry)
    if entry.output != "text":
        headers = entry.output.allow_headers
        if not headers:
            yield "output.allow_headers", "expected at least one header name"
        for header in headers:
            if not _HEADER.fullmatch(header) or header.lower() in _STEERING:
                yield "output.allow_headers", f"{header!a} is no header that carries a credential"


def capture_of(name: str, entry: CaptureEntry) -> Capture:
    """Build the capture of a valid entry."""
    provider = entry.provider
    given = [ttl for ttl in (entry.cache_ttl_secs, entry.ttl_secs) if ttl is not None]
    return Capture(
        name=name,
        command=(entry.command or ()) if provider is None else provider.command,
        timeout_s=entry.timeout_secs,
        cache_ttl_s=given[0] if given else DEFAULT_CACHE_TTL_S,
        cache_path_regex=entry.cache_path_regex,
        stdin=entry.stdin,
        allow_headers=None if entry.output == "text" else entry.output.allow_headers,
        provider_config=None if provider is None else json.dumps(provider.config),
    )


def _source(entry: CaptureEntry) -> Iterator[tuple[str, str]]:
    provider = entry.provider
    if provider is None and entry.command is None:
        yield "command", "exactly one of command, provider: none is given"
    elif provider is None:
        yield from _command("command", entry.command or ())
    elif entry.command is None:
        yield from _command("provider.command", provider.command)
    else:
        yield "provider", "exactly one of command, provider: both are given"


def _command(field: str, command: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    if not command or not command[0]:
        yield field, "expected a program and its arguments"
    elif "/" in command[0] and not isabs(command[0]) and not command[0].startswith("$"):
        yield field, f"{command[0]!a} is neither an absolute path nor a name to look up in PATH"
    if any("\0" in word for word in command):
        yield field, "an argument may not hold a NUL byte"


def _cache(entry: CaptureEntry) -> Iterator[tuple[str, str]]:
    for field in ("cache_ttl_secs", "ttl_secs"):
        ttl = getattr(entry, field)
        if ttl is not None and not 0 <= ttl <= MAX_CACHE_TTL_S:
            yield field, f"expected seconds from 0 to {MAX_CACHE_TTL_S}; 0 keeps nothing"
    if None not in (entry.cache_ttl_secs, entry.ttl_secs) and entry.cache_ttl_secs != entry.ttl_secs:
        yield "ttl_secs", "another value than that of cache_ttl_secs, which is the same field"
    if len(entry.cache_path_regex) > _MAX_REGEX:
        yield "cache_path_regex", f"longer than {_MAX_REGEX} characters"
        return
    try:
        re.compile(entry.cache_path_regex)
    except re.error as error:
        yield "cache_path_regex", f"not a regular expression: {error}"
        return
    reason = regex_cost.slow(entry.cache_path_regex)
    if reason is not None:
        yield "cache_path_regex", reason
