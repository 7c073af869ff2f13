"""What a command sends to a token endpoint: a phantom arrives as its token, or nothing does."""

from __future__ import annotations

import gzip
import json
from base64 import b64encode
from collections.abc import Callable

import pytest

from nono.credentials.logins.phantom import jwt_phantom
from nono.credentials.logins.request import MAX_BODY_BYTES
from nono.proxy.exchange import context
from nono.secret import Secret
from support.proxy.login_stage import ACCESS, AUTH, CODE, REFRESH, UNKNOWN, Make, Scene, bearer, json_answer
from support.proxy.thread import wait_until
from support.servers.http1 import Received


@pytest.mark.parametrize(
    "write",
    [
        lambda name, phantom: (
            f"grant_type=refresh_token&{name}={phantom}&x=%20",
            "application/x-www-form-urlencoded",
        ),
        lambda name, phantom: (
            json.dumps({"grant_type": "refresh_token", name: phantom}),
            "application/json",
        ),
    ],
    ids=["form", "json"],
)
@pytest.mark.parametrize("spelled", [str, jwt_phantom], ids=["opaque", "jwt"])
def test_a_phantom_in_a_named_field_arrives_as_its_token(
    scene: Scene, write: Callable[[str, str], tuple[str, str]], spelled: Callable[[str], str]
) -> None:
    phantom = spelled(scene.phantoms()["refresh_token"])
    scene.age()
    scene.provider.answer = json_answer({"access_token": "real-second", "refresh_token": REFRESH})
    body, kind = write("refresh_token", phantom)
    answer = scene.log_in(body.encode(), f"Content-Type: {kind}\r\nAccept-Encoding: gzip, br\r\n")
    assert answer.status == 200
    request = scene.auth.requests[-1]
    assert request.body.decode() == body.replace(phantom, REFRESH).replace(": ", ":").replace(", ", ",")
    assert request.value(b"content-length") == b"%d" % len(request.body)
    assert request.values(b"accept-encoding") == [b"identity"]
    refreshed = json.loads(answer.body)
    assert refreshed["refresh_token"] == scene.phantoms()["refresh_token"]  # of the token that came again
    assert scene.store.read()[refreshed["access_token"]].real == Secret("real-second")


def test_a_nested_field_of_a_request_is_redeemed(scene: Scene) -> None:
    phantom = scene.phantoms()["access_token"]
    body = json.dumps({"actor": {"token": phantom}, "n": [1, 2]}).encode()
    assert scene.log_in(body).status == 200
    assert json.loads(scene.auth.requests[-1].body) == {"actor": {"token": ACCESS}, "n": [1, 2]}


def test_a_token_that_must_be_escaped_in_a_form_is(scene: Scene) -> None:
    scene.provider.answer = json_answer({"refresh_token": "real+&=%/"})
    phantom = scene.phantoms()["refresh_token"]
    assert scene.log_in(f"token={phantom}".encode()).status == 200
    assert scene.auth.requests[-1].body == b"token=real%2B%26%3D%25%2F"


def test_a_phantom_in_a_header_is_redeemed_at_the_token_endpoint_too(scene: Scene) -> None:
    phantom = scene.phantoms()["access_token"]
    scene.provider.answer = json_answer({"account": {"key": "real-made-key"}})
    assert scene.log_in(b"{}", bearer(phantom)).status == 200
    assert scene.auth.requests[-1].values(b"authorization") == [f"Bearer {ACCESS}".encode()]


@pytest.mark.parametrize("name", ["X-HTTP-Method-Override", "X-Original-URL", "X_Rewrite_Url", "X-Other"])
def test_no_field_redirects_a_login_token_from_its_endpoint(scene: Scene, name: str) -> None:
    phantom = scene.phantoms()["refresh_token"]
    before = len(scene.auth.requests)
    answer = scene.log_in(f"refresh_token={phantom}".encode(), f"{name}: /echo\r\n")
    assert answer.status == (200 if name == "X-Other" else 403)
    assert len(scene.auth.requests) - before == (1 if name == "X-Other" else 0)
    denials = [event for event in scene.p.recording.network if event["decision"] == "deny"]
    assert [event["denial_category"] for event in denials] == ["endpoint_policy"] * (name != "X-Other")


