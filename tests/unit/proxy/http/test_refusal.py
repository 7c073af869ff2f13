"""nono.proxy.http.refusal: answers a client can parse and a person can act on."""

from __future__ import annotations

import json

import pytest

from nono.proxy.http.refusal import Refusal, malformed, not_its_turn, rate_limited, response, token_required


def test_a_refusal_explains_itself_in_json() -> None:
    written = response(Refusal(403, "host x is denied", "x", "rule", "--deny-domain", "remove it"))
    head, _, body = written.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 403 Forbidden: host x is denied\r\nContent-Type: application/json\r\n")
    assert b"Content-Length: %d" % len(body) in head
    assert json.loads(body) == {
        "error": "host x is denied",
        "host": "x",
        "rule": "rule",
        "origin": "--deny-domain",
        "hint": "remove it",
    }


@pytest.mark.parametrize("text", ["a\r\nSet-Cookie: x", "a\nb", "a\x00b", "a\x1b[2Jb", "é" * 1000])
def test_no_reason_breaks_out_of_the_status_line(text: str) -> None:
    head = response(Refusal(502, text)).partition(b"\r\n\r\n")[0]
    status_line = head.split(b"\r\n")[0]
    assert len(head.split(b"\r\n")) == 3
    assert all(0x20 <= octet < 0x7F for octet in status_line)
    assert len(status_line) < 300


def test_a_challenge_keeps_the_connection() -> None:
    assert b'Proxy-Authenticate: Basic realm="nono"\r\n' in response(token_required())
    assert b"Connection: close" not in response(token_required())


@pytest.mark.parametrize(("closes", "options"), [(False, b"upgrade"), (True, b"close, upgrade")])
def test_who_may_not_upgrade_is_told_what_to_use_instead(closes: bool, options: bytes) -> None:
    head = response(Refusal(426, "nobody counts that"), closes=closes).partition(b"\r\n\r\n")[0]
    assert b"\r\nUpgrade: HTTP/1.1\r\n" in head
    assert head.endswith(b"\r\nConnection: " + options)
    assert b"Upgrade" not in response(Refusal(403, "nobody counts that"), closes=closes)


def test_a_malformed_request_closes_the_connection() -> None:
    assert b"Connection: close" in response(malformed(400, "no"))


def test_an_answer_to_head_announces_a_body_without_sending_it() -> None:
    assert response(Refusal(404, "no"), without_body=True).endswith(b"\r\n\r\n")
    assert b"Content-Length: 0" not in response(Refusal(404, "no"), without_body=True)


@pytest.mark.parametrize("passing", [rate_limited("alpha", 3.0), not_its_turn("alpha", 60.0)])
def test_a_client_may_retry_what_only_takes_time(passing: Refusal) -> None:
    assert b"x-should-retry" not in response(passing).lower()
