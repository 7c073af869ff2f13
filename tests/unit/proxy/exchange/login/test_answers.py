"""What comes back from a login's provider: its tokens reach the command as phantoms only."""

from __future__ import annotations

import gzip
import json
from base64 import b64encode
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import parse_qs

import pytest

from nono.credentials.logins.phantom import MARK, jwt_phantom, nonce_of
from nono.proxy.exchange.context import MAX_CAPTURING
from nono.proxy.exchange.login import MAX_ANSWER_BYTES
from nono.secret import Secret
from support.proxy.login_stage import (
    ACCESS,
    AUTH,
    CODE,
    GRANTED,
    ID,
    REFRESH,
    Answer,
    Make,
    Scene,
    json_answer,
)


def test_only_the_tokens_in_the_answer_to_a_login_are_replaced(scene: Scene) -> None:
    scene.provider.answer = json_answer(
        {**GRANTED, "id_token": ID, "account": {"key": "real-nested", "id": 7}}
    )
    answer = scene.log_in()
    content = json.loads(answer.body)
    assert (answer.status, content["token_type"], content["expires_in"]) == (200, "Bearer", 3600)
    assert content["account"]["id"] == 7
    assert MARK.fullmatch(content["access_token"])
    assert MARK.fullmatch(content["refresh_token"])
    nonce = nonce_of(content["id_token"])
    assert nonce is not None
    assert content["id_token"] == jwt_phantom(nonce)
    stored = scene.store.read()
    kept = {
        name: stored[nonce_of(content[name]) or ""].real
        for name in ("access_token", "refresh_token", "id_token")
    }
    assert kept == {
        "access_token": Secret(ACCESS),
        "refresh_token": Secret(REFRESH),
        "id_token": Secret(ID),
    }
    assert stored[content["account"]["key"]].real == Secret("real-nested")
    [request] = scene.auth.requests
    assert (request.body, request.values(b"accept-encoding")) == (CODE, [b"identity"])
    assert scene.p.recording.decisions() == [("allow", None), ("allow", None)]
    assert scene.p.recording.network[1]["route_id"] == "oauth.acme"


def test_more_logins_at_once_than_are_held_at_once_all_come_through(scene: Scene) -> None:
    head = (
        f"POST /oauth/token HTTP/1.1\r\nHost: {AUTH}:{scene.auth.port}\r\nContent-Length: {len(CODE)}\r\n\r\n"
    )
    with ExitStack() as stack:
        clients = [stack.enter_context(scene.inside(AUTH, scene.auth)) for _ in range(MAX_CAPTURING + 4)]
        for client in clients:
            client.send(head.encode() + CODE)
        answers = [json.loads(client.response().body)["access_token"] for client in clients]
    assert len(set(answers)) == 1  # of the same token


def test_a_client_that_does_not_read_gets_no_further_answers_meanwhile(scene: Scene) -> None:
    large = b"[" + b" " * 1_000_000 + b"]"
    scene.provider.answer = (200, large, [])
    request = f"GET /large HTTP/1.1\r\nHost: {AUTH}:{scene.auth.port}\r\n\r\n".encode()
    with scene.inside(AUTH, scene.auth) as client:
        client.send(40 * request)
        scene.auth.received(1)
        for read in range(40):
            # The kernel holds up to ten mebibytes; beside them one may wait in the transport and one in its
            # TLS layer.
            assert len(scene.auth.requests) <= read + 13
            assert client.response().body == large
    assert len(scene.auth.requests) == 40


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"[" + b"1," * 60_000 + b"1]", 502),
        (b"[" + b"1," * 40_000 + b"1]", 200),
        (b"\0[" + b"\0,\0" * 60_000 + b"1\0]", 502),
        (b'"' + b"," * 60_000 + b'"', 200),
    ],
    ids=["too many", "many", "too many in UTF-16", "only text"],
)
def test_the_members_of_an_answer_are_bounded(body: bytes, status: int, scene: Scene) -> None:
    scene.provider.answer = (200, body, [])
    assert scene.ask(AUTH, "GET", "/other").status == status


def test_a_session_cookie_of_the_provider_stays_outside(scene: Scene) -> None:
    status, body, fields = json_answer(GRANTED)
    scene.provider.answer = (status, body, [*fields, ("Set-Cookie", "session=real")])
    assert scene.log_in().value("set-cookie") is None


