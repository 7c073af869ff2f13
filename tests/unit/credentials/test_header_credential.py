"""The header with the secret in it: sound when it exists, or refused without a word of the secret."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nono.credentials.errors import CredentialUnavailable
from nono.credentials.injection import HeaderCredential
from nono.errors import CredentialError
from nono.secret import Secret


@pytest.mark.parametrize(
    ("header", "format", "expected"),
    [
        ("Authorization", "Bearer {}", b"Bearer s3cret"),
        ("x-api-key", "{}", b"s3cret"),
        ("Authorization", "token {}", b"token s3cret"),
    ],
)
def test_the_format_carries_the_secret(header: str, format: str, expected: bytes) -> None:
    credential = HeaderCredential(header, format, Secret("s3cret"))
    assert credential.header == header
    assert credential.value() == expected


def test_a_secret_that_looks_like_a_format_is_not_formatted() -> None:
    assert HeaderCredential("X", "a {} b", Secret("{}{0}%s")).value() == b"a {}{0}%s b"


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
        HeaderCredential("Authorization", "Bearer {}", Secret(secret))
    assert "s3" not in str(caught.value)


@pytest.mark.parametrize(
    ("header", "format"),
    [
        pytest.param("", "{}", id="no name"),
        pytest.param("X Y", "{}", id="blank in the name"),
        pytest.param("X:", "{}", id="colon in the name"),
        pytest.param("X\r\nY", "{}", id="line end in the name"),
        pytest.param("Ä", "{}", id="name not ASCII"),
        pytest.param("Host", "{}", id="header that steers"),
        pytest.param("transfer-encoding", "{}", id="header that frames"),
        pytest.param("X", "Bearer", id="format without a place"),
        pytest.param("X", "{} {}", id="format with two places"),
        pytest.param("X", "a\r\nY: {}", id="line end in the format"),
        pytest.param("X", "€{}", id="format not Latin-1"),
        pytest.param("X", " {}", id="blank before the format"),
    ],
)
def test_a_wrong_header_or_format_is_an_error_of_the_configuration(header: str, format: str) -> None:
    with pytest.raises(CredentialError) as caught:
        HeaderCredential(header, format, Secret("s3cret"))
    assert not isinstance(caught.value, CredentialUnavailable)


@given(st.text(), st.text())
def test_no_secret_and_no_format_can_break_out_of_the_header(format: str, secret: str) -> None:
    try:
        value = HeaderCredential("X", format + "{}", Secret(secret)).value()
    except CredentialError:
        return
    assert not set(value) & {*range(32), 127}
    assert value == value.strip()
