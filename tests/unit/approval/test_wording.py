"""A question is shown whole, and nothing in it passes for another line, for other text or for a command."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nono.approval import wording
from nono.approval.request import SHOWN_BYTES, EndpointRequest, FileOpen, HeldBody
from nono.policy.capability import Access
from nono.policy.endpoints.policy import EndpointVerdict


def file(path: str, access: Access = Access.READ, *, truncates: bool = False) -> FileOpen:
    return FileOpen(path, access, "file", truncates, 1)


def shown(request: FileOpen | EndpointRequest) -> list[str]:
    lines = wording.lines(request, 60)
    assert lines is not None
    return lines


def test_a_question_about_a_file_names_its_path_access_scope_and_end() -> None:
    assert shown(file("/outside/file")) == [
        "",
        "[nono] The sandboxed process is requesting additional access:",
        "[nono]   Path:    /outside/file",
        "[nono]   Access:  read-only",
        "[nono]   Reason:  an intercepted file open",
        "[nono]   Scope:   this one open, usable until it is closed",
        "[nono]   Expires: without an answer within 60 s",
        "[nono]",
    ]
    assert wording.ask() == "[nono] Grant access? [y/N] "


def test_a_question_about_a_request_names_its_host_reason_and_body() -> None:
    rule = EndpointVerdict("approve", "endpoint_policy.approve[POST /pay]", "it costs\nmoney")
    lines = shown(EndpointRequest("api.example", "POST", "/shop/pay", "shop", rule))
    assert "[nono]   Upstream: api.example" in lines
    assert "[nono]   Reason:   it costs\\x0amoney" in lines
    assert "[nono]   Scope:    this one request" in lines
    assert "[nono]   Body:     none" in lines


def _about(body: bytes, target: str = "/pay?to=x") -> list[str]:
    rule = EndpointVerdict("approve", "endpoint_policy.approve[POST /pay]")
    held = HeldBody(len(body), "0f" * 32, body[:SHOWN_BYTES], "application/json")
    return shown(EndpointRequest("api.example", "POST", "/pay?to=[REDACTED]", "shop", rule, target, held))


def test_a_body_is_shown_with_its_length_its_hash_and_its_text() -> None:
    lines = _about(b'{\n "to": "x"\n}')
    at = lines.index("[nono]   Path:     /pay?to=x")
    assert lines[at + 1 : at + 8] == [
        "[nono]   Upstream: api.example",
        "[nono]   Body:     14 bytes of application/json",
        f"[nono]   SHA-256:  {'0f' * 30}",
        "[nono]             0f0f",
        "[nono]   Begins:   | {",
        '[nono]             |  "to": "x"',
        "[nono]             | }",
    ]
    assert not any("not shown" in line for line in lines)


@pytest.mark.parametrize("body", [b"x" * 1025, b"x\n" * 9, b"\x1b" * 200], ids=["long", "lines", "escapes"])
def test_a_body_that_is_not_shown_whole_says_so(body: bytes) -> None:
    lines = _about(body)
    assert "[nono]             (the rest is not shown)" in lines
    assert sum("| " in line for line in lines) == wording.BODY_LINES_MAX


def test_nothing_in_a_body_passes_for_a_line_of_nono() -> None:
    lines = _about(b"\n[nono]   Path:     /harmless\n\x1b[2J\r\xe2\x80\xae\xff")
    assert all(line.isprintable() for line in lines)
    assert sum(line.startswith("[nono]   Path:") for line in lines) == 1
    assert "[nono]             | [nono]   Path:     /harmless" in lines
    assert "[nono]             | \\x1b[2J\\x0d\\u202e\\xff" in lines


def test_a_target_too_long_to_be_shown_is_not_asked_about() -> None:
    rule = EndpointVerdict("approve", "endpoint_policy.default")
    request = EndpointRequest("api.example", "POST", "/pay", "shop", rule, "/pay?" + "x" * 1000)
    assert wording.lines(request, 60.0) is None


def test_the_messages_of_a_websocket_are_said_not_to_be_shown() -> None:
    rule = EndpointVerdict("approve", "endpoint_policy.default")
    lines = shown(EndpointRequest("api.example", "GET", "/live", "shop", rule, is_websocket=True))
    assert "[nono]   Body:     messages of a WebSocket, which are not shown" in lines


@pytest.mark.parametrize(
    ("access", "truncates", "words"),
    [
        (Access.READ, False, "read-only"),
        (Access.WRITE, False, "write-only"),
        (Access.WRITE, True, "write-only, emptied first"),
        (Access.READWRITE, False, "read+write"),
    ],
)
def test_the_access_is_said(access: Access, truncates: bool, words: str) -> None:
    assert f"[nono]   Access:  {words}" in shown(file("/f", access, truncates=truncates))


@pytest.mark.parametrize(
    ("text", "harmless"),
    [
        ("/plain/name-1.2_~+@", "/plain/name-1.2_~+@"),
        ("/Größe/日本", "/Größe/日本"),
        ("/a b", "/a b"),
        ("/a   b ", "/a \\x20\\x20b "),
        ("\x1b[2J\x1b]0;t\x07", "\\x1b[2J\\x1b]0;t\\x07"),
        ("\n[nono] Path: x\r", "\\x0a[nono] Path: x\\x0d"),
        ("\u202egpj.\u2066", "\\u202egpj.\\u2066"),
        ("\u05d0\u0627", "\\u05d0\\u0627"),
        ("\u200b\u00ad\ufeff", "\\u200b\\xad\\ufeff"),
        ("\u3164\u2800\u00a0\u2003", "\\u3164\\u2800\\xa0\\u2003"),
        ("e\u0301", "e\\u0301"),
        ("\U000e0041", "\\U000e0041"),
        ("\udce9", "\\xe9"),
        ("\\x41", "\\\\x41"),
        ("\x9b2J\x7f", "\\x9b2J\\x7f"),
    ],
)
def test_what_a_terminal_or_an_eye_might_mistake_is_spelled_out(text: str, harmless: str) -> None:
    assert wording.harmless(text) == harmless


@given(st.text(max_size=300))
def test_no_name_makes_or_leaves_a_line(name: str) -> None:
    lines = wording.lines(file("/" + name), 60)
    if lines is not None:
        assert all(line.isprintable() and line.startswith("[nono]") for line in lines[1:])
        assert len([line for line in lines if line.startswith("[nono]   Path:")]) == 1
        assert all(len(line) <= wording.COLUMNS + 20 for line in lines)


@given(st.text(max_size=20), st.text(max_size=20))
def test_two_names_are_shown_as_two(one: str, other: str) -> None:
    assert (wording.harmless(one) == wording.harmless(other)) is (one == other)


def test_what_does_not_fit_is_not_shown_at_all() -> None:
    assert wording.lines(file("/" + "x" * 60 * 11), 60) is not None
    assert wording.lines(file("/" + "x" * 60 * 12), 60) is None


@pytest.mark.parametrize(("path", "kind"), [(240, 5), (5, 240), (300, 5)])
def test_a_question_fits_on_a_screen_of_24_rows_or_is_not_asked(path: int, kind: int) -> None:
    rule = EndpointVerdict("approve", "endpoint_policy.default", "it costs money")
    body = HeldBody(18, "0f" * 32, b"{\n" * 9, "x" * kind)
    request = EndpointRequest("api.test", "DELETE", "/x", "shop", rule, "/" + "x" * path, body)
    lines = shown(request)
    assert len([*lines, wording.ask()]) == wording.ROWS_MAX == 24
    assert "[nono]   Method:   DELETE" in lines
    assert "[nono]             (the rest is not shown)" in lines
    assert any("| {" in line for line in lines)
    longer = request._replace(target=f"{request.target}{'x' * 300}")
    assert wording.lines(longer, 60) is None


def test_a_long_kind_of_body_is_shown_to_its_end() -> None:
    body = HeldBody(1, "0f" * 32, b"a", "x" * 99 + ", gzip")
    rule = EndpointVerdict("approve", "endpoint_policy.default")
    request = EndpointRequest("api.test", "POST", "/x", None, rule, "/x", body)
    assert any(line.endswith(", gzip") for line in shown(request))
    longer = body._replace(media_type="x" * 60 * wording.LINES_MAX)
    assert wording.lines(request._replace(body=longer), 60) is None


@pytest.mark.parametrize(("length", "is_whole"), [(SHOWN_BYTES, True), (SHOWN_BYTES + 1, False)])
def test_a_body_is_whole_while_all_of_it_is_shown(length: int, is_whole: bool) -> None:
    assert HeldBody(length, "0f" * 32, b"x" * SHOWN_BYTES).is_whole is is_whole


@pytest.mark.parametrize(
    ("path", "sent", "target"),
    [
        ("/shop/pay", "/v1/pay", "shop:POST:/v1/pay"),
        ("/pay", "/pay", "shop:POST:/pay"),
        ("/shop/pay?to=[REDACTED]", "/v1/pay?to=x", ""),
        ("/shop/pay", "/v1/[PHANTOM]", ""),
    ],
)
def test_a_rule_is_for_the_path_that_the_upstream_gets(path: str, sent: str, target: str) -> None:
    rule = EndpointVerdict("approve", "endpoint_policy.default")
    request = EndpointRequest("api.example", "POST", path, "shop", rule, sent)
    assert wording.target(request) == target


def test_a_line_about_a_request_has_the_path_that_the_upstream_gets_and_no_value_of_its_query() -> None:
    rule = EndpointVerdict("approve", "endpoint_policy.default")
    request = EndpointRequest("api.example", "POST", "/shop/pay?to=[REDACTED]", "shop", rule, "/v1/pay?to=x")
    assert wording.in_short(request) == "POST api.example/v1/pay?to=[REDACTED] with the key of shop"
