"""Check both sides of a WebSocket opening handshake (RFC 6455 section 4)."""

from __future__ import annotations

from base64 import b64decode, b64encode
from binascii import Error as Base64Error
from collections.abc import Iterable

from nono.digests import compare_digest, sha1
from nono.proxy.http.message import Header, MessageError, RequestHead, ResponseHead

_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455 section 1.3

PROTOCOL = b"sec-websocket-protocol"
# OpenAI takes a key there because JavaScript in a browser cannot set other fields of a handshake.
_KEY_PROTOCOL = b"openai-insecure-api-key."


def protocol_keys(value: bytes) -> list[bytes]:
    """Return the keys that are presented as subprotocols (RFC 6455 section 1.9)."""
    return [each[len(_KEY_PROTOCOL) :] for each in _protocols(value) if _is_key_in(each)]


def without_protocol_keys(headers: Iterable[Header]) -> list[Header]:
    """Return the fields without keys that are presented as subprotocols."""
    kept = []
    for name, value in headers:
        if name.lower() == PROTOCOL and protocol_keys(value):
            value = b", ".join(each for each in _protocols(value) if not _is_key_in(each))
            if not value:
                continue
        kept.append((name, value))
    return kept


def _protocols(value: bytes) -> list[bytes]:
    return [each.strip(b" \t") for each in value.split(b",")]


def _is_key_in(protocol: bytes) -> bool:
    return protocol.lower().startswith(_KEY_PROTOCOL)


def _members(values: list[bytes]) -> list[bytes]:
    return [member.strip(b" \t").lower() for value in values for member in value.split(b",")]


def key_of(head: RequestHead) -> bytes | None:
    """Return the Sec-WebSocket-Key of a well-formed handshake; None if no upgrade is requested.

    Raises MessageError for every other upgrade, because the protocol after it is unknown here.
    """
    if not head.wants_upgrade:
        return None
    connections, upgrades = head.values(b"connection"), head.values(b"upgrade")
    keys = head.values(b"sec-websocket-key")
    if head.method != b"GET" or head.version != b"1.1":
        raise MessageError("an upgrade must be a GET of HTTP/1.1")
    if len(connections) != 1 or b"upgrade" not in _members(connections):
        raise MessageError("an upgrade takes one Connection field that names it")
    if len(upgrades) != 1 or upgrades[0].lower() != b"websocket":
        raise MessageError("the only upgrade served is websocket")
    if len(keys) != 1 or not _is_key(keys[0]):
        raise MessageError("Sec-WebSocket-Key is not 16 bytes in base64")
    if head.values(b"sec-websocket-version") != [b"13"]:
        raise MessageError("Sec-WebSocket-Version is not 13")
    return keys[0]


def _is_key(value: bytes) -> bool:
    try:
        return len(b64decode(value, validate=True)) == 16
    except (Base64Error, ValueError):
        return False


def handshake_fields() -> list[Header]:
    """Return the hop-by-hop fields of the handshake, written by this hop for either side."""
    return [(b"Connection", b"Upgrade"), (b"Upgrade", b"websocket")]


def accepts(head: ResponseHead, key: bytes) -> bool:
    """Return True if the response completes the handshake of `key`; otherwise it is not a WebSocket."""
    proof = b64encode(sha1(key + _GUID, usedforsecurity=False).digest())
    given = [value for name, value in head.headers if name.lower() == b"sec-websocket-accept"]
    connections = [value for name, value in head.headers if name.lower() == b"connection"]
    upgrades = [value for name, value in head.headers if name.lower() == b"upgrade"]
    return (
        head.status == 101
        and len(given) == 1
        and compare_digest(given[0], proof)
        and b"upgrade" in _members(connections)
        and [value.lower() for value in upgrades] == [b"websocket"]
    )
