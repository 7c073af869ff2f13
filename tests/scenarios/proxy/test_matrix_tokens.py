"""Who may use the proxy, over every transport: session token and phantom, each in its own place only."""

from __future__ import annotations

from base64 import b64encode

import pytest

from support.proxy.thread import PHANTOM, REAL_KEY, TOKEN, Hosts
from support.proxy.transports import KEY, LOGIN, READABLE, WITH_CREDENTIAL, Fields, Transport, five_transports


def basic(text: str) -> str:
    return "Basic " + b64encode(text.encode()).decode()


BAD_LOGINS = {
    "none": (),
    "wrong": (basic("nono:wrong"),),
    "a shorter one": (basic(f"nono:{TOKEN[:-1]}"),),
    "a longer one": (basic(f"nono:{TOKEN}x"),),
    "in capitals": (basic(f"nono:{TOKEN.upper()}"),),
    "as the user": (basic(f"{TOKEN}:"),),
    "with a colon behind": (basic(f"x:{TOKEN}:"),),
    "without a scheme": (TOKEN,),
    "another scheme": (f"Digest {TOKEN}",),
    "no base64": ("Basic !!!",),
    "not UTF-8": ("Basic \xff\xfe",),
    "twice, bad first": (basic("nono:wrong"), LOGIN),
    "twice, good first": (LOGIN, basic("nono:wrong")),
    "twice the same": (LOGIN, LOGIN),
    "a phantom": (basic(f"nono:{PHANTOM}"),),
}
GOOD_LOGINS = {
    "basic": (LOGIN,),
    "basic, another user": (basic(f"anyone:{TOKEN}"),),
    "basic, lower case": (LOGIN.replace("Basic", "basic"),),
    "bearer": (f"Bearer {TOKEN}",),
    "bearer, two blanks": (f"Bearer  {TOKEN}",),
}
WITH_TOKEN = [transport for transport in Transport if transport is not Transport.REVERSE]


@pytest.mark.parametrize("transport", WITH_TOKEN)
def test_without_the_session_token_nothing_is_looked_up_or_reached(transport: Transport) -> None:
    with five_transports() as stage:
        for name, logins in BAD_LOGINS.items():
            answer = stage.ask(transport, logins=logins)
            assert answer.status == 407, name
            assert answer.values("proxy-authenticate") == ['Basic realm="nono"']
        assert stage.proxy.names.asked == []
        assert stage.is_untouched
        categories = [
            "authentication_failed" if logins else "authentication_required" for logins in BAD_LOGINS.values()
        ]
        assert stage.proxy.recording.decisions() == [("deny", category) for category in categories]
        for name, logins in GOOD_LOGINS.items():
            assert stage.ask(transport, logins=logins).status == 200, name
        assert len(stage.requests) == len(GOOD_LOGINS)


@pytest.mark.parametrize("transport", WITH_TOKEN)
@pytest.mark.parametrize(
    ("name", "value", "status"),
    [
        pytest.param("x-folded", f"1\r\n proxy-authorization: {LOGIN}", 400, id="folded"),
        pytest.param("proxy-authorization ", LOGIN, 400, id="space before the colon"),
        pytest.param("proxy-authorization", "Basic " + "A" * (1 << 20), 431, id="1 MiB"),
    ],
)
def test_a_token_in_a_malformed_head_is_none(
    transport: Transport, name: str, value: str, status: int
) -> None:
    with five_transports() as stage:
        asking = (
            Transport.TUNNEL if transport in (Transport.INSIDE, Transport.HTTP2) else transport
        )  # of those it is the CONNECT as well
        assert stage.ask(asking, logins=(), fields=[(name, value)]).status == status
        assert stage.is_untouched
        assert stage.proxy.names.asked == []
        assert [event["status"] for event in stage.denials] == [status]
        assert stage.ask(transport).status == 200


