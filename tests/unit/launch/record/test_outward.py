"""nono.launch.record.outward: an anchor that says nothing is one that was not reached."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from typing import cast
from unittest.mock import Mock

import pytest

from nono.errors import LaunchError
from nono.launch.record import outward
from nono.launch.record.outward import Carried
from nono.launch.session import Session
from nono.outward.head import Head
from nono.outward.orders import Orders

ANCHOR = "rfc3161:http://tsa.test"
HEAD = Head("s", 1, "0" * 64, "0" * 64)
TOKEN = {"anchored": ANCHOR, "head": HEAD._asdict(), "file": "1.tsr", "sha256": "0" * 64}
FAILURE = {"not_anchored": ANCHOR, "records": 1, "why": ""}


@pytest.fixture
def ends() -> Iterator[tuple[socket.socket, socket.socket]]:
    """Yield the supervisor's end of a channel, and that of the process that asks the anchors."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours, theirs:
        yield ours, theirs


def carried(ours: socket.socket, *, is_required: bool = True) -> Carried:
    orders = Orders(anchors=(ANCHOR,), is_anchor_required=is_required)
    return Carried(orders, cast(Session, Mock(spec=Session)), ours, 0)


@pytest.mark.parametrize("said", [(), (FAILURE,)], ids=["nothing", "a failure without words"])
def test_nothing_starts_without_the_token_of_a_required_anchor(
    said: tuple[object, ...], ends: tuple[socket.socket, socket.socket], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outward, "FIRST_S", 0.01)
    ours, theirs = ends
    for message in said:
        theirs.send(json.dumps(message).encode())
    with pytest.raises(LaunchError, match="so nothing was started"):
        carried(ours).require()


def test_a_required_anchor_with_a_token_lets_the_command_start(
    ends: tuple[socket.socket, socket.socket],
) -> None:
    ours, theirs = ends
    theirs.send(json.dumps(TOKEN).encode())
    carried(ours).require()


@pytest.mark.parametrize(
    ("said", "is_required", "is_whole"),
    [((), True, False), ((FAILURE,), True, False), ((TOKEN,), True, True), ((), False, True)],
    ids=["nothing", "a failure", "a token", "not required"],
)
def test_a_run_is_whole_at_its_end_if_each_required_anchor_gave_a_token(
    said: tuple[object, ...], is_required: bool, is_whole: bool, ends: tuple[socket.socket, socket.socket]
) -> None:
    ours, theirs = ends
    for message in (*said, {"over": True}):
        theirs.send(json.dumps(message).encode())
    assert carried(ours, is_required=is_required).finish() is is_whole
