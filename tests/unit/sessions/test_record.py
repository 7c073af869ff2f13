"""nono.sessions.record: what the file holds."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nono.sessions.record import End, Record, document_of, parse, to_json

RECORD = Record(
    "0123456789abcdef", "calm-fern", 10, 11, "2026-01-02T03:04:05+01:00", 99, "running", "attached", None,
    ("sh", "-c", "true"), None, "/work", "allowed", "0123456789abcdef", 5, None, "host", "boot", 7,
)  # fmt: skip
# The order in which other programs expect them.
FIELDS = [
    "session_id", "name", "supervisor_pid", "child_pid", "started", "started_epoch", "status", "attachment",
    "exit_code", "command", "profile", "workdir", "network", "rollback_session",
]  # fmt: skip


def changed(**changes: Any) -> bytes:
    return json.dumps(document_of(RECORD) | changes).encode()


def test_the_known_fields_come_first_in_their_order() -> None:
    assert list(json.loads(to_json(RECORD)))[: len(FIELDS)] == FIELDS


def test_a_record_is_read_as_it_was_written() -> None:
    ended = RECORD._replace(status="exited", exit_code=143, end=End("signal", "SIGTERM", "sh (pid 1, uid 0)"))
    assert parse(to_json(ended)) == ended


def test_a_record_of_another_program_needs_only_the_known_fields() -> None:
    document = {name: value for name, value in document_of(RECORD).items() if name in FIELDS}
    del document["attachment"]
    assert parse(json.dumps(document).encode()).attachment == "attached"


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"[]",
        b"{}",
        b"[" * 100_000,
        changed(supervisor_pid="1"),
        changed(supervisor_pid=True),
        changed(status="asleep"),
        changed(command=["a", 1]),
        changed(end={"cause": None}),
        changed(end={"cause": "exit", "by": 3}),
        changed(end=[]),
        # What is shown as it is: it would drive the terminal, or end nono with a traceback.
        changed(started="\x1b]0;x\x07"),
        changed(attachment="attached\nnono: all is well"),
        changed(network="\ud800"),
        changed(end={"cause": "signal", "signal": "\x1b[2J"}),
        changed(end={"cause": "\u202e"}),
        # A name in a directory.
        changed(rollback_session="../../x"),
        changed(rollback_session="a\0b"),
        changed(rollback_session=""),
        # No time, and no number of a process.
        changed(started_unix_ms=10**30),
        changed(ended_unix_ms=-(10**30)),
        changed(supervisor_pid=2**70),
    ],
)
def test_what_is_no_record_is_refused(content: bytes) -> None:
    with pytest.raises(ValueError, match=r".*"):
        parse(content)


@given(st.binary())
def test_no_bytes_raise_anything_but_a_value_error(content: bytes) -> None:
    with pytest.raises(ValueError, match=r".*"):
        parse(content)
