"""A secret in the form in which it is written: sound when it exists, or refused without a word of it."""

from __future__ import annotations

from base64 import b64decode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nono.credentials.values.credential import Outgoing
from nono.credentials.values.errors import CredentialUnavailable
from nono.credentials.values.injection import HeaderInjection, HeadersInjection, QueryInjection, injection_of
from nono.errors import CredentialError
from nono.policy.schema.route_rules import Inject
from nono.secret import Secret

PATH = Inject("url_path", path_pattern="/bot{}/", path_replacement="/bot{}/")
QUERY = Inject("query_param", query_param="key")
BASIC = Inject("basic_auth")


def request(target: bytes = b"/x") -> Outgoing:
    return Outgoing(b"GET", target, b"api.test", [(b"X-Kept", b"1")])


def value(header: str, format: str, secret: str) -> bytes:
    ((_, written),) = HeaderInjection(header, format, Secret(secret)).inject(request()).headers
    return written


@pytest.mark.parametrize(
    ("header", "format", "expected"),
    [
        ("Authorization", "Bearer {}", b"Bearer s3cret"),
        ("x-api-key", "{}", b"s3cret"),
        ("Authorization", "token {}", b"token s3cret"),
    ],
)
def test_the_format_carries_the_secret(header: str, format: str, expected: bytes) -> None:
    injection = injection_of(Inject(header=header, format=format), Secret("s3cret"))
    assert injection.inject(request(b"/a?b")) == (b"/a?b", [(header.encode(), expected)])
    assert injection.header_names == {header.lower().encode()}
    assert not injection.needs_body


def test_a_secret_that_looks_like_a_format_is_not_formatted() -> None:
    assert value("X", "a {} b", "{}{0}%s") == b"a {}{0}%s b"


@pytest.mark.parametrize(
    "secret",
    [
        "",
        "s3\r\ncret",
        "s3\ncret",
        "s3\0cret",
        "s3\tcret",
        "s3\x7fcret",
        "s3\x85cret",
        "s3c€",
        " s3",
        "s3 ",
        "\udcff",
    ],
    ids=repr,
)
def test_a_secret_that_cannot_stand_in_a_header_is_unavailable(secret: str) -> None:
    with pytest.raises(CredentialUnavailable, match="Authorization") as caught:
        HeaderInjection("Authorization", "Bearer {}", Secret(secret))
    assert "s3" not in str(caught.value)
    with pytest.raises(CredentialUnavailable, match="X-Second"):
        HeadersInjection([("X-First", Secret("fine")), ("X-Second", Secret(secret))])


WRONG_NAMES = [
    pytest.param("", id="no name"),
    pytest.param("X Y", id="blank in the name"),
    pytest.param("X:", id="colon in the name"),
    pytest.param("X\r\nY", id="line end in the name"),
    pytest.param("Ä", id="name not ASCII"),
    pytest.param("Host", id="header that routes"),
    pytest.param("transfer-encoding", id="header that frames"),
    pytest.param("Content-Length", id="header that measures"),
    pytest.param("Connection", id="header that removes others"),
    pytest.param("Expect", id="header that holds the body back"),
    pytest.param("Proxy-Authorization", id="header for a proxy"),
]


@pytest.mark.parametrize("name", WRONG_NAMES)
def test_a_wrong_header_is_an_error_of_the_configuration(name: str) -> None:
    with pytest.raises(CredentialError) as header:
        HeaderInjection(name, "{}", Secret("s3cret"))
    with pytest.raises(CredentialError) as headers:
        HeadersInjection([(name, Secret("s3cret"))])
    with pytest.raises(CredentialError) as basic:
        injection_of(Inject("basic_auth", header=name), Secret("user:s3cret"))
    assert not any(isinstance(each.value, CredentialUnavailable) for each in (header, headers, basic))


@pytest.mark.parametrize(
    "format",
    [
        pytest.param("Bearer", id="without a place"),
        pytest.param("{} {}", id="two places"),
        pytest.param("a\r\nY: {}", id="line end"),
        pytest.param("€{}", id="not Latin-1"),
        pytest.param(" {}", id="blank before"),
    ],
)
def test_a_wrong_format_is_an_error_of_the_configuration(format: str) -> None:
    with pytest.raises(CredentialError) as caught:
        HeaderInjection("X", format, Secret("s3cret"))
    assert not isinstance(caught.value, CredentialUnavailable)


@given(st.text(), st.text())
def test_neither_secret_nor_format_breaks_out_of_the_header(format: str, secret: str) -> None:
    try:
        written = value("X", format + "{}", secret)
    except CredentialError:
        return
    assert not set(written) & {*range(32), 127}
    assert written == written.strip()


