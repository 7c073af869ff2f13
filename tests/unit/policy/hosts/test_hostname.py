"""One spelling per host, or none."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nono.policy.hosts.hostname import (
    HostError,
    canonical_host,
    ip_literal,
    parse_authority,
    split_optional_port,
)


@pytest.mark.parametrize(
    ("raw", "canonical"),
    [
        pytest.param("Example.COM", "example.com", id="case"),
        pytest.param("example.com.", "example.com", id="trailing dot"),
        pytest.param("b\u00fccher.example", "xn--bcher-kva.example", id="IDN"),
        pytest.param("XN--BCHER-KVA.example", "xn--bcher-kva.example", id="A-label"),
        pytest.param("example\u3002com", "example.com", id="ideographic full stop"),
        pytest.param("exam\u200bple.com", "example.com", id="zero-width space"),
        pytest.param("\uff11\uff12\uff17.0.0.1", "127.0.0.1", id="full-width digits"),
        pytest.param("a_b.example", "a_b.example", id="underscore"),
        pytest.param("127.0.0.1", "127.0.0.1", id="IPv4"),
        pytest.param("[::1]", "::1", id="bracketed IPv6"),
        pytest.param("2001:DB8:0::1", "2001:db8::1", id="IPv6"),
        pytest.param("::ffff:169.254.169.254", "169.254.169.254", id="IPv4-mapped"),
        pytest.param("3com.example", "3com.example", id="digits in front"),
    ],
)
def test_a_host_has_one_canonical_spelling(raw: str, canonical: str) -> None:
    assert canonical_host(raw) == canonical


@pytest.mark.parametrize(
    "raw",
    [
        *(
            "",
            ".",
            "..",
            "a..b",
            ".example.com",
            "example.com..",
            "-a.example",
            "a-.example",
            "a" * 64 + ".example",
        ),
        ".".join(["a" * 49] * 6),
        *("evil\0.example.com", "a b.example", "a\r\nb.example", "a\tb.example", "a\x7f.example"),
        *(
            "user@example.com",
            "example.com#x",
            "example.com/x",
            "example.com\\x",
            "example.com%2e",
            "example.com:80",
        ),
        *(
            "[example.com]",
            "[::1",
            "::1]",
            "[]",
            "[127.0.0.1]",
            "[[::1]]",
            "fe80::1%eth0",
            "[fe80::1%25eth0]",
        ),
        *("2130706433", "0x7f.1", "0x7f000001", "127.1", "0177.0.0.1", "0", "127.0.0.0x1", "1.2.3.4.5"),
        *("256.1.1.1", "01.2.3.4", "foo.127", "foo.0x", "a*.example", "\u2100.example"),
    ],
)
def test_what_is_not_plainly_a_host_is_refused(raw: str) -> None:
    with pytest.raises(HostError):
        canonical_host(raw)


HOSTISH = st.text(alphabet="abcXYZ019.-_:[]%*@\u00fc\u3002\u200b\uff11\u00df\u0130", max_size=24) | st.text(
    max_size=24
)


@given(HOSTISH | st.ip_addresses().map(str))
def test_canonical_host_is_idempotent(raw: str) -> None:
    try:
        once = canonical_host(raw)
    except HostError:
        return
    assert canonical_host(once) == once
    assert once.isascii()
    ip_literal(once)  # never raises for what canonical_host returned


@given(st.ip_addresses())
def test_every_address_is_recognised_as_a_literal(address: object) -> None:
    assert ip_literal(canonical_host(str(address))) is not None


def test_a_name_is_no_literal() -> None:
    assert ip_literal("example.com") is None
    assert ip_literal("web.example-1") is None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Example.com:443", ("example.com", 443)),
        ("[::1]:80", ("::1", 80)),
        ("1.2.3.4:65535", ("1.2.3.4", 65535)),
    ],
)
def test_an_authority_is_a_host_and_a_port(text: str, expected: tuple[str, int]) -> None:
    assert parse_authority(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        *(
            "example.com",
            "example.com:",
            "example.com:0",
            "example.com:65536",
            "example.com:+80",
            "example.com:080",
        ),
        *("example.com: 80", "example.com:80 ", "example.com:8_0", "example.com:\u0663", "example.com:80:80"),
        *("::1:80", "[::1]", "[::1]80", ":80", "user@example.com:80", "example.com:-1"),
    ],
)
def test_a_malformed_authority_is_refused(text: str) -> None:
    with pytest.raises(HostError):
        parse_authority(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("localhost:3000", ("localhost", 3000)),
        ("localhost", ("localhost", None)),
        ("::1", ("::1", None)),
        ("[::1]:8080", ("[::1]", 8080)),
    ],
)
def test_a_policy_entry_may_leave_the_port_out(text: str, expected: tuple[str, int | None]) -> None:
    assert split_optional_port(text) == expected
