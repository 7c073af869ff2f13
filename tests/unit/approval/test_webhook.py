"""A webhook is posted each question over TLS, and nothing but a clear yes of it is one."""

from __future__ import annotations

import asyncio
import os
import socket
from pathlib import Path
from typing import Any

import anyio
import pytest

from nono.approval.request import Answer, EndpointRequest, FileOpen, HeldBody, Question
from nono.approval.webhook import Webhook, _Reply
from nono.policy.capability import Access
from nono.policy.endpoints.policy import EndpointVerdict
from nono.policy.hosts.upstream import parse_upstream
from nono.policy.services.approval import WebhookBackend
from support.forked import child, in_child
from support.ordinary_user import UNPRIVILEGED_ID
from support.servers.webhook import Reply, ok, saying, webhook_server

FILE = FileOpen("/outside/caf\udce9", Access.READWRITE, "file", truncates=True, pid=4)
PAY = EndpointRequest("api", "POST", "/pay", "alpha", EndpointVerdict("approve", "rule", "it costs money"))


def asked(
    reply: Reply,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    request: FileOpen | EndpointRequest = FILE,
    *,
    trusted: bool = True,
) -> tuple[Answer, list[dict[str, object]], list[bytes]]:
    with webhook_server(reply, tmp_path, trusted=trusted) as server:
        monkeypatch.setenv("SSL_CERT_FILE", str(server.ca_file))
        webhook = Webhook(WebhookBackend(parse_upstream(server.url), "/ask/"))
        answer = anyio.run(webhook.ask, Question("12ab", request, "s1", "phone"), 60.0)
        return answer, server.asked, server.heads