DICT = json.dumps(GRANTED)
LEAKS: dict[str, Answer] = {
    "in an array": json_answer({"access_token": [ACCESS]}),
    "in an object": json_answer({"access_token": {"value": ACCESS}}),
    "in an object of an array": json_answer([{"access_token": ACCESS}]),
    "nested": json_answer({"data": {"access_token": ACCESS}}),
    "of another spelling": json_answer({"accessToken": ACCESS}),
    "of another prefix": json_answer({"user-access-token": ACCESS}),
    "beside the captured one": json_answer({**GRANTED, "again": {"refresh_token": REFRESH}}),
    "the same in another field": json_answer({**GRANTED, "session": ACCESS}),
    "the same inside a text": json_answer({**GRANTED, "note": f"use {ACCESS} now"}),
    "the same in base64": json_answer({**GRANTED, "note": b64encode(ACCESS.encode()).decode()}),
    "the same in a header": (200, DICT.encode(), [("X-Session", ACCESS)]),
    "the same as the name of a header": (
        200,
        json.dumps({**GRANTED, "access_token": "d2l0aG91dC13b3Jkcw"}).encode(),
        [("X-d2l0aG91dC13b3Jkcw", "1")],
    ),
    "in the name of a field": json_answer({**GRANTED, ACCESS: "7"}),
    "beside a field of its name": json_answer({**GRANTED, ACCESS: "access_token=123456789"}),
    "in the name of a header": (200, DICT.encode(), [(f"X-{ACCESS}", "1")]),
    "beside a header of its name": (200, DICT.encode(), [(f"X-{ID}", "access_token=123456789")]),
    "JSON in a text": json_answer({"data": json.dumps({"access_token": ACCESS})}),
    "a URL in a text": json_answer({"next": f"https://x.test/#access_token={ACCESS}"}),
    "no text where one should be": json_answer({"access_token": 7}),
    "a token that is no header value": json_answer({"access_token": f"{ACCESS}\r\nX: y"}),
    "the same name twice": (200, DICT[:-1].encode() + b', "access_token": "x"}', []),
    "a form": (200, f"access_token={ACCESS}&scope=x".encode(), []),
    "a page": (200, b"<html>welcome</html>", [("Content-Type", "text/html")]),
    "JSON with something behind it": (200, DICT.encode() + b"\n{}", []),
    "an error with tokens": json_answer(GRANTED, 400),
    "a server error with tokens": json_answer(GRANTED, 500),
    "an error that is no JSON and speaks of tokens": (400, f"access_token={ACCESS}".encode(), []),
    "in UTF-16 and no JSON": (400, f"access_token={ACCESS}".encode("utf-16-le"), []),
    "in EBCDIC": (
        400,
        f"access_token={ACCESS}".encode("cp037"),
        [("Content-Type", "text/plain;charset=cp037")],
    ),
    "a redirect": (302, b"", [("Location", f"https://x.test/#access_token={ACCESS}&state=1")]),
    "a redirect with a page": (302, f"<a href='?id_token={ID}'>".encode(), [("Location", "/x")]),
    "an escaped redirect": (302, b"", [("Location", f"/next?to=%2F%3Faccess_token%3D{ACCESS}")]),
    "a header of that name": (200, b"{}", [("X-Access-Token", ACCESS)]),
    "too deep": (200, b"[" * 45_000, []),
    "an unknown coding": (200, gzip.compress(DICT.encode()), [("Content-Encoding", "x-unknown")]),
    "two codings": (200, gzip.compress(gzip.compress(DICT.encode())), [("Content-Encoding", "gzip, gzip")]),
    "a coding that it is not in": (200, DICT.encode(), [("Content-Encoding", "gzip")]),
}


@pytest.mark.parametrize("answer", LEAKS.values(), ids=LEAKS)
def test_a_token_in_an_unnamed_place_is_a_502_that_stores_nothing(scene: Scene, answer: Answer) -> None:
    scene.provider.answer = answer
    refused = scene.log_in()
    assert refused.status == 502
    assert "token" in refused.reason or "coding" in refused.reason
    assert len(scene.auth.requests) == 1
    assert scene.store.read() == {}
    assert [decision for decision, _ in scene.p.recording.decisions()] == ["allow", "allow", "deny"]