def test_client_authentication_at_the_token_endpoint_passes_as_it_is(scene: Scene) -> None:
    basic = "Basic " + b64encode(b"client-id:client-secret").decode()
    assert scene.log_in(fields=f"Authorization: {basic}\r\n").status == 200
    assert scene.auth.requests[-1].values(b"authorization") == [basic.encode()]


def test_the_empty_answer_to_a_revocation_passes(scene: Scene) -> None:
    phantom = scene.phantoms()["refresh_token"]
    scene.provider.answer = (200, b"", [])
    answer = scene.log_in(f"token={phantom}".encode())
    assert (answer.status, answer.body) == (200, b"")
    assert scene.auth.requests[-1].body == f"token={REFRESH}".encode()


def test_requests_of_one_connection_follow_each_other(scene: Scene) -> None:
    head = f"POST /oauth/token HTTP/1.1\r\nHost: {AUTH}:{scene.auth.port}\r\nContent-Length: {len(CODE)}\r\n"
    with scene.inside(AUTH, scene.auth) as client:
        client.send(head.encode() + b"Expect: 100-continue\r\n\r\n")
        assert client.head()[0] == 100
        client.send(CODE)
        assert client.response().status == 200
        client.send(2 * (head.encode() + b"\r\n" + CODE))
        assert [client.response().status for _ in range(2)] == [200, 200]
    assert len(scene.auth.requests) == 3
    assert [request.values(b"expect") for request in scene.auth.requests] == [[], [], []]


@pytest.mark.parametrize(
    "body",
    [
        f"refresh_token={UNKNOWN}",
        f"refresh_token={UNKNOWN}0",
        "other={phantom}",
        "refresh_token={phantom}x",
        "refresh_token=x{phantom}",
        "refresh_token={phantom}&other={phantom}",
        "{phantom}",
        '{{"other": "{phantom}"}}',
        '{{"refresh_token": ["{phantom}"]}}',
        '{{"refresh_token": "{phantom}", "refresh_token": "x"}}',
        '--b\r\nContent-Disposition: form-data; name="refresh_token"\r\n\r\n{phantom}\r\n--b--',
        f'{{{{"refresh_token": "{UNKNOWN}"}}}}',
    ],
)
def test_a_phantom_that_is_unknown_or_in_no_named_field_is_refused(scene: Scene, body: str) -> None:
    phantom = scene.phantoms()["refresh_token"]
    assert scene.log_in(body.format(phantom=phantom).encode()).status == 403
    assert len(scene.auth.requests) == 1  # the login


@pytest.mark.parametrize(
    "body", [b"refresh_token=%2f", b'{ "refresh_token": "", "actor": {"token": "nono_0"}, "token": [] }']
)
def test_what_is_no_phantom_passes_in_a_named_field_as_it_is(scene: Scene, body: bytes) -> None:
    assert scene.log_in(body).status == 200
    assert scene.auth.requests[-1].body == body


def test_an_expired_phantom_is_refused_at_the_token_endpoint(scene: Scene) -> None:
    phantom = scene.phantoms()["refresh_token"]
    scene.expire()
    assert scene.log_in(f"refresh_token={phantom}".encode()).status == 403
    assert len(scene.auth.requests) == 1


def test_the_phantom_of_another_provider_is_refused_at_the_token_endpoint(scene: Scene) -> None:
    [foreign], _ = scene.store.add([Secret("real-foreign")], ["oauth.other"], [])
    assert scene.log_in(f"refresh_token={foreign}".encode()).status == 403
    assert scene.log_in(fields=bearer(foreign)).status == 401
    assert scene.auth.requests == []


