"""What whoever approves is shown holds neither a phantom nor a key, however it is spelled in a target."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import cast

import pytest

from nono.credentials.values.credential import LeakDetector, Outgoing
from nono.policy.endpoints.policy import EndpointVerdict
from nono.policy.hosts.upstream import Upstream
from nono.proxy.exchange.shown import BodyDigest, endpoint_request
from nono.proxy.verdict.verdict import Entry, Forward
from support.proxy.thread import PHANTOM, REAL_KEY, FakeCredential, Hosts, a_route

ASKS = EndpointVerdict("approve", "endpoint_policy.default")


class Finder:
    """Masks the real key, as the tripwire does."""

    def mask_text(self, text: bytes) -> bytes | None:
        key = REAL_KEY.encode()
        return text.replace(key, b"*" * len(key)) if key in text else None


@dataclass
class Watched(FakeCredential):
    finder: Finder = field(default_factory=Finder)

    def tripwire(self) -> LeakDetector | None:
        return cast(LeakDetector, self.finder)


ROUTE = a_route(443, host="api.test", scheme="https", credential=Watched())


def shown(target: bytes, body: bytes) -> tuple[str, bytes]:
    request = Outgoing(b"POST", target, b"api.test", [])
    entry = Entry("reverse", "alpha", 443, "POST", "/x?to=[REDACTED]", "alpha")
    forward = Forward(entry, Upstream("https", "api.test", 443), request, Hosts(), ROUTE, approval=ASKS)
    digest = BodyDigest()
    for start in range(0, len(body), 7):
        digest.feed(body[start : start + 7])
    asked = endpoint_request(forward, ASKS, digest.held([]), [ROUTE])
    assert asked.path == "/x?to=[REDACTED]"
    assert asked.body is not None
    return asked.target, asked.body.begins


@pytest.mark.parametrize(
    "spelled", [PHANTOM, PHANTOM.replace("-", "%2D"), f"a{PHANTOM}b", "nono_" + "a" * 64]
)
def test_a_phantom_is_masked(spelled: str) -> None:
    target, body = shown(f"/x?to={spelled}&n=1".encode(), f'{{"to": "{spelled}"}}'.encode())
    assert target == "/x?to=[PHANTOM]&n=1"
    assert body == b'{"to": "[PHANTOM]"}'


def test_a_key_is_masked() -> None:
    target, body = shown(f"/x?to={REAL_KEY}".encode(), f'{{"to": "{REAL_KEY}"}}'.encode())
    assert REAL_KEY not in target
    assert REAL_KEY.encode() not in body


def test_what_is_neither_is_shown_as_it_is_sent() -> None:
    text = b'{"name": "main", "force": true}\x1b[2J\xff'
    assert shown(b"/x?name=main&force=true", text) == ("/x?name=main&force=true", text)


def test_every_kind_that_is_named_is_shown() -> None:
    fields = [(b"Content-Encoding", b"gzip"), (b"content-type", b"a/b"), (b"Content-Type", b"c/d")]
    assert BodyDigest().held(fields).media_type == "a/b, c/d, gzip"
