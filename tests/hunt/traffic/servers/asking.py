"""Ask a real server through the proxy at random, and compare what was sent with what it understood."""

from __future__ import annotations

import random
import ssl
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

from hunt.traffic.ends.routes import RULES, phantom_of
from hunt.traffic.programs.drawn import SMUGGLED
from hunt.traffic.servers.real import Running
from nono.credentials.static import StaticCredential
from nono.credentials.values.injection import injection_of
from nono.policy.endpoints.policy import ALLOW_ALL
from nono.policy.schema.route_rules import AUTHORIZATION
from nono.proxy.verdict.routes import Route
from nono.secret import Secret
from support.proxy.interception import Intercepting, intercepting
from support.proxy.thread import Client, Response, a_route

KEYS = ("sk-real-key-of-service-0", "sk-real-key-of-service-1")
PATIENCE_S = 0.3  # a server may wait for the rest of what it takes for a request
SERVICES = (-1, 0, 1)  # without a key; that with rules; that without
PATHS = ("/m", "/unread", "/m", "/unread", "/unread", "/admin")
METHODS = ("GET", "GET", "POST", "POST", "POST", "PUT", "HEAD", "DELETE")


@dataclass(frozen=True)
class Sent:
    mark: str
    service: int
    method: str
    path: str
    body: bytes | None
    is_chunked: bool
    is_inside: bool


def drawn(choice: random.Random, first: int, count: int) -> list[Sent]:
    return [_one(choice, f"{first + number}") for number in range(count)]


def _one(choice: random.Random, mark: str) -> Sent:
    method = choice.choice(METHODS)
    has_body = method not in ("GET", "HEAD") or choice.random() < 0.1
    body = choice.choice((SMUGGLED[0], *SMUGGLED)).encode() if has_body else None
    service = choice.choice(SERVICES)
    path = f"{choice.choice(PATHS)}/{mark}"
    is_inside = service < 0 or choice.random() < 0.5
    return Sent(mark, service, method, path, body, choice.random() < 0.2, is_inside)


def ask(running: Running, sent: Sequence[Sent]) -> list[str]:
    """Return what broke a promise. The requests go one after the other, so that they share connections."""
    before = len(running.understood())
    sights = list[str]()
    routes = [_route(number, running.port) for number in (0, 1)]
    with intercepting(*routes) as proxy:
        for each in sent:
            response = _response(proxy, running.port, each)
            if response is None:
                continue
            answer = response.value("x-answer")
            if answer and answer != each.mark:
                sights.append(f"answers/{running.name}: the one to {each.mark} -> the one to {answer}")
            if any(key in repr(response) for key in KEYS):
                sights.append(f"secret/{running.name}: none -> a key came back")
    marks = {each.mark: each for each in sent}
    for entry in running.understood()[before:]:
        sights += _look(running.name, entry, marks.get(entry["mark"]))
    return sights


def _look(name: str, entry: dict[str, str], sent: Sent | None) -> list[str]:
    """Return what is wrong with one request that the server understood."""
    owner = next((number for number, key in enumerate(KEYS) if key in entry["key"]), None)
    is_sent = sent is not None and (entry["method"], entry["target"]) == (sent.method, sent.path)
    line = f"{entry['method']} {entry['target'][:60]}"
    if not is_sent and owner is not None:
        return [f"desync/{name}: of no unsent request -> key of service {owner} with {line!r}"]
    if is_sent and sent is not None and owner is not None and owner != sent.service:
        return [f"keys/{name}: of service {sent.service} -> of service {owner}"]
    if is_sent and sent is not None and sent.service == 0 and sent.path.startswith("/admin"):
        return [f"rules/{name}: none -> {line!r}, which is denied"]
    return []


def _route(number: int, port: int) -> Route:
    secret = Secret(KEYS[number])
    return a_route(
        port,
        service=f"s{number}",
        host="localhost",
        phantom=phantom_of(number),
        credential=StaticCredential(injection_of(AUTHORIZATION, secret), None),
        endpoints=RULES if number == 0 else ALLOW_ALL,
    )


def _response(proxy: Intercepting, port: int, sent: Sent) -> Response | None:
    """Return a whole response; None: there was none."""
    prefix = "" if sent.is_inside else f"/s{sent.service}"
    lines = [f"{sent.method} {prefix}{sent.path} HTTP/1.1", f"Host: localhost:{port}", f"X-Mark: {sent.mark}"]
    if sent.service >= 0:
        lines.append(f"Authorization: Bearer {phantom_of(sent.service)}")
    body = b""
    if sent.body is not None and sent.is_chunked:
        lines.append("Transfer-Encoding: chunked")
        body = b"%x\r\n%b\r\n0\r\n\r\n" % (len(sent.body), sent.body)
    elif sent.body is not None:
        lines.append(f"Content-Length: {len(sent.body)}")
        body = sent.body
    request = "\r\n".join(lines).encode() + b"\r\n\r\n" + body
    with suppress(AssertionError, OSError, ssl.SSLError, ValueError):
        return _asked(proxy, port, sent, request)
    return None


def _asked(proxy: Intercepting, port: int, sent: Sent, request: bytes) -> Response:
    with proxy.inside("localhost", port) if sent.is_inside else Client(proxy.port) as client:
        client.transport.settimeout(PATIENCE_S)
        client.send(request)
        return client.response(to_head=sent.method == "HEAD")
