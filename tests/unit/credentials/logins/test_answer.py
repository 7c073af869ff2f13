"""What is read of a token endpoint's answer: its lifetime, its tokens and its form."""

from __future__ import annotations

import json

import pytest

from nono.credentials.logins.answer import examine
from nono.credentials.logins.answer_form import is_form, parse_form
from nono.credentials.logins.request import LoginRefusedError
from nono.credentials.values.content import MAX_SECRET_BYTES
from nono.policy.hosts.upstream import Upstream
from nono.policy.services.oauth_routes import ResponseField, TokenEndpoint

FIELD = ResponseField(("access_token",), "opaque")
ENDPOINT = TokenEndpoint(Upstream("https", "id.test", 443), "/token", (FIELD,), "auto", ())
FORM = [(b"Content-Type", b"application/x-www-form-urlencoded")]


@pytest.mark.parametrize(
    ("lifetime", "expires"),
    [
        (3600, 4600),
        (1.5, 1001),
        (0, None),
        (-1, None),
        (1e10, None),
        (True, None),
        ("3600", None),
        ([3600], None),
        (None, None),
    ],
)
def test_an_answer_lasts_for_a_number_of_seconds_or_says_nothing(
    lifetime: object, expires: int | None
) -> None:
    body = json.dumps({"access_token": "x" * 20, "expires_in": lifetime}).encode()
    assert examine(ENDPOINT, 200, [], body).expires_s(1000) == expires


@pytest.mark.parametrize(
    ("lifetime", "expires"), [("3600", 4600), ("x", None), ("", None), ("9" * 11, None), ("1.5", None)]
)
def test_a_form_says_so_in_digits(lifetime: str, expires: int | None) -> None:
    body = f"access_token={'x' * 20}&expires_in={lifetime}".encode()
    assert examine(ENDPOINT, 200, FORM, body).expires_s(1000) == expires


def test_a_form_without_a_lifetime_says_nothing() -> None:
    assert examine(ENDPOINT, 200, FORM, b"access_token=" + b"x" * 20).expires_s(1000) is None


def test_a_token_that_could_not_be_stored_is_none() -> None:
    for excess in (0, 1):
        body = json.dumps({"access_token": "x" * (MAX_SECRET_BYTES + excess)}).encode()
        if not excess:
            assert len(examine(ENDPOINT, 200, [], body).tokens) == 1
            continue
        with pytest.raises(LoginRefusedError, match="holds no token"):
            examine(ENDPOINT, 200, [], body)


@pytest.mark.parametrize(
    ("kinds", "expected"),
    [
        ([b"application/x-www-form-urlencoded"], True),
        ([b"Application/X-WWW-Form-Urlencoded ; charset=utf-8"], True),
        ([b"text/plain"], False),
        ([], False),
        ([b"application/x-www-form-urlencoded"] * 2, False),
    ],
)
def test_only_an_answer_of_one_type_is_a_form(kinds: list[bytes], expected: bool) -> None:
    assert is_form([(b"content-type", kind) for kind in kinds]) is expected


@pytest.mark.parametrize("body", [b"a=\xc3\xa9", b"a=1;b=2", b"a=1&a=2", b"a=%ff", b"a"])
def test_a_form_that_is_read_in_more_than_one_way_is_none(body: bytes) -> None:
    assert parse_form(body) is None
    assert parse_form(b"a=1&b=%C3%A9") == {"a": "1", "b": "\xe9"}