ELSEWHERE_LEAKS = {
    name: LEAKS[name]
    for name in (
        "nested",
        "of another spelling",
        "JSON in a text",
        "a form",
        "a redirect",
        "an error with tokens",
    )
} | {"the token endpoint's own answer": json_answer(GRANTED)}


@pytest.mark.parametrize("answer", ELSEWHERE_LEAKS.values(), ids=ELSEWHERE_LEAKS)
@pytest.mark.parametrize(
    "path", ["/oauth/token/", "/oauth/Token", "/oauth/token2", "/oauth/token;x=1", "/v2/oauth/token", "/"]
)
def test_the_other_paths_of_its_host_are_searched_the_same_way(
    scene: Scene, answer: Answer, path: str
) -> None:
    scene.provider.answer = answer
    assert scene.log_in(path=path).status == 502
    assert scene.store.read() == {}


@pytest.mark.parametrize("path", ["/", "/x", "/oauthx/token", "/x/oauth/token", "/x?/oauth/token"])
def test_an_answer_from_where_its_host_gives_no_tokens_passes_unsearched(make: Make, path: str) -> None:
    """As a repository, which is long."""
    with make(searched_below="/oauth") as scene:
        scene.provider.answer = (200, b'{"access_token":"of a file"}' + b" " * MAX_ANSWER_BYTES, [])
        answer = scene.ask(AUTH, "GET", path)
        assert (answer.status, answer.body) == (200, scene.provider.answer[1])
        assert scene.store.read() == {}


@pytest.mark.parametrize(
    "path",
    [
        "/oauth",
        "/oauth/token/",
        "/oauth/Token.json",
        "/OAuth/token",
        "/oauth;x=1/token",
        "/%6fauth/token",
        "/x/../oauth/token",
        "//oauth/token2",
        "/x/%2e%2e/oauth/token2",
        "/x/..%2foauth/token2",
        "/oauth./token",
        "/oauth%20/token",
        "/%2foauth/token",
        "/oauth%3f/token",
        "/./oauth/token2",
    ],
)
def test_no_spelling_of_the_path_leads_past_the_search(make: Make, path: str) -> None:
    with make(searched_below="/oauth") as scene:
        scene.provider.answer = json_answer({**GRANTED, "other_access_token": "x"})
        assert scene.log_in(path=path).status in (400, 403, 502)
        assert scene.store.read() == {}


HARMLESS: dict[str, Answer] = {
    "an error of OAuth": json_answer(
        {"error": "invalid_grant", "error_description": "refresh_token expired or id_token malformed"}, 400
    ),
    "pending": json_answer({"error": "authorization_pending"}, 400),
    "a challenge": (401, b"{}", [("WWW-Authenticate", 'Bearer error="invalid_token"')]),
    "a page": (404, b"<html>nothing here</html>", []),
    "null fields": json_answer({"access_token": None, "refresh_token": "", "expires_in": 1}, 200),
    "a redirect": (302, b"", [("Location", "https://x.test/callback?code=abc")]),
    "no content": (204, b"", []),
    "about the kind of a token": json_answer({"issued_token_type": "urn:x:token-type:access_token"}),
    "flags of that name": json_answer({"supports_refresh_token": True, "has_access_token": False}),
}  # fmt: skip


@pytest.mark.parametrize("answer", HARMLESS.values(), ids=HARMLESS)
def test_an_answer_without_tokens_passes_as_it_is(scene: Scene, answer: Answer) -> None:
    scene.provider.answer = answer
    status, body, fields = answer
    got = scene.log_in()
    assert (got.status, got.body) == (status, body)
    for name, value in fields:
        assert got.value(name) == value


FORM = (("Content-Type", "application/x-www-form-urlencoded; charset=utf-8"),)


