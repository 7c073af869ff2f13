"""nono.proxy.handshake.client_hello: the server name, whoever cuts the bytes and wherever."""

from __future__ import annotations

import ssl

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nono.proxy.handshake.client_hello import MAX_HELLO_BYTES, MAX_RECORDS, Hello, NeedMore, NotTls, parse


def hello_for(name: str | None, curve: str | None = None) -> bytes:
    """Return what OpenSSL sends first."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if curve is not None:
        context.set_ecdh_curve(curve)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    connection = context.wrap_bio(incoming, outgoing, server_hostname=name)
    with pytest.raises(ssl.SSLWantReadError):
        connection.do_handshake()
    return outgoing.read()


HELLO = hello_for("api.example.com")


def in_records(message: bytes, size: int) -> bytes:
    """Return message as handshake records of at most size bytes each."""
    pieces = [message[start : start + size] for start in range(0, len(message), size)]
    return b"".join(b"\x16\x03\x01" + len(piece).to_bytes(2, "big") + piece for piece in pieces)


def with_extensions(extensions: bytes) -> bytes:
    body = b"\x03\x03" + bytes(32) + b"\x00" + b"\x00\x02\x13\x01" + b"\x01\x00"
    body += len(extensions).to_bytes(2, "big") + extensions
    return in_records(b"\x01" + len(body).to_bytes(3, "big") + body, 16000)


def server_name(*names: bytes) -> bytes:
    entries = b"".join(b"\x00" + len(name).to_bytes(2, "big") + name for name in names)
    content = len(entries).to_bytes(2, "big") + entries
    return b"\x00\x00" + len(content).to_bytes(2, "big") + content


def test_the_server_name_is_read() -> None:
    assert parse(HELLO) == Hello("api.example.com", has_x25519=True)
    assert parse(with_extensions(server_name(b"a.test"))) == Hello("a.test")


def test_a_hello_without_a_name_has_none() -> None:
    assert parse(hello_for(None)) == Hello(None, has_x25519=True)
    assert parse(with_extensions(b"")) == Hello(None)


def test_only_a_share_for_x25519_is_one() -> None:
    assert parse(hello_for("a.test", "X25519")) == Hello("a.test", has_x25519=True)
    assert parse(hello_for("a.test", "prime256v1")) == Hello("a.test", has_x25519=False)
    shares = b"\x00\x17\x00\x02\x00\x1d"  # of another group, whose share looks like the number of X25519
    content = len(shares).to_bytes(2, "big") + shares
    extension = b"\x00\x33" + len(content).to_bytes(2, "big") + content
    assert parse(with_extensions(server_name(b"a.test") + extension)) == Hello("a.test")
    assert isinstance(parse(with_extensions(extension[:4] + b"\x00\x09" + shares)), NotTls)


def test_every_prefix_of_a_hello_needs_more() -> None:
    assert all(parse(HELLO[:end]) == NeedMore() for end in range(len(HELLO)))


@given(st.integers(min_value=-(-len(HELLO[5:]) // MAX_RECORDS), max_value=600))
def test_a_hello_split_over_records_has_the_same_name(size: int) -> None:
    assert parse(in_records(HELLO[5:], size)) == Hello("api.example.com", has_x25519=True)


def test_a_hello_in_more_records_than_any_client_sends_is_refused() -> None:
    message = HELLO[5:]
    for records, found in ((MAX_RECORDS, Hello), (MAX_RECORDS + 1, NotTls)):
        rest = records - 1
        received = in_records(message[:-rest], len(message)) + in_records(message[-rest:], 1)
        assert isinstance(parse(received), found)


@pytest.mark.parametrize(
    "received",
    [
        pytest.param(b"SSH-2.0-OpenSSH", id="SSH"),
        pytest.param(b"GET / HTTP/1.1\r\n", id="HTTP"),
        pytest.param(b"\x16\x02\x01", id="not version 3"),
        pytest.param(b"\x80\x2e\x01\x03\x01", id="SSL 2 hello"),
        pytest.param(b"\x15\x03\x01\x00\x02\x01\x00", id="alert"),
        pytest.param(b"\x16\x03\x01\x00\x04\x02\x00\x00\x00", id="ServerHello"),
        pytest.param(b"\x16\x03\x01\x00\x00", id="empty record"),
        pytest.param(b"\x16\x03\x01\xff\xff", id="record too long"),
        pytest.param(b"\x16\x03\x01\x00\x04\x01\xff\xff\xff", id="hello too long"),
        pytest.param(with_extensions(server_name(b"a.test", b"b.test")), id="two names"),
        pytest.param(with_extensions(server_name(b"a.test") * 2), id="two extensions"),
        pytest.param(with_extensions(server_name(b"\xff.test")), id="name not ASCII"),
        pytest.param(with_extensions(b"\x00\x00\x00\x09\x00"), id="extension cut short"),
    ],
)
def test_anything_else_is_not_tls(received: bytes) -> None:
    assert isinstance(parse(received), NotTls)


def test_what_never_completes_is_refused_at_the_limit() -> None:
    unending = in_records(b"\x01\x00\x3f\xf0" + bytes(MAX_HELLO_BYTES), 1000)
    assert parse(unending[:MAX_HELLO_BYTES]) == NeedMore()
    assert isinstance(parse(unending[: MAX_HELLO_BYTES + 1]), NotTls)


@given(st.binary(max_size=200))
def test_no_bytes_make_it_raise(received: bytes) -> None:
    parse(received)
    parse(HELLO[:60] + received)


def _extension(*, name: int = 6, names: int = 9, content: int = 11, extensions: int = 15) -> bytes:
    """Return a hello for a.test that states these lengths; the defaults are the true ones."""
    entry = b"\x00" + name.to_bytes(2, "big") + b"a.test"
    extension = b"\x00\x00" + content.to_bytes(2, "big") + names.to_bytes(2, "big") + entry
    body = b"\x03\x03" + bytes(32) + b"\x00" + b"\x00\x02\x13\x01" + b"\x01\x00"
    body += extensions.to_bytes(2, "big") + extension
    return in_records(b"\x01" + len(body).to_bytes(3, "big") + body, 16000)


@pytest.mark.parametrize(
    "lengths",
    [
        {"name": 7},
        {"name": 5},
        {"names": 10},
        {"names": 8},
        {"content": 12},
        {"extensions": 16},
        {"extensions": 14},
    ],
    ids=str,
)
def test_a_name_whose_length_is_a_lie_is_no_name(lengths: dict[str, int]) -> None:
    assert parse(_extension()) == Hello("a.test")
    assert isinstance(parse(_extension(**lengths)), NotTls)
