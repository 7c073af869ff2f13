"""Define the proxy's own answers: a status, a reason and an explanatory JSON body."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from nono.named_tuple import NamedTuple

if TYPE_CHECKING:
    from typing import Literal

    from nono.approval.request import Answer
    from nono.audit.event import DenialCategory, Failure
    from nono.policy.endpoints.policy import EndpointVerdict
    from nono.policy.hosts.host_filter import Refuse

MAX_AUTHENTICATION_FAILURES = 5  # on one connection, which is then closed

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]+")
_MAX_REASON = 200


class Refusal(NamedTuple):
    """One refusal; client (status, JSON) and audit record get the same sentence."""

    status: int
    error: str
    host: str | None = None
    rule: str | None = None
    origin: str | None = None
    hint: str | None = None
    category: DenialCategory | None = None
    closes: bool = False  # the client's connection is unusable after this answer
    challenge: bool = False  # ask for the session token (407)
    plain: bool = False  # the body is the error text itself instead of JSON
    freezes: str | None = None  # the service whose credential is frozen for the rest of the run
    retry_after_s: float | None = None
    lasts: bool = False  # a retry is refused too, for the rest of the run
    approval_backend: str | None = None  # who was asked, and did not approve
    approval_outcome: Literal["denied", "timeout", "error"] | None = None
    failure: Failure | None = None  # of the upstream; None: the proxy itself refuses


@dataclass(frozen=True, slots=True)
class Cut:
    """Used instead of a Refusal: close the connection without an answer, because answering costs too much."""


def one_line(text: str) -> str:
    """Make `text` fit a status line or a terminal: no control characters, at most 200 characters."""
    return _CONTROL.sub(" ", text).strip()[:_MAX_REASON]


def response(refusal: Refusal, *, closes: bool = False, without_body: bool = False) -> bytes:
    """Serialise the response. `without_body` is for HEAD: Content-Length stays, the body is left out."""
    error = one_line(refusal.error)
    if refusal.plain:
        kind, body = b"text/plain", error.encode()
    else:
        fields = {
            "error": error,
            "host": refusal.host,
            "rule": refusal.rule,
            "origin": refusal.origin,
            "hint": refusal.hint,
        }
        kind, body = b"application/json", json.dumps(fields).encode()
    lines = [b"HTTP/1.1 %d %b" % (refusal.status, _phrase(refusal).encode("ascii", "replace"))]
    if refusal.challenge:
        lines.append(b'Proxy-Authenticate: Basic realm="nono"')
    if refusal.status == 401:
        # RFC 9110 section 15.5.2 requires it, and git sends the credentials in its URL only when challenged.
        lines.append(b'WWW-Authenticate: Basic realm="nono"')
    options = [b"close"] if closes or refusal.closes else []
    if refusal.status == 426:
        lines.append(b"Upgrade: HTTP/1.1")  # RFC 9110 section 15.5.22: what to use instead
        options.append(b"upgrade")
    if refusal.retry_after_s is not None or refusal.status == 503:
        lines.append(b"Retry-After: %d" % max(1, round(refusal.retry_after_s or 1)))
    if refusal.lasts:
        # Not a standard; the SDKs of OpenAI and Anthropic, and Claude Code, obey it and would otherwise retry
        # for minutes.
        lines.append(b"X-Should-Retry: false")
    lines += [b"Content-Type: " + kind, b"Content-Length: %d" % len(body)]
    if options:
        lines.append(b"Connection: " + b", ".join(options))
    return b"\r\n".join(lines) + b"\r\n\r\n" + (b"" if without_body else body)


def _phrase(refusal: Refusal) -> str:
    """Return the reason phrase; clients that show no body (git, curl for CONNECT) show it."""
    # Imported here, as most runs refuse nothing: it makes an enum of all of them.
    from http import HTTPStatus

    phrase = HTTPStatus(refusal.status).phrase
    if refusal.status in (403, 502, 504) and not refusal.plain:
        return f"{phrase}: {one_line(refusal.error)}"
    return phrase


def malformed(status: int, reason: str) -> Refusal:
    """Refuse and close the connection: the start of the next message is no longer certain."""
    return Refusal(status, reason, closes=True)


def token_required(*, is_asked_for: bool = False) -> Refusal:
    """Ask for the session token. `is_asked_for`: The request had none, as the first one of many clients."""
    return Refusal(
        407,
        f"the proxy's session token is {'missing' if is_asked_for else 'missing or wrong'}",
        hint="use the URL in HTTP_PROXY as it is, with its user name and password",
        category="authentication_required" if is_asked_for else "authentication_failed",
        challenge=True,
    )


def host_denied(denial: Refuse, host: str) -> Refusal:
    return Refusal(403, denial.reason, host, denial.rule, denial.origin, denial.hint, category="host_denied")


def not_recorded() -> Refusal:
    return Refusal(503, "the audit log could not be written, so nothing was sent", closes=True)


def upstream_failed(host: str, reason: str, failure: Failure) -> Refusal:
    status = 504 if failure == "timeout" else 502
    return Refusal(status, reason, host, category="upstream_connect_failed", failure=failure)


def rate_limited(service: str, retry_after_s: float) -> Refusal:
    return Refusal(
        429,
        f"the rate limit of {service!r} is reached",
        rule="rate_limit",
        origin=f"custom_credentials.{service}.rate_limit",
        hint="wait, or raise requests_per_minute, burst or max_delay_secs",
        retry_after_s=retry_after_s,
    )


def limit_reached(service: str, reason: str, *, asks: bool = False) -> Refusal:
    """Refuse a request beyond a limit. asks: A person is asked before the next one, so a retry may pass."""
    hint = "raise the route's limits, or start nono again"
    if asks:
        hint = "send it again: a person is asked then"
    origin = f"credential route {service!r}"
    return Refusal(429, reason, rule="limits", origin=origin, hint=hint, lasts=not asks)


def after(refused: Refusal, answer: Answer) -> Refusal:
    """Name who was asked for the request, and what the answer was: anything but "granted"."""
    outcome = None if answer.outcome == "granted" else answer.outcome
    return refused._replace(approval_backend=answer.backend or None, approval_outcome=outcome)


def not_its_turn(service: str, waited_s: float) -> Refusal:
    return Refusal(
        429,
        f"other requests have not ended within {waited_s:g} s, and their tokens are counted at their end",
        rule="limits",
        origin=f"credential route {service!r}",
        hint="read or end the other responses of this route first",
    )


def frozen(service: str, why: str) -> Refusal:
    return Refusal(
        403,
        f"the credential of {service!r} is frozen for the rest of this session: {why}",
        rule="tripwire",
        origin=f"credential route {service!r}",
        hint="look into what happened, and start nono again",
        category="managed_credential_unavailable",
    )


def endpoint_denied(
    host: str, verdict: EndpointVerdict, origin: str, method: str, path: str, hint: str | None
) -> Refusal:
    because = f": {verdict.reason}" if verdict.reason else ""
    return Refusal(
        403,
        f"{method} {path} is not allowed on {host}{because}",
        host,
        verdict.label,
        origin or None,
        hint,
        category="endpoint_policy",
    )


def unavailable(service: str, host: str) -> Refusal:
    return Refusal(
        503,
        f"the credential of {service!r} is not available",
        host,
        f"credential route {service!r}",
        hint="nono says why on its own standard error, unless it is --silent",
        category="managed_credential_unavailable",
    )


def no_key(service: str, host: str) -> Refusal:
    """Refuse for a service without which nono started (`network.optional_credentials`)."""
    return Refusal(
        503,
        f"nono has no key for {service!r}",
        host,
        f"credential route {service!r}",
        hint=f"keys are read when nono starts: `nono credential set {service}`, outside the sandbox, stores "
        "one for the next time, unless the service has its key elsewhere",
        category="managed_credential_unavailable",
        lasts=True,
    )


def unfit(service: str, host: str, reason: str) -> Refusal:
    """Refuse a request that cannot carry its credential; retrying the same request will not help."""
    return Refusal(
        400,
        reason,
        host,
        f"credential route {service!r}",
        hint=f"send it unsigned, with the placeholder of {service!r} alone",
        category="managed_credential_unavailable",
    )


def too_much_held(host: str) -> Refusal:
    return Refusal(
        503,
        "requests that are read whole before they are sent already use all the memory allowed for them",
        host,
        hint="send it again when others have ended, or a smaller one",
        closes=True,
    )


def too_many_connections(limit: int) -> Refusal:
    return Refusal(503, f"the proxy already serves {limit} connections", closes=True)


def too_many_streams(limit: int, host: str) -> Refusal:
    return Refusal(
        503,
        f"the proxy already carries {limit} requests over HTTP/2",
        host,
        hint="send it again when others have ended",
    )


def another_user() -> Refusal:
    return Refusal(
        403,
        "this connection was made by another user of this machine",
        hint="only programs of the user who started the proxy may use it",
        category="authentication_failed",
        closes=True,
    )


def not_admitted() -> Refusal:
    return Refusal(
        403,
        "this connection was not made by the sandboxed command",
        category="authentication_failed",
        closes=True,
    )