def test_the_tokens_in_an_answer_that_is_a_form_are_replaced(scene: Scene) -> None:
    """As GitHub answers who does not ask for JSON."""
    body = (
        f"access_token={ACCESS}&expires_in=3600&refresh_token={REFRESH}&scope=gist%2Crepo&token_type=bearer"
    )
    scene.provider.answer = (200, body.encode(), FORM)
    answer = scene.log_in()
    assert answer.status == 200, answer.body
    held = {name: values[0] for name, values in parse_qs(answer.body.decode(), strict_parsing=True).items()}
    assert (held["scope"], held["token_type"], held["expires_in"]) == ("gist,repo", "bearer", "3600")
    stored = scene.store.read_all()
    assert stored.tokens[held["access_token"]].real == Secret(ACCESS)
    assert stored.tokens[held["refresh_token"]].real == Secret(REFRESH)
    [login] = stored.logins.values()
    assert login.expires_s == login.renewed_s + 3600
    assert json.loads(login.answer)["access_token"] == held["access_token"]


def test_a_form_that_says_to_wait_passes_as_it_is(scene: Scene) -> None:
    body = b"error=authorization_pending&error_description=The+request+is+still+pending.&interval=5"
    scene.provider.answer = (200, body, FORM)
    assert scene.log_in().body == body


@pytest.mark.parametrize(
    "body",
    [
        f"access_token={ACCESS}&access_token=x",
        f"access_token=x&%61ccess_token={ACCESS}",
        f"access_token={ACCESS}&user_access_token={ACCESS}",
        f"access_token={ACCESS}&note={ACCESS}",
        f"access_token={ACCESS}%20",
        f"token_type=bearer;access_token={ACCESS}",
        f"access_token={ACCESS};scope=gist",
        f"token_type=bearer%0aaccess_token={ACCESS}",
        f"Access_Token={ACCESS}",
        f"access_token={ACCESS}&a=" + "&a=".join(map(str, range(2000))),
        f"access_token={ACCESS}&name=%ff",
        f"access_token={ACCESS}&name=\u00e9",
        f'{{"access_token":"{ACCESS}"',
    ],
)
def test_a_form_that_may_be_read_in_two_ways_is_a_502_that_stores_nothing(scene: Scene, body: str) -> None:
    scene.provider.answer = (200, body.encode(), FORM)
    assert scene.log_in().status == 502
    assert scene.store.read() == {}


def test_a_form_of_two_types_is_a_502(scene: Scene) -> None:
    scene.provider.answer = (200, f"access_token={ACCESS}".encode(), (*FORM, ("Content-Type", "text/plain")))
    assert scene.log_in().status == 502


def test_the_tokens_of_a_compressed_answer_are_captured(scene: Scene) -> None:
    scene.provider.answer = (
        200,
        gzip.compress(DICT.encode()),
        [("Content-Encoding", "gzip"), ("ETag", '"x"')],
    )
    answer = scene.log_in()
    assert MARK.fullmatch(json.loads(answer.body)["access_token"])
    assert (answer.value("content-encoding"), answer.value("etag")) == (None, None)


def test_the_answer_to_head_has_no_body(scene: Scene) -> None:
    scene.provider.answer = (200, b"", [])
    answer = scene.ask(AUTH, "HEAD", "/oauth/token")
    assert (answer.status, answer.body) == (200, b"")


@pytest.mark.parametrize("coded", [False, True], ids=["as it is", "a bomb"])
def test_an_answer_beyond_the_limit_is_a_502(scene: Scene, coded: bool) -> None:
    large = b" " * MAX_ANSWER_BYTES + DICT.encode()
    if coded:
        scene.provider.answer = (200, gzip.compress(large, 1), [("Content-Encoding", "gzip")])
    else:
        scene.provider.answer = (200, large, [])
    assert scene.log_in().status == 502
    assert scene.store.read() == {}


def test_tokens_that_cannot_be_stored_are_not_passed_on(scene: Scene) -> None:
    scene.phantoms()
    Path(scene.store.path).chmod(0o644)
    scene.provider.answer = json_answer({"access_token": "real-second"})
    refused = scene.log_in()
    assert refused.status == 502
    assert b"real-second" not in refused.body
    assert b"nono credential logins" in refused.body


def test_the_way_back_of_a_redeemed_token_is_closed(scene: Scene) -> None:
    phantom = scene.phantoms()["refresh_token"]
    scene.provider.answer = json_answer({"error": "invalid_grant", "you_sent": REFRESH}, 400)
    assert scene.log_in(f"refresh_token={phantom}".encode()).status == 502