@pytest.mark.parametrize("transport", WITH_CREDENTIAL)
@pytest.mark.parametrize(
    ("fields", "possible"),
    [
        pytest.param([], (401,), id="nothing"),
        pytest.param([("proxy-authorization", LOGIN)], (401,), id="the session token for the proxy"),
        pytest.param([("authorization", f"Bearer {TOKEN}")], (401,), id="the session token as a key"),
        pytest.param([("x-nono-token", TOKEN)], (401, 403), id="the session token in a header of ours"),
        pytest.param(
            [("authorization", "Bearer sk-a-key-of-its-own")], (401,), id="a key of the child's own"
        ),
        pytest.param([KEY, ("x-api-key", "sk-a-key-of-its-own")], (403,), id="its own beside the phantom"),
    ],
)
def test_only_the_phantom_opens_a_credential_route(
    transport: Transport, fields: Fields, possible: tuple[int, ...]
) -> None:
    # Where the filter allows the host by itself, a request without any key may pass, and gets none.
    with five_transports(hosts=Hosts(only_routes=True)) as stage:
        assert stage.ask(transport, key=False, fields=fields).status in possible
        assert stage.is_untouched
        assert [event["denial_category"] for event in stage.denials] == ["authentication_failed"]
        assert stage.ask(transport).status == 200
        assert REAL_KEY.encode() in stage.sent


LEAKS = {
    "authorization": f"Bearer {TOKEN}",
    "x-api-key": TOKEN,
    "x-other": TOKEN,
    "cookie": f"a=b; session={TOKEN}",
    "referer": f"http://nono:{TOKEN}@127.0.0.1:1234/x",
    "x-forwarded-url": f"/alpha?k={TOKEN}&x=1",
}


@pytest.mark.parametrize("transport", READABLE)
@pytest.mark.parametrize("name", LEAKS)
def test_the_session_token_leaves_in_no_field(transport: Transport, name: str) -> None:
    with five_transports() as stage:
        assert stage.ask(transport, fields=[(name, LEAKS[name])]).status in (401, 403)
        assert stage.is_untouched
        assert [event["denial_category"] for event in stage.denials] == ["authentication_failed"]
        assert stage.ask(transport).status == 200


@pytest.mark.parametrize("transport", Transport)
def test_what_is_for_the_proxy_does_not_leave(transport: Transport) -> None:
    with five_transports() as stage:
        # Beside the phantom, and on the inside of a CONNECT, it is of no use and no harm.
        more = () if transport in (Transport.ABSOLUTE, Transport.TUNNEL) else [("proxy-authorization", LOGIN)]
        assert stage.ask(transport, fields=more).status == 200
        assert TOKEN.encode() not in stage.sent
        assert LOGIN.encode() not in stage.sent
        assert b"proxy-authorization" not in stage.sent.lower()
        assert PHANTOM.encode() not in stage.sent


@pytest.mark.parametrize("transport", READABLE)
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("x-other", PHANTOM),
        ("cookie", f"a=b; key={PHANTOM}"),
        ("referer", f"https://api.test/x?key={PHANTOM}&y=1"),
        ("x-several", f"one, {PHANTOM}, two"),
    ],
)
def test_a_phantom_leaves_in_no_field(transport: Transport, name: str, value: str) -> None:
    with five_transports() as stage:
        assert stage.ask(transport, fields=[(name, value)]).status in (401, 403)
        assert stage.is_untouched
        assert [event["denial_category"] for event in stage.denials] == ["authentication_failed"]
        assert stage.ask(transport, fields=[(name, "harmless")]).status == 200


@pytest.mark.parametrize("transport", READABLE)
@pytest.mark.parametrize("text", [TOKEN, PHANTOM], ids=["token", "phantom"])
def test_neither_leaves_as_the_name_of_a_field(transport: Transport, text: str) -> None:
    with five_transports() as stage:
        for name in (text, f"x-{text}"):
            assert stage.ask(transport, fields=[(name, "1")]).status in (401, 403)
        assert stage.is_untouched
        assert len(stage.denials) == 2


@pytest.mark.parametrize("transport", READABLE)
@pytest.mark.parametrize("text", [TOKEN, PHANTOM], ids=["token", "phantom"])
@pytest.mark.parametrize("path", ["/a/{}", "/a/x{}y", "/a?k={}", "/a?{}", "/a?k=1&{}=2"])
def test_neither_leaves_in_a_target_or_stands_in_the_record(
    transport: Transport, text: str, path: str
) -> None:
    with five_transports() as stage:
        assert stage.ask(transport, path.format(text)).status in (401, 403)
        assert stage.is_untouched
        assert text not in repr(stage.proxy.recording.events)
        assert stage.ask(transport, path.format("harmless")).status == 200