@pytest.mark.parametrize(
    ("mode", "body", "status"),
    [("json", b"a=b", 403), ("json", b"[1]", 403), ("json", b'{"a": 1}', 200), ("form", b'{"a": 1}', 200)],
)
def test_the_form_of_the_body_is_as_the_profile_says(make: Make, mode: str, body: bytes, status: int) -> None:
    with make(request_body=mode) as scene:
        assert scene.log_in(body).status == status
        assert len(scene.auth.requests) == (status == 200)


@pytest.mark.parametrize(("mode", "status"), [("form", 403), ("auto", 200)])
def test_no_phantom_is_redeemed_in_another_form_than_the_profile_says(
    make: Make, mode: str, status: int
) -> None:
    with make(request_body=mode) as scene:
        phantom = scene.phantoms()["refresh_token"]
        scene.age()
        answer = scene.log_in(json.dumps({"refresh_token": phantom}).encode())
        assert answer.status == status
        assert (b"in no field of the token endpoint" in answer.body) == (status == 403)


def test_a_placeholder_with_more_beside_it_is_refused_for_that(scene: Scene) -> None:
    phantom = scene.phantoms()["refresh_token"]
    for body in (f"refresh_token={phantom}x", json.dumps({"refresh_token": f"x{phantom}"})):
        answer = scene.log_in(body.encode())
        assert answer.status == 403
        assert b"holds more than a placeholder" in answer.body


@pytest.mark.parametrize("mode", ["form", "auto"])
def test_a_refused_type_is_told_with_that_as_which_the_body_is_read(make: Make, mode: str) -> None:
    """Of a body in JSON it was said that it is a form."""
    with make(request_body=mode) as scene:
        answer = scene.log_in(b'{"a": 1}', f"Content-Type: {JSON}\r\n")
        assert answer.status == (403 if mode == "form" else 200)
        told = [each for each in scene.p.recording.network if each["decision"] == "deny"]
        said = f"is not {FORM}, as which its body is read"
        assert [said in str(each["reason"]) for each in told] == [True] * (mode == "form")
        assert (b"request_body of the provider says how" in answer.body) == (mode == "form")


JSON, FORM, PARTS = "application/json", "application/x-www-form-urlencoded", "multipart/form-data; boundary=b"
PART = '\r\n--b\r\nContent-Disposition: form-data; name="refresh_token"\r\n\r\nof-another\r\n--b--'
AS_FORM = "grant_type=refresh_token&refresh_token={}"
AS_JSON = '{{"grant_type":"refresh_token","refresh_token":"{}","x":"&refresh_token=of-another&"}}'


