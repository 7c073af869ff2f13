"""The services of a scene as routes of a proxy, and where each has its key."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Sequence
from typing import NamedTuple
from urllib.parse import quote

from hunt.traffic.programs.program import Scene, Service
from nono.credentials.aws.credential import AwsCredential
from nono.credentials.aws.signature import Keys
from nono.credentials.oauth2.credential import OAuth2Credential
from nono.credentials.static import StaticCredential
from nono.credentials.values.credential import Credential, Header, LeakDetector
from nono.credentials.values.injection import injection_of
from nono.credentials.values.tripwire import tripwire_for
from nono.policy.endpoints.policy import ALLOW_ALL, EndpointPolicy, EndpointRule
from nono.policy.schema.route_rules import AwsAuth, Inject
from nono.proxy.verdict.routes import Route
from nono.secret import Secret
from support.proxy.thread import a_route

INJECTED = {
    "bearer": Inject(),
    "header": Inject(header="X-Api-Key", format="{}"),
    "query": Inject("query_param", query_param="key"),
    "path": Inject("url_path", path_pattern="/bot{}/", path_replacement="/bot{}/"),
    "basic": Inject("basic_auth"),
    "aws": Inject(),
    "oauth2": Inject(),
}
# What a secret may be made of to go there.
SHAPES_OF = {
    "path": ("token", "hex", "short"),
    "aws": ("token", "base64"),
    "oauth2": ("token", "hex", "base64"),
}
RULES = EndpointPolicy(deny=(EndpointRule("*", "/admin/**"),), origin="the hunt")


def phantom_of(number: int) -> str:
    return f"sk-phantom-of-service-{number}"


class Shown(NamedTuple):
    """Where a request shows its phantom. target: of the origin, without the prefix of a reverse route."""

    target: str
    fields: list[tuple[str, str]]


def shown(number: int, service: Service, path: str) -> Shown:
    phantom = phantom_of(number)
    match service.mode:
        case "header":
            return Shown(path, [("x-api-key", phantom)])
        case "query":
            return Shown(f"{path}{'&' if '?' in path else '?'}key={phantom}", [])
        case "path":
            return Shown(f"/bot{phantom}{path}", [])
        case "basic":
            return Shown(path, [("authorization", "Basic " + b64encode(f"u:{phantom}".encode()).decode())])
        case _:
            return Shown(path, [("authorization", f"Bearer {phantom}")])


def real_key(number: int, service: Service, secret: str) -> bytes:
    """Return the key as it stands in a head that reaches the upstream. Of AWS only the signature does."""
    match service.mode:
        case "basic":
            return b64encode(full_secret(service, secret).encode())
        case "query":
            return quote(secret, safe="").encode()
        case "aws":
            return b"Credential=AKIDHUNT%d/" % number
        case _:
            return secret.encode()


class _Reply(NamedTuple):
    status: int
    body: bytes


class _AwsKeys(AwsCredential):
    """Those of a profile, without a file."""

    def __init__(self, number: int, secret: str) -> None:
        super().__init__(AwsAuth(service="execute-api", region="us-east-1"), {}, lambda command: None)
        self._found = Keys(f"AKIDHUNT{number}", Secret(secret), None)

    def _read(self) -> Keys:
        return self._found


def _oauth2(secret: str) -> OAuth2Credential:
    async def post(url: str, form: bytes, fields: Sequence[Header]) -> _Reply:
        granted = {"access_token": secret, "token_type": "Bearer", "expires_in": 3600}
        return _Reply(200, json.dumps(granted).encode())

    client = Secret("client-" + secret[::-1])
    return OAuth2Credential("https://token.test/", Secret("hunt"), client, post=post, inject=Inject())


def full_secret(service: Service, secret: str) -> str:
    return f"user:{secret}" if service.mode == "basic" else secret


def _credential(number: int, service: Service, text: str) -> Credential:
    secret = Secret(text)
    match service.mode:
        case "aws":
            return _AwsKeys(number, text)
        case "oauth2":
            return _oauth2(text)
        case _:
            watches = tripwire_for([secret], basic=service.mode == "basic")
            return StaticCredential(injection_of(INJECTED[service.mode], secret), watches)


def detector_of(service: Service, secret: str) -> LeakDetector | None:
    """Return what recognises the secret in an answer; nothing does that of AWS, which signs."""
    if service.mode == "aws":
        return None
    return tripwire_for([Secret(full_secret(service, secret))], basic=service.mode == "basic")


def route_of(number: int, scene: Scene, secret: str, port: int, ca_file: str) -> Route:
    service = scene.services[number]
    inject = INJECTED[service.mode]
    return a_route(
        port,
        service=f"s{number}",
        host=scene.host if scene.tls else "localhost",
        scheme="https" if scene.tls else "http",
        phantom=phantom_of(number),
        credential=_credential(number, service, full_secret(service, secret)),
        tls_ca=ca_file if scene.tls else None,
        accept=inject,
        inject=inject,
        injection_mode=inject.mode,
        endpoints=RULES if service.has_rules else ALLOW_ALL,
    )
