"""Ask the supervisor of a session for its terminal, at its socket, without importing http.client."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from nono.cli.commands.sessions.chosen import Chosen, paused_error
from nono.errors import NonoError
from nono.named_tuple import NamedTuple
from nono.sessions import wire
from nono.sessions.meeting import connect
from nono.sessions.record import PAUSED, Record

if TYPE_CHECKING:
    import _socket

PATIENCE_S = 5.0


class Answer(NamedTuple):
    """The connection, which the caller closes, the status, and the bytes received after the head."""

    connection: _socket.socket
    status: int | None
    received: bytes


def ask(
    session: Chosen, target: tuple[str, str], size: wire.Size | None = None, words: Sequence[str] = ()
) -> Answer:
    """Send a request and read the head of the response. Raises NonoError if nobody answers."""
    record = session.record
    if record.status == PAUSED:
        raise paused_error(record)
    try:
        connection, key = connect(session.registry, record.session_id)
    except OSError as error:
        raise unreachable(record) from error
    try:
        connection.settimeout(PATIENCE_S)
        connection.sendall(wire.request(target, key, size, words))
        received = b""
        while wire.HEAD_END not in received and len(received) <= wire.HEAD_BYTES_MAX:
            piece = connection.recv(wire.HEAD_BYTES_MAX)
            if not piece:
                break
            received += piece
    except OSError as error:
        connection.close()
        raise unreachable(record) from error
    head, _, rest = received.partition(wire.HEAD_END)
    return Answer(connection, wire.status_of(head), rest)


def unreachable(record: Record) -> NonoError:
    return NonoError(
        f"Session {record.session_id} has no terminal to attach to.",
        hint="only a run at a terminal, or `nono run --detached`, has one of its own",
    )
