"""What counts as a packet that a command may have sent."""

from __future__ import annotations

import socket

import pytest

from hunt.outside.stage import packet_kind


def frame(protocol: int, number: int) -> bytes:
    """Return an Ethernet frame with an IP packet of that protocol."""
    place = 23 if protocol == 0x0800 else 20
    content = bytearray(80)
    content[12:14] = protocol.to_bytes(2, "big")
    content[place] = number
    return bytes(content)


@pytest.mark.parametrize("protocol", [0x0800, 0x86DD])
def test_a_question_to_a_resolver_is_seen(protocol: int) -> None:
    assert packet_kind(frame(protocol, socket.IPPROTO_UDP)) == "udp"


@pytest.mark.parametrize("protocol", [0x0800, 0x86DD])
def test_a_connection_is_seen(protocol: int) -> None:
    assert packet_kind(frame(protocol, socket.IPPROTO_TCP)) == "tcp"


def test_the_kernels_own_chatter_is_not() -> None:
    assert packet_kind(frame(0x86DD, socket.IPPROTO_ICMPV6)) is None
    assert packet_kind(frame(0x0806, 0)) is None