def test_several_headers_are_written_together() -> None:
    injection = HeadersInjection([("X-Id", Secret("a")), ("X-Token", Secret("b"))])
    assert injection.header_names == {b"x-id", b"x-token"}
    assert injection.inject(request(b"/p")) == (b"/p", [(b"X-Id", b"a"), (b"X-Token", b"b")])


@pytest.mark.parametrize("secret", ["user:pass", "user:", ":pass", "u:p:w", "üser:päss"])
def test_basic_is_the_whole_secret_in_base64(secret: str) -> None:
    ((name, written),) = injection_of(BASIC, Secret(secret)).inject(request()).headers
    assert name == b"Authorization"
    scheme, _, encoded = written.partition(b" ")
    assert (scheme, b64decode(encoded).decode()) == (b"Basic", secret)


@pytest.mark.parametrize(
    ("format", "secret", "expected"),
    [("oauth2:{}", "key", "oauth2:key"), ("{}:", "key", "key:"), ("Basic {}", "user:key", "user:key")],
)
def test_basic_takes_the_key_alone_where_the_format_gives_the_user(
    format: str, secret: str, expected: str
) -> None:
    """A format without a colon, as other programs write it for a whole field, says nothing."""
    [(_, written)] = injection_of(BASIC._replace(format=format), Secret(secret)).inject(request()).headers
    assert b64decode(written.removeprefix(b"Basic ")).decode() == expected


@pytest.mark.parametrize("secret", ["", "user", "us\ner:pass", "user:pa\0ss"], ids=repr)
def test_basic_refuses_a_malformed_user_or_password(secret: str) -> None:
    with pytest.raises(CredentialUnavailable):
        injection_of(BASIC, Secret(secret))


@pytest.mark.parametrize(
    ("inject", "target", "expected"),
    [
        pytest.param(PATH, b"/botphantom/send?x=1", b"/bot12:a-b/send?x=1", id="in its segment"),
        pytest.param(
            PATH._replace(path_replacement="/v2/{}/"), b"/botphantom/send", b"/v2/12:a-b/send", id="replaced"
        ),
        pytest.param(
            PATH._replace(path_pattern="/bot{}", path_replacement="/bot{}"),
            b"/botphantom",
            b"/bot12:a-b",
            id="at the end",
        ),
        pytest.param(
            PATH._replace(path_pattern="/{}/", path_replacement="/{}/"),
            b"/v1/phantom/send",
            b"/v1/12:a-b/send",
            id="behind a base path that the pattern fits as well",
        ),
        pytest.param(QUERY, b"/x", b"/x?key=12%3Aa-b", id="appended"),
        pytest.param(QUERY, b"/x?a=1", b"/x?a=1&key=12%3Aa-b", id="behind the others"),
        pytest.param(QUERY, b"/x?k%65y=own&a=1", b"/x?a=1&key=12%3Aa-b", id="in the place of the child's"),
    ],
)
def test_a_secret_is_written_into_the_target(inject: Inject, target: bytes, expected: bytes) -> None:
    assert injection_of(inject, Secret("12:a-b")).inject(request(target)) == (expected, [])


@pytest.mark.parametrize(
    "secret", ["", "a/b", "..", ".", "a?b", "a#b", "a b", "a%2Fb", "a\r\nb", "ä"], ids=repr
)
def test_a_secret_that_would_be_another_path_is_unavailable(secret: str) -> None:
    with pytest.raises(CredentialUnavailable):
        injection_of(PATH, Secret(secret))


def test_a_path_without_the_slot_gets_no_secret() -> None:
    with pytest.raises(ValueError, match="no place") as caught:
        injection_of(PATH, Secret("s3cret")).inject(request(b"/send"))
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize(
    "inject",
    [
        pytest.param(PATH._replace(path_pattern="/bot/"), id="pattern without a place"),
        pytest.param(PATH._replace(path_pattern="/{}/{}"), id="pattern with two"),
        pytest.param(PATH._replace(path_replacement="/bot/"), id="replacement without a place"),
        pytest.param(QUERY._replace(query_param=""), id="no name"),
        pytest.param(QUERY._replace(query_param="a&b"), id="a separator in the name"),
        pytest.param(QUERY._replace(query_param="key\n"), id="a line end in the name"),
    ],
)
def test_a_wrong_slot_is_an_error_of_the_configuration(inject: Inject) -> None:
    with pytest.raises(CredentialError) as caught:
        injection_of(inject, Secret("s3cret"))
    assert not isinstance(caught.value, CredentialUnavailable)


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1))
def test_no_secret_can_break_out_of_its_parameter(secret: str) -> None:
    target = QueryInjection("key", Secret(secret)).inject(request(b"/x?a=1")).target
    path, _, query = target.partition(b"?")
    assert path == b"/x"
    assert len(query.split(b"&")) == 2
    assert all(0x21 <= byte <= 0x7E and byte not in b";#" for byte in target)
