"""nono.proxy.http.target: one spelling of a path, and no way out from under the upstream's base path."""

from __future__ import annotations

from urllib.parse import unquote_to_bytes

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nono.proxy.http.message import NO_BODY, MessageError, RequestHead
from nono.proxy.http.target import (
    MAX_SEGMENTS,
    canonical,
    for_record,
    in_absolute_form,
    parse_absolute,
    parse_authority,
    split_service,
    upstream_target,
)


@pytest.mark.parametrize(
    ("path", "sent"),
    [
        pytest.param(b"/", b"/", id="root"),
        pytest.param(b"/v1/models", b"/v1/models", id="plain"),
        pytest.param(b"/v1/models/", b"/v1/models/", id="trailing slash"),
        pytest.param(b"/%7euser/%41", b"/~user/A", id="needless escapes"),
        pytest.param(b"/a%c3%a9", b"/a%C3%A9", id="escapes in upper case"),
        pytest.param(b"/a?x=%2F..%5c&y=/../", b"/a?x=%2F..%5c&y=/../", id="the query is no path"),
        pytest.param(b"/models/x:generate", b"/models/x:generate", id="colon"),
        pytest.param(b"/a..b/...", b"/a..b/...", id="dots that are no segment"),
        pytest.param(b"/a..%3Bb/...%3B", b"/a..%3Bb/...%3B", id="nor before a parameter"),
        pytest.param(b"/a%20b", b"/a%20b", id="blank"),
        pytest.param(b"/100%25", b"/100%25", id="percent sign"),
        pytest.param(b"/%C3%A9%E0%A0%80%F0%90%80%80", b"/%C3%A9%E0%A0%80%F0%90%80%80", id="UTF-8"),
    ],
)
def test_a_plain_path_is_sent_in_its_canonical_spelling(path: bytes, sent: bytes) -> None:
    assert canonical(path) == sent
    assert canonical(sent) == sent


@pytest.mark.parametrize(
    "path",
    [
        b"/../admin", b"/..", b"/.", b"/a/./b", b"/%2e%2e/admin", b"/%2E./admin", b"/.%2e/x", b"/..;a=b/x",
        b"/.;/x", b"/..%3b/admin", b"/..%3Bx/admin", b"/.%3b", b"/..%3f", b"/..%23/a", b"/..%20/a", b"/%09..",
        b"/..%2fadmin", b"/..%5cadmin", b"/a%2Fb", b"/a%5Cb", b"/a%00b", b"/a%0d%0ab", b"/a\\b",
        b"/a#b", b"//evil.example/", b"/a//b", b"/%252e%252e/admin", b"/%252fx", b"/%255cx",
        b"/%c0%ae%c0%ae/x", b"/%c1%9cx", b"/%e0%80%ae/x", b"/%E0%9F%BFx", b"/%f0%80%80%af", b"/%f0%8f%bf%bf",
        b"/%2525", b"/%zz", b"/%4", b"/a?x=%zz", b"/a?x=#y", b"/a\"b", b"/a<b",
    ],
)  # fmt: skip
def test_a_path_that_could_be_read_as_another_is_refused(path: bytes) -> None:
    with pytest.raises(MessageError) as refused:
        canonical(path)
    assert refused.value.status == 400


@pytest.mark.parametrize(
    ("path", "is_taken"),
    [
        *((b"/a%2fb", True), (b"/a//b", True), (b"/a%2f%2f", True), (b"//a", False), (b"/%2Fa", False)),
        *((b"/a%2f..%2fb", False), (b"/..%2fa", False), (b"/a%5cb", False), (b"/a%00", False)),
    ],
)
def test_where_no_rule_depends_on_it_a_name_may_hold_slashes_and_no_dots(path: bytes, is_taken: bool) -> None:
    if is_taken:
        assert canonical(path, lenient=True) == path.replace(b"%2f", b"%2F")
    else:
        with pytest.raises(MessageError):
            canonical(path, lenient=True)
    with pytest.raises(MessageError):
        canonical(path)


def test_the_root_has_no_empty_segment() -> None:
    assert canonical(b"/?x", lenient=True) == canonical(b"/?x") == b"/?x"


def test_a_path_of_as_many_segments_as_rules_look_at_passes() -> None:
    assert canonical(b"/1" * MAX_SEGMENTS + b"?/")


def test_a_path_of_more_segments_is_too_long() -> None:
    with pytest.raises(MessageError) as refused:
        canonical(b"/1" * MAX_SEGMENTS + b"/")
    assert refused.value.status == 414


