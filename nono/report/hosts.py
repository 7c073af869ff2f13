"""Add up the requests of a log by host, endpoint and credential."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from nono.audit.event import SEVERAL
from nono.policy.learning.endpoint_template import is_variable
from nono.policy.ports import OWN_SERVER
from nono.report.model import AllowedBy, CredentialUse, Endpoint, Host

HOSTS_MAX = 200
ENDPOINTS_MAX = 40  # for each host
ALLOWED_BY_MAX = 8  # for each host
OPEN_MAX = 1 << 16  # requests without an end so far
OTHERS = "others"
OWN_SERVERS = "localhost (its own servers)"
# Outcomes that are not the upstream's failure: the client or the proxy caused them.
_NOT_FAILED = frozenset((None, "client", "blocked"))

Fields = Mapping[str, Any]


class _Sums:
    """The counts of one host."""

    def __init__(self) -> None:
        self.failed = self.bytes_out = self.bytes_in = 0
        self.requests = Counter[tuple[str, str]]()  # by method and path, like the counters below
        self.refused = Counter[tuple[str, str]]()
        self.statuses: dict[tuple[str, str], Counter[int]] = {}
        self.rules: list[AllowedBy] = []

    def endpoint(self, fields: Fields, listed: int) -> tuple[str, str]:
        """Return the place of an event among the endpoints. listed: how many of its kind are listed."""
        key = _endpoint(fields)
        is_known = key in self.requests or key in self.refused
        return key if is_known or listed < ENDPOINTS_MAX else (OTHERS, "")


class Hosts:
    """Takes network events and the ends of requests.

    What passed has places that nothing refused can take: a command is refused as often as it likes.
    """

    def __init__(self) -> None:
        self._sums: dict[str, _Sums] = {}
        self._passed = set[str]()  # hosts that a request was allowed to
        self._open: dict[int, tuple[str, tuple[str, str]]] = {}
        self._used: dict[str, Counter[str]] = {}  # hosts by service
        self._frozen: dict[str, str] = {}

    def allowed(self, number: int | None, fields: Fields, times: int) -> None:
        name = self._name(fields, len(self._passed))
        sums = self._sums.setdefault(name, _Sums())
        if name != OTHERS:
            self._passed.add(name)
        endpoint = sums.endpoint(fields, len(sums.requests))
        sums.requests[endpoint] += times
        if name != OTHERS and fields.get("rule"):
            by = AllowedBy(str(fields["rule"]), _origin(fields))
            if by not in sums.rules and len(sums.rules) < ALLOWED_BY_MAX:
                sums.rules.append(by)
        if number is not None:
            self._open[number] = (name, endpoint)
            if len(self._open) > OPEN_MAX:
                del self._open[next(iter(self._open))]
        if fields.get("managed_credential_active") and fields.get("route_id"):
            self._used.setdefault(str(fields["route_id"]), Counter())[name] += times

    def refused(self, fields: Fields, times: int) -> None:
        if fields.get("target") == SEVERAL:
            return
        sums = self._sums.setdefault(self._name(fields, len(self._sums)), _Sums())
        sums.refused[sums.endpoint(fields, len(sums.requests.keys() | sums.refused.keys()))] += times

    def ended(self, outcome: Fields) -> None:
        number = outcome.get("request")
        begun = self._open.pop(number, None) if isinstance(number, int) else None
        if begun is None:
            return
        name, endpoint = begun
        sums = self._sums[name]
        status = outcome.get("status")
        sums.statuses.setdefault(endpoint, Counter())[status if isinstance(status, int) else 0] += 1
        sums.failed += outcome.get("failure") not in _NOT_FAILED
        sums.bytes_out += _count(outcome.get("bytes_out"))
        sums.bytes_in += _count(outcome.get("bytes_in"))

    def frozen(self, service: str, why: str) -> None:
        self._frozen[service] = why

    def listed(self) -> tuple[Host, ...]:
        """Return the hosts, most used first."""
        found = [_host(name, sums) for name, sums in self._sums.items()]
        return tuple(sorted(found, key=lambda host: (-host.requests, -host.refused, host.name)))

    def credentials(self) -> tuple[CredentialUse, ...]:
        return tuple(
            CredentialUse(
                service,
                tuple(sorted(self._used.get(service, ()))),
                sum(self._used.get(service, Counter[str]()).values()),
                self._frozen.get(service),
            )
            for service in sorted(self._used.keys() | self._frozen.keys())
        )

    def _name(self, fields: Fields, listed: int) -> str:
        """Return the host to list an event under. listed: how many hosts of its kind are listed."""
        name = host_of(fields)
        return name if name in self._sums or listed < HOSTS_MAX else OTHERS


def host_of(fields: Fields) -> str:
    """Return the host and port that was reached, or would have been."""
    if fields.get("rule") == OWN_SERVER:
        return OWN_SERVERS  # each has another port: those of a day's tests would take all places
    upstream = fields.get("upstream")
    if upstream:
        return str(upstream)
    port = fields.get("port")
    return f"{fields['target']}{f':{port}' if port else ''}"


def _endpoint(fields: Fields) -> tuple[str, str]:
    method, path = fields.get("method"), fields.get("path")
    if method == "CONNECT" or path is None:
        return "tunnel" if method else "connection", ""
    path = str(path).partition("?")[0]
    segments = ("*" if segment and is_variable(segment) else segment for segment in path.split("/"))
    return str(method), "/".join(segments)


def _host(name: str, sums: _Sums) -> Host:
    endpoints = [
        Endpoint(
            *key, sums.requests[key], sums.refused[key], dict(sorted(sums.statuses.get(key, {}).items()))
        )
        for key in sums.requests.keys() | sums.refused.keys()
    ]
    endpoints.sort(key=lambda each: (-each.requests, -each.refused, each.path, each.method))
    return Host(
        name,
        sum(sums.requests.values()),
        sum(sums.refused.values()),
        sums.failed,
        sums.bytes_out,
        sums.bytes_in,
        tuple(endpoints),
        tuple(sums.rules),
    )


def _origin(fields: Fields) -> str | None:
    origin = fields.get("origin")
    return str(origin) if origin else None


def _count(value: object) -> int:
    return value if isinstance(value, int) else 0
