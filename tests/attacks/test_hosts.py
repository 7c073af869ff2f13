"""H1 to H6, H9: every spelling of a host means what was granted or nothing, on both ways out."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from support.canary import Canary
from support.clients.wire import Answer, connect, get, play, request
from support.nono_run import Ended, NonoRun
from support.servers.http1 import HttpUpstream, upstream

pytestmark = pytest.mark.any_user

# {P} is the port of the upstream, to which "localhost" is granted; another port of it is a canary's.
REFUSED = {
    "H1 NUL behind the granted name": b"localhost\0.evil.test:{P}",
    "H1 NUL before it": b"evil.test\0.localhost:{P}",
    "H2 IDN, not granted": "bücher.test:{P}".encode(),
    "H2 zero-width space": "local\u200bhost:{P}".encode(),
    "H2 ideographic full stop": "evil.test\u3002localhost:{P}".encode(),
    "H2 full-width letters": "\uff4c\uff4f\uff43\uff41\uff4c\uff48\uff4f\uff53\uff54:{P}".encode(),
    "H2 two trailing dots": b"localhost..:{P}",
    "H2 leading dot": b".localhost:{P}",
    "H2 denied IDN by its A-label": b"xn--bcher-kva.wild.test:{P}",
    "H3 one number": b"2130706433:{P}",
    "H3 hexadecimal": b"0x7f000001:{P}",
    "H3 octal": b"017700000001:{P}",
    "H3 hexadecimal, two parts": b"0x7f.1:{P}",
    "H3 two parts": b"127.1:{P}",
    "H3 three parts": b"127.0.1:{P}",
    "H3 octal parts": b"0177.0.0.01:{P}",
    "H3 zero": b"0:{P}",
    "H3 too large": b"4294967297:{P}",
    "H3 trailing dot": b"127.0.0.1.:{P}",
    "H4 mapped": b"[::ffff:127.0.0.1]:{P}",
    "H4 mapped, hexadecimal": b"[::ffff:7f00:1]:{P}",
    "H4 compatible": b"[::127.0.0.1]:{P}",
    "H4 NAT64": b"[64:ff9b::7f00:1]:{P}",
    "H4 6to4": b"[2002:7f00:1::]:{P}",
    "H4 unspecified": b"[::]:{P}",
    "H5 zone": b"[fe80::1%25lo]:{P}",
    "H5 zone of loopback": b"[::1%lo]:{P}",
    "H5 a name in brackets": b"[localhost]:{P}",
    "H5 user info": b"localhost@evil.test:{P}",
    "H5 user info with the granted port": b"evil.test:1@localhost:{P}",
    "H5 fragment": b"evil.test#localhost:{P}",
    "H5 backslash": b"evil.test\\localhost:{P}",
    "H5 slash": b"evil.test/localhost:{P}",
    "H5 blank": b"evil.test localhost:{P}",
    "H5 tab": b"localhost\t:{P}",
    "H5 percent": b"%6cocalhost:{P}",
    "H5 CRLF": b"evil.test\r\nHost: localhost:{P}",
    "H5 IPv6 without brackets": b"::1:{P}",
    "H6 longer on the left": b"notlocalhost:{P}",
    "H6 longer on the right": b"localhost.evil.test:{P}",
    "H6 no label boundary": b"notwild.test:{P}",
    "H6 the suffix itself": b"wild.test:{P}",
    "H9 IPv4": b"127.0.0.1:{P}",
    "H9 IPv6": b"[::1]:{P}",
    "H9 another port": b"localhost:{Q}",
    "H9 ssh": b"localhost:22",
    "H9 port 0": b"localhost:0",
    "H9 port with zeros in front": b"localhost:0{P}",
    "H9 signed port": b"localhost:+{P}",
    "H9 port above 65535": b"localhost:65536",
    "H9 huge port": b"localhost:4295032832",
    "H9 empty port": b"localhost:",
    "H9 denied port of a wildcard": b"closed.wild.test:{P}",
}
# In the absolute form they mean something else: a port may be left out, a path may follow.
CONNECT_ONLY = {"H5 slash", "H5 blank", "H9 empty port", "H5 fragment"}
ALLOWED = {
    "as granted": b"localhost:{P}",
    "in capitals": b"LOCALHOST:{P}",
    "with its root label": b"localhost.:{P}",
}


@dataclass(frozen=True, slots=True)
class Asked:
    """One run in which every spelling was tried."""

    answers: dict[str, Answer]
    run: Ended
    upstream: HttpUpstream
    seen: dict[str, int]


@pytest.fixture(scope="module", params=["CONNECT", "absolute form"])
def asked(request: pytest.FixtureRequest, sandbox: NonoRun) -> Iterator[Asked]:
    is_connect = request.param == "CONNECT"
    with upstream() as server, Canary() as canary:
        other = canary.tcp("another port")
        canary.tcp("IPv6 loopback", "::1", server.port)
        profile = {
            "network": {
                "allow_domain": [f"localhost:{server.port}", "*.wild.test"],
                "deny_domain": ["bücher.wild.test", f"closed.wild.test:{server.port}"],
            }
        }
        spellings = {
            name: text.replace(b"{P}", b"%d" % server.port).replace(b"{Q}", b"%d" % other)
            for name, text in (ALLOWED | REFUSED).items()
            if is_connect or name not in CONNECT_ONLY
        }
        connections = [script(text, is_connect=is_connect) for text in spellings.values()]
        answers, run = play(sandbox, connections, profile=profile)
        yield Asked(dict(zip(spellings, answers, strict=True)), run, server, canary.seen())


def script(authority: bytes, *, is_connect: bool) -> list[list[str | int]]:
    if is_connect:
        return [["send", connect(authority).hex()], ["read_head"]]
    return request(get(b"http://" + authority + b"/", host=authority))


def test_no_other_spelling_gets_through(asked: Asked) -> None:
    refused = {name: answer.status for name, answer in asked.answers.items() if name in REFUSED}
    assert {name for name, status in refused.items() if status not in (400, 403, 505)} == set()
    assert asked.seen == {}
    # Whoever got through was seen by the upstream: those who may, and nobody else.
    # (Requests in absolute form may share a connection, tunnels carry no request here.)
    assert max(len(asked.upstream.requests), len(asked.upstream.connections)) == len(ALLOWED)


@pytest.mark.parametrize("name", ALLOWED)
def test_the_granted_name_gets_through(name: str, asked: Asked) -> None:
    assert asked.answers[name].status == 200
    assert ("localhost", asked.upstream.port) in {
        (event["target"], event["port"]) for event in asked.run.allowed
    }


def test_every_refusal_is_recorded_with_its_status(asked: Asked) -> None:
    statuses = sorted(answer.status for name, answer in asked.answers.items() if name in REFUSED)
    assert sorted(event["status"] for event in asked.run.denied) == statuses
    assert {event["reason"] for event in asked.run.denied if event["status"] == 403}
    assert len(asked.run.allowed) == len(ALLOWED)
    assert any("wild.test" in event.get("rule", "") for event in asked.run.denied)