@given(st.text("/.%25eEfFcC\\;a?#", max_size=24))
def test_no_path_leaves_the_base_path(rest: str) -> None:
    try:
        sent = upstream_target("/v1", b"/" + rest.encode("ascii"))
    except MessageError:
        return
    path = sent.partition(b"?")[0]
    for _ in range(3):  # however often a server decodes
        assert path.startswith(b"/v1/")
        assert b".." not in path.replace(b"\\", b"/").split(b"/")
        path = unquote_to_bytes(path)


@pytest.mark.parametrize(
    ("path", "service", "rest"),
    [
        pytest.param(b"/openai/v1?x=/y", "openai", b"/v1?x=/y", id="rest and query"),
        pytest.param(b"/openai", "openai", b"/", id="service alone"),
        pytest.param(b"/openai?x=1", "openai", b"/?x=1", id="query after the service"),
        pytest.param(b"/%6fpenai/v1", "%6fpenai", b"/v1", id="an escaped name is another name"),
        pytest.param(b"//openai/v1", "", b"/openai/v1", id="empty name"),
        pytest.param(b"/", "", b"/", id="root"),
    ],
)
def test_the_service_is_the_first_segment_byte_by_byte(path: bytes, service: str, rest: bytes) -> None:
    assert split_service(path) == (service, rest)


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        pytest.param(b"Example.COM.:443", ("example.com", 443), id="name"),
        pytest.param(b"[::1]:8443", ("::1", 8443), id="IPv6"),
        pytest.param(b"127.0.0.1:80", ("127.0.0.1", 80), id="IPv4"),
    ],
)
def test_an_authority_is_canonical(raw: bytes, expected: tuple[str, int]) -> None:
    assert parse_authority(raw) == expected


@pytest.mark.parametrize(
    "raw",
    [
        b"example.com", b"example.com:", b"example.com:0", b"example.com:65536", b"example.com:+443",
        b"example.com:443:443", b"user@example.com:443", b"::1:443", b"[::1%25lo]:443", b":443",
        b"a\xffb:443", b"evil#example.com:443", b"a" * 300 + b":443", b"0x7f.1:80", b"2130706433:80",
    ],
)  # fmt: skip
def test_what_is_no_authority_is_refused(raw: bytes) -> None:
    with pytest.raises(MessageError):
        parse_authority(raw)


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        pytest.param(b"http://a.test/x?y", ("a.test", 80, b"/x?y"), id="path and query"),
        pytest.param(b"HTTP://a.test:8080", ("a.test", 8080, b"/"), id="no path"),
        pytest.param(b"http://a.test?x", ("a.test", 80, b"/?x"), id="query alone"),
    ],
)
def test_an_absolute_target_is_taken_apart(raw: bytes, expected: tuple[str, int, bytes]) -> None:
    parts = parse_absolute(raw)
    assert (parts.host, parts.port, parts.path) == expected


@pytest.mark.parametrize(
    "raw",
    [
        *(b"http://", b"http://u@a.test/", b"http://a.test/#x", b"http://a.test\\@b/", b"http:///x"),
        *(b"http://a.test/x\\..\\y", b"http:///"),
    ],
)
def test_an_absolute_target_with_more_than_host_path_and_query_is_refused(raw: bytes) -> None:
    with pytest.raises(MessageError):
        parse_absolute(raw)


@pytest.mark.parametrize("raw", [b"http://u@a.test/", b"http://u:p@a.test/x", b"http://u:p@localhost:80"])
def test_a_target_with_a_password_is_refused_for_it_and_not_for_its_port(raw: bytes) -> None:
    with pytest.raises(MessageError, match="user name before the host"):
        parse_absolute(raw)
    with pytest.raises(MessageError, match="not a host and port"):
        parse_absolute(b"http://a.test:p/@")


def test_query_values_are_redacted_in_the_record() -> None:
    assert for_record(b"/a?key=sk-123&flag&x=1=2") == "/a?key=[REDACTED]&flag&x=[REDACTED]"
    assert for_record(b"/a") == "/a"


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        (b"/a?b=c", b"http://example.com:80/a?b=c"),
        (b"//other.com/a", b"http://example.com:80//other.com/a"),
        (b"http://other.com/a", b"http://other.com/a"),
        (b"*", b"*"),
        (b"other.com:443", b"other.com:443"),
    ],
)
def test_a_path_alone_is_one_of_the_host_that_was_connected_to(target: bytes, expected: bytes) -> None:
    head = RequestHead(b"GET", target, b"1.1", (), NO_BODY, True, False, False)
    assert in_absolute_form(head, "example.com", 80) == head._replace(target=expected)
