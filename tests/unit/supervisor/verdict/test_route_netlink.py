"""Which sockets of netlink are made, and to which address they are bound."""

from __future__ import annotations

import struct

import pytest

from nono.supervisor.verdict.adjudicator import Refuse
from nono.supervisor.verdict.route_netlink import is_route_socket, judge_name


def test_a_bind_names_no_group() -> None:
    assert judge_name(struct.pack("=HHII", 16, 0, 4711, 0)) is None
    refused = judge_name(struct.pack("=HHII", 16, 0, 0, 1))
    assert isinstance(refused, Refuse)
    assert "--sandbox-policy netns" in (refused.hint or "")
    assert isinstance(judge_name(struct.pack("=HHII", 2, 0, 4711, 0)), Refuse)  # AF_INET
    assert isinstance(judge_name(b"\x10\x00"), Refuse)


@pytest.mark.parametrize(
    ("args", "expected"),
    [
        ((16, 3, 0), True),
        ((16, 2 | 0o2000000, 0), True),
        ((16, 3, 9), False),
        ((16, 1, 0), False),
        ((2, 3, 0), False),
    ],
)
def test_only_sockets_of_rtnetlink_are_made(args: tuple[int, ...], expected: bool) -> None:
    assert is_route_socket(args) is expected
