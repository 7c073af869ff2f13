"""Refuse calls that hand out keys, calls that a limit cannot count, and WebSockets that no rule lists."""

from __future__ import annotations

from typing import Protocol

from nono.policy.effective_policy import Route as EffectiveRoute
from nono.policy.endpoints.policy import EndpointVerdict
from nono.policy.schema.route_rules import RateLimit, UpgradeRule, UsageLimits
from nono.policy.services.minting import is_aws_key_service, is_refused, sentence, sentence_of_host
from nono.proxy.http.message import RequestHead
from nono.proxy.http.passing import folded
from nono.proxy.http.refusal import Refusal
from nono.proxy.usage.shape import SELECTING_FIELD, is_countable, metered, selecting_parameter
from nono.proxy.verdict.routes import Route


def minted(route: Route, host: str, method: str, path: str, verdict: EndpointVerdict) -> Refusal | None:
    """Refuse a request that hands out a key, unless a person is asked or a rule allows this very call."""
    if route.origin.is_wildcard and is_aws_key_service(host):
        error = sentence_of_host(host)
        hint = "name this host as the upstream of a service of its own, if that is meant"
    elif is_refused(host, method, path, verdict):
        error, hint = sentence(method, path), "allow it in the endpoint rules of the route, if that is meant"
    else:
        return None
    of = f"credential route {route.service!r}"
    return Refusal(403, error, host, "hands_out_keys", of, hint, category="endpoint_policy")


class Limited(Protocol):
    """A route, as the proxy or `nono why` has it."""

    @property
    def limits(self) -> UsageLimits: ...
    @property
    def rate_limit(self) -> RateLimit | None: ...
    @property
    def upgrades(self) -> tuple[UpgradeRule, ...] | None: ...


def beyond_limits(
    service: str, route: Limited, host: str, method: str, path: str, *, is_websocket: bool
) -> Refusal | None:
    """Refuse a WebSocket that the route does not list, and a request that its limits could not count."""
    of = f"credential route {service!r}"
    if is_websocket and route.upgrades is not None and all(rule.path != path for rule in route.upgrades):
        error, hint = f"a WebSocket on {path} is not allowed on {host}", f"add {path} to its upgrades"
        return Refusal(403, error, host, "upgrades", of, hint, category="unsupported_upgrade")
    if is_websocket and (what := _not_counted_on_a_websocket(route)) is not None:
        error, rule, hint = what
        # Codex answers this status by trying HTTP; after any other it retries five times.
        return Refusal(426, error, host, rule, of, hint, category="unsupported_upgrade")
    if not route.limits.count_usage or is_countable(method, host, path):
        return None
    limited = _counted(route)
    error = (
        f"nobody can count the tokens that {method} {path} uses, so the limit of {limited} could not be kept"
    )
    hint = "call the model directly, or limit requests only"
    return Refusal(403, error, host, "limits", of, hint, category="endpoint_policy")


def uncounted_parts(
    service: str, route: Limited, host: str, head: RequestHead, target: bytes
) -> Refusal | None:
    """Refuse a call of a model that chooses which parts its response has, where a limit needs its counts."""
    if not route.limits.count_usage:
        return None
    bare, _, query = target.decode("ascii").partition("?")
    what = _selecting(query)
    if what is None and any(folded(name) == SELECTING_FIELD for name, _ in head.headers):
        what = f"the field {SELECTING_FIELD.decode('ascii')}"
    return _uncounted(service, route, host, head.method.decode("ascii"), bare, what)


def said_beyond(
    route: EffectiveRoute, host: str, method: str, path: str, *, query: str = "", is_websocket: bool
) -> str | None:
    """Return what beyond_limits() and uncounted_parts() say of a request, for `nono why`."""
    refused = beyond_limits(route.name, route, host, method, path, is_websocket=is_websocket)
    if refused is None and route.limits.count_usage:
        refused = _uncounted(route.name, route, host, method, path, _selecting(query))
    return None if refused is None else f"{refused.error}; {refused.hint}"


def _selecting(query: str) -> str | None:
    name = selecting_parameter(query)
    return None if name is None else f"the query parameter {name}"


def _uncounted(
    service: str, route: Limited, host: str, method: str, path: str, what: str | None
) -> Refusal | None:
    """Refuse a call of a model. what: of the request, chooses which parts its response has; None: nothing."""
    if what is None or metered(method, host, path) is None:
        return None
    limited, of = _counted(route), f"credential route {service!r}"
    error = f"{what} can leave the tokens out of the response, so the limit of {limited} could not be kept"
    return Refusal(403, error, host, "limits", of, f"ask without {what}", category="endpoint_policy")


def _not_counted_on_a_websocket(route: Limited) -> tuple[str, str, str] | None:
    """Return the reason to refuse a WebSocket, the setting it comes from and a hint, or None.

    Models are used over WebSockets too, and one could last for the whole run with any number of messages.
    """
    hint = "use the same API over HTTP"
    if route.limits.count_usage:
        limited = _counted(route)
        error = f"nobody counts the tokens of a WebSocket, so the limit of {limited} could not be kept"
        return error, "limits", f"{hint}, or limit requests only"
    if route.limits.is_set:
        error = "nobody counts the messages of a WebSocket, so the limit of requests could not be kept"
        return error, "limits", hint
    if route.rate_limit is not None and route.upgrades is None:
        error = "nobody counts the messages of a WebSocket, so the rate limit could not be kept"
        return error, "rate_limit", f"{hint}, or list its path in the upgrades of the route"
    return None


def _counted(route: Limited) -> str:
    return "tokens" if route.limits.count_tokens else "costs"