@pytest.mark.parametrize("word", ["grant", "approve", "allow", "allowed", "Granted", "APPROVED"])
def test_a_yes_is_one_of_a_few_words(word: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    answer, questions, heads = asked(saying(word), tmp_path, monkeypatch)
    assert answer.is_granted
    assert questions == [
        {
            "backend": "phone",
            "request": {
                "capability_type": "capability",
                "request_id": "12ab",
                "path": "/outside/caf\\xe9",
                "access": "ReadWrite",
                "reason": "the command truncates and opens a file beyond its grants",
                "child_pid": 4,
                "session_id": "s1",
                "scope": "once",
                "expires_secs": 60.0,
            },
        }
    ]
    assert heads[0].startswith(b"POST /ask/ HTTP/1.1\r\nHost: localhost:")


def test_an_interim_response_is_no_answer_yet() -> None:
    reply = _Reply()
    reply.feed(b"HTTP/1.1 103 Early Hints\r\n\r\n")
    assert not reply.is_complete
    reply.feed(ok({"decision": "grant"}))
    assert (reply.is_complete, reply.status) == (True, 200)


def test_an_endpoint_is_asked_about_with_its_rule(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    answer, [question], _ = asked(saying("allow"), tmp_path, monkeypatch, PAY)
    assert answer.is_granted
    about = question["request"]
    assert isinstance(about, dict)
    assert (about["capability_type"], about["route_id"], about["method"]) == ("endpoint", "alpha", "POST")
    assert (about["upstream"], about["path"], about["reason"]) == ("api", "/pay", "it costs money")


def test_a_body_is_posted_with_its_length_its_hash_and_its_text(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    request = PAY._replace(target="/pay?to=x", body=HeldBody(4, "0f" * 32, b"ab\n\xff", "text/plain"))
    _, [question], _ = asked(saying("allow"), tmp_path, monkeypatch, request)
    about = question["request"]
    assert isinstance(about, dict)
    assert (about["path"], about["target"]) == ("/pay", "/pay?to=x")
    assert about["body"] == {
        "length": 4,
        "sha256": "0f" * 32,
        "media_type": "text/plain",
        "begins": "ab\n\\xff",
        "is_whole": True,
    }


def status(code: int, more: str = "") -> Reply:
    body = b'{"decision": "grant"}'
    head = f"HTTP/1.1 {code} Whatever\r\n{more}Content-Length: {len(body)}\r\n\r\n"
    return lambda question: head.encode() + body


def text(body: bytes) -> bytes:
    return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)


NO: dict[str, tuple[Reply, str]] = {
    "deny": (saying("deny"), "denied"),
    "rejected": (saying("rejected"), "denied"),
    "blocked": (saying("Blocked"), "denied"),
    "timeout": (saying("timeout"), "timeout"),
    "another word": (saying("y"), "error"),
    "nearly": (saying("grant "), "error"),
    "no word": (lambda question: ok({"decision": True}), "error"),
    "no decision": (lambda question: ok({"granted": "grant"}), "error"),
    "a list": (lambda question: ok(["grant"]), "error"),
    "another request": (lambda question: ok({"decision": "grant", "request_id": "0"}), "error"),
    "no JSON": (lambda question: b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\ngrant", "error"),
    "deep JSON": (
        lambda question: b"HTTP/1.1 200 OK\r\nContent-Length: 60000\r\n\r\n" + b"[" * 60000,
        "error",
    ),
    "404": (status(404), "denied"),
    "500": (status(500), "denied"),
    "redirect": (status(302, "Location: https://localhost:1/\r\n"), "denied"),
    "too long": (lambda question: ok({"decision": "grant", "more": "x" * 65536}), "error"),
    "long head": (
        lambda question: ok({"decision": "grant"}).replace(b"OK\r\n", b"OK\r\n" + b"A: b\r\n" * 40000),
        "error",
    ),
    "no HTTP": (lambda question: b"grant", "error"),
    "cut": (lambda question: ok({"decision": "grant"})[:-1], "error"),
    "nothing": (lambda question: b"", "error"),
    "two decisions": (lambda question: text(b'{"decision": "deny", "decision": "grant"}'), "error"),
    "two replies": (
        lambda question: b"HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n" + ok({"decision": "grant"}),
        "error",
    ),
}


@pytest.mark.parametrize("name", NO)
def test_everything_else_is_a_no(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reply, outcome = NO[name]
    answer, questions, _ = asked(reply, tmp_path, monkeypatch)
    assert answer.outcome == outcome
    assert len(questions) == 1


def test_a_reply_that_does_not_say_how_long_it_is_is_told_from_no_reply(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only the end of the connection would end it, and a cut connection looks the same."""
    answer, _, _ = asked(
        lambda question: b'HTTP/1.1 200 OK\r\n\r\n{"decision": "grant"}', tmp_path, monkeypatch
    )
    reason = "the webhook's reply ended early, or does not say how long it is"
    assert (answer.outcome, answer.reason) == ("error", reason)


def test_one_with_a_certificate_of_somebody_else_is_asked_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer, questions, _ = asked(saying("grant"), tmp_path, monkeypatch, trusted=False)
    assert (answer.outcome, questions) == ("error", [])
    assert "certificate" in answer.reason


def test_one_that_is_not_there_is_a_no() -> None:
    webhook = Webhook(WebhookBackend(parse_upstream("http://127.0.0.1:1"), "/"))
    assert anyio.run(webhook.ask, Question("1", FILE, "", "phone"), 1.0).outcome == "error"


@pytest.mark.root
@pytest.mark.parametrize("uid", [UNPRIVILEGED_ID, 2000], ids=["its own", "another person's"])
def test_another_persons_server_on_this_machine_answers_for_nobody(uid: int) -> None:
    """Over http nothing but the port says whose a webhook is."""
    body = b'{"decision": "allow"}'
    reply = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)

    def ask(port: int) -> list[object]:
        os.setresuid(UNPRIVILEGED_ID, UNPRIVILEGED_ID, UNPRIVILEGED_ID)
        webhook = Webhook(WebhookBackend(parse_upstream(f"http://127.0.0.1:{port}"), "/ask"))
        return [*anyio.run(webhook.ask, Question("12ab", FILE, "s1", "phone"), 60.0)]

    def serve(listener: socket.socket) -> None:
        os.setresuid(uid, uid, uid)
        with listener.accept()[0] as accepted:
            accepted.recv(65536)
            accepted.sendall(reply)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        os.fchown(listener.fileno(), uid, uid)
        with child(lambda: serve(listener)):
            outcome, reason, *_ = in_child(lambda: ask(listener.getsockname()[1]))
    refused = (
        "the webhook cannot be reached: the server there is another user's (uid 2000): nothing is sent to it"
    )
    assert (outcome, reason) == (("granted", "") if uid == UNPRIVILEGED_ID else ("error", refused))


def test_what_was_said_before_the_question_came_is_no_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody knows any more whose server it was that has closed the connection."""
    body = b'{"decision": "allow"}'
    reply = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)
    listener = socket.create_server(("127.0.0.1", 0))
    connect = asyncio.open_connection

    async def connect_and_hear(host: str, port: int, **options: Any) -> object:
        opened = await connect(host, port, **options)
        with listener, listener.accept()[0] as accepted:
            accepted.sendall(reply)
        return opened

    monkeypatch.setattr(asyncio, "open_connection", connect_and_hear)
    webhook = Webhook(WebhookBackend(parse_upstream(f"http://127.0.0.1:{listener.getsockname()[1]}"), "/"))
    assert anyio.run(webhook.ask, Question("12ab", FILE, "s1", "phone"), 60.0).outcome == "error"