@pytest.mark.parametrize(
    ("body", "kind", "query", "status"),
    [
        (AS_JSON, JSON, "", 200),
        (AS_JSON, "Application/JSON ; charset=utf-16", "", 200),
        (AS_JSON, FORM, "", 403),
        (AS_JSON, f"{JSON}\r\nContent_Type: {FORM}", "", 403),
        (AS_FORM, FORM, "?trace=1", 200),
        (AS_FORM, JSON, "", 403),
        (AS_FORM + "&x=" + PART, FORM, "", 200),
        (AS_FORM + "&x=" + PART, PARTS, "", 403),
        (AS_FORM + "&x=1;x=2&ref=3&token_type_hint=4", FORM, "", 200),
        (AS_FORM + "&x=1;refresh_token=of-another", FORM, "", 403),
        (AS_FORM + "&refresh_token=of-another", FORM, "", 403),
        ("refresh_token=of-another&" + AS_FORM, FORM, "", 403),
        (AS_FORM + "&grant_type=authorization_code&code=of-another", FORM, "", 403),
        (AS_FORM + "&x=1&x=2", FORM, "", 200),
        (AS_FORM + "&Refresh_Token=of-another", FORM, "", 403),
        (AS_FORM + "&refresh_token%5B%5D=of-another", FORM, "", 403),
        (AS_FORM + "&x%00refresh_token=1&x%5Brefresh_token%5D=2", FORM, "", 200),
        (AS_FORM + "&refresh_token%00x=of-another", FORM, "", 403),
        (AS_FORM + "&refresh_token%5Bx%5D=of-another", FORM, "", 403),
        (AS_FORM + "&%u0072=1", FORM, "", 200),
        (AS_FORM + "&%u0072efresh_token=of-another", FORM, "", 403),
        (AS_FORM + "&refresh%U005Ftoken=of-another", FORM, "", 403),
        (AS_FORM + "&refresh%5Btoken=of-another", FORM, "", 403),
        (AS_FORM + "&refresh%5Btoken%00x=of-another", FORM, "", 403),
        (AS_FORM + "&refresh%00_token=of-another", FORM, "", 403),
        (AS_JSON.replace('"x"', '"Refresh_Token"'), JSON, "", 403),
        (AS_JSON.replace('"x"', '"refre\u017fh_token"'), JSON, "", 403),
        (AS_JSON.replace('"x"', r'"refresh_token\u0000x"'), JSON, "", 403),
        (AS_JSON.replace('"x":', '"actor":{{"a":1}},"x":'), JSON, "", 200),
        (AS_JSON.replace('"x":', '"actor":{{"Token":1}},"x":'), JSON, "", 403),
        (AS_FORM, FORM, "?refresh_token=of-another", 403),
        (AS_FORM, FORM, "?x&refresh%5Ftoken=of-another", 403),
        (AS_FORM, FORM, "?refresh_token%00x=of-another", 403),
        (AS_FORM, FORM, "?refresh[token=of-another", 403),
        (AS_FORM, FORM, "?grant_type=authorization_code&code=of-another", 403),
    ],
)
def test_a_login_is_renewed_by_no_token_that_only_the_provider_sees(
    scene: Scene, body: str, kind: str, query: str, status: int
) -> None:
    """What the provider answers takes the place of the login, which may be an imported one."""
    phantom = scene.phantoms()["refresh_token"]
    scene.age()
    before, events = scene.store.read(), len(scene.p.recording.network)
    scene.provider.answer = json_answer({"access_token": "real-second"})
    fields = f"Content-Type: {kind}\r\n"
    answer = scene.log_in(body.format(phantom).encode(), fields, f"/oauth/token{query}")
    assert answer.status == status
    assert (scene.store.read() == before) == (status == 403)
    if status == 200:
        sent = scene.auth.requests[-1]
        assert sent.values(b"content-type") == [(JSON if body.startswith("{") else FORM).encode()]
    else:
        assert len(scene.auth.requests) == 1  # the login
        denials = [each for each in scene.p.recording.network[events:] if each["decision"] == "deny"]
        assert [each["route_id"] for each in denials] == ["oauth.acme"]


@pytest.mark.parametrize(("is_renewal", "cookies"), [(True, []), (False, [b"refresh_token=of-another"])])
def test_no_cookie_goes_along_with_a_renewal(is_renewal: bool, cookies: list[bytes], scene: Scene) -> None:
    phantom = scene.phantoms()["refresh_token"]
    scene.age()
    body = AS_FORM.format(phantom).encode() if is_renewal else CODE
    assert scene.log_in(body, "Cookie: refresh_token=of-another\r\n").status == 200
    assert scene.auth.requests[-1].values(b"cookie") == cookies


