"""Define the events of an HTTP/2 connection: what arrives on it, as values."""

from __future__ import annotations

from nono.named_tuple import NamedTuple
from nono.proxy.http.message import Header


class HeadReceived(NamedTuple):
    """The head of a request, or of a final response. ended: Nothing follows it."""

    stream_id: int
    fields: list[Header]
    ended: bool


class InterimReceived(NamedTuple):
    """The head of an interim response."""

    stream_id: int
    fields: list[Header]


class DataReceived(NamedTuple):
    """A piece of a body. size: What it takes of the windows, with its padding."""

    stream_id: int
    piece: bytes
    size: int
    ended: bool


class TrailersReceived(NamedTuple):
    """The trailers, which end the message."""

    stream_id: int
    fields: list[Header]


class StreamReset(NamedTuple):
    """The stream is over: the peer has reset it, or has broken the protocol on it."""

    stream_id: int
    code: int


class SettingsReceived(NamedTuple):
    """The peer's SETTINGS have arrived and are applied."""


class GoAway(NamedTuple):
    """A GOAWAY frame (RFC 9113 section 6.8)."""

    last_stream_id: int
    error_code: int


OnStream = HeadReceived | InterimReceived | DataReceived | TrailersReceived | StreamReset
Event = OnStream | SettingsReceived | GoAway
