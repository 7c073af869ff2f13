"""What a command may send to rtnetlink by address: questions for lists, to the kernel."""

from __future__ import annotations

import struct

import pytest

from nono.supervisor.verdict.adjudicator import Refuse
from nono.supervisor.verdict.route_netlink import is_route_socket, judge_name, judge_send

KERNEL = struct.pack("=HHII", 16, 0, 0, 0)
GETLINK, NEWLINK, DELLINK, SETLINK, GETADDR, NEWADDR = 18, 16, 17, 19, 22, 20
ERROR = 2  # below the kinds of rtnetlink, with the last bits of a question


def message(*kinds: int) -> bytes:
    return b"".join(struct.pack("=IHHIIB3x", 20, kind, 0x301, 1, 0, 0) for kind in kinds)


@pytest.mark.parametrize("kinds", [(GETLINK,), (GETADDR,), (GETLINK, GETADDR)])
def test_a_question_to_the_kernel_is_sent(kinds: tuple[int, ...]) -> None:
    assert judge_send(KERNEL, message(*kinds)) is None


@pytest.mark.parametrize(
    "sent",
    [
        *(message(kind) for kind in (NEWLINK, DELLINK, SETLINK, NEWADDR, 0, ERROR, 3)),
        message(GETLINK, NEWLINK),
        b"",
        message(GETLINK)[:10],
        struct.pack("=IHHII", 3, GETLINK, 0, 0, 0),
    ],
)
def test_a_message_that_changes_something_is_refused(sent: bytes) -> None:
    assert isinstance(judge_send(KERNEL, sent), Refuse)


@pytest.mark.parametrize(("port", "groups"), [(7, 0), (0, 1)])
def test_a_message_to_anybody_but_the_kernel_is_refused(port: int, groups: int) -> None:
    assert isinstance(judge_send(struct.pack("=HHII", 16, 0, port, groups), message(GETLINK)), Refuse)


def test_a_bind_names_no_group() -> None:
    assert judge_name(struct.pack("=HHII", 16, 0, 4711, 0)) is None
    assert isinstance(judge_name(struct.pack("=HHII", 16, 0, 0, 1)), Refuse)
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