@pytest.mark.parametrize(
    "framing",
    [f"Content-Length: {1024 * 1024 + 1}\r\n", "Transfer-Encoding: chunked\r\n"],
    ids=["length", "chunked"],
)
def test_a_request_beyond_the_limit_is_refused(scene: Scene, framing: str) -> None:
    with scene.inside(AUTH, scene.auth) as client:
        client.send(f"POST /oauth/token HTTP/1.1\r\nHost: {AUTH}:{scene.auth.port}\r\n{framing}\r\n".encode())
        if "chunked" in framing:
            client.send(b"100001\r\n" + b"x" * (1024 * 1024 + 1) + b"\r\n")
        assert client.response().status == 413
    assert scene.auth.requests == []


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"a=" + b"x" * (MAX_BODY_BYTES - 2), 200),
        (b"a=" + b"x" * (MAX_BODY_BYTES - 1), 403),
        (b"&" * 1000, 200),
        (b"&" * 1001, 403),
    ],
    ids=["long", "too long", "many fields", "too many fields"],
)
def test_a_request_to_the_token_endpoint_is_short(body: bytes, status: int, scene: Scene) -> None:
    assert scene.log_in(body).status == status
    assert [request.body for request in scene.auth.requests] == ([body] if status == 200 else [])


def test_a_request_beside_the_token_endpoint_may_be_longer(scene: Scene) -> None:
    scene.provider.answer = (200, b"{}", [])
    body = b"x" * 1024 * 1024
    assert scene.ask(AUTH, "POST", "/other", body=body).status == 200
    assert scene.auth.requests[0].body == body


@pytest.mark.parametrize("name", ["Content-Encoding", "Content_Encoding"])
def test_a_compressed_request_is_refused(scene: Scene, name: str) -> None:
    """A form may begin with one that is compressed, whose fields only the provider would see."""
    body = gzip.compress(b"refresh_token=of-another") + b"&" + CODE
    assert scene.log_in(body, f"{name}: gzip\r\n").status == 403
    assert scene.auth.requests == []


def test_a_body_that_breaks_off_reaches_nobody(scene: Scene) -> None:
    with scene.inside(AUTH, scene.auth) as client:
        fields = f"Host: {AUTH}:{scene.auth.port}\r\nTransfer-Encoding: chunked\r\n"
        client.send(f"POST /oauth/token HTTP/1.1\r\n{fields}\r\nno size\r\n".encode())
        assert client.response().status == 400
    assert scene.auth.requests == []


def test_a_client_that_goes_away_ends_the_exchange(make: Make) -> None:
    asked = []

    def never(request: Received) -> None:
        asked.append(request)
        request.connection.wait_gone()

    with make() as scene:
        scene.auth.handler = never
        with scene.inside(AUTH, scene.auth) as client:
            fields = f"Host: {AUTH}:{scene.auth.port}\r\nContent-Length: {len(CODE)}\r\n"
            client.send(f"POST /oauth/token HTTP/1.1\r\n{fields}\r\n".encode() + CODE)
            scene.auth.received(1)
        wait_until(lambda: scene.p.running.upstream_connections == 0)
    assert len(asked) == 1


def test_a_login_that_cannot_be_recorded_is_not_carried_out(scene: Scene) -> None:
    recording = scene.p.recording
    with scene.inside(AUTH, scene.auth) as client:
        recording.failing = True
        fields = f"Host: {AUTH}:{scene.auth.port}\r\nContent-Length: {len(CODE)}\r\n"
        client.send(f"POST /oauth/token HTTP/1.1\r\n{fields}\r\n".encode() + CODE)
        assert client.response().status == 503
        recording.failing = False
    assert scene.auth.requests == []


LONG_CODE = CODE + b" " * 2000  # longer than its answer, which takes its place


@pytest.mark.parametrize("most", [len(LONG_CODE), len(LONG_CODE) - 1], ids=["fits", "does not"])
def test_the_body_of_a_login_counts_among_what_the_proxy_holds(
    most: int, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(context, "MAX_HELD_IN_ALL_BYTES", most)
    with make() as scene:
        for _ in range(2):  # and is free again afterwards
            assert scene.log_in(LONG_CODE).status == (200 if most == len(LONG_CODE) else 503)
