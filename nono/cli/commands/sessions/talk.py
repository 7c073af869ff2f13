"""Send one request to the control interface of a session, at its socket."""

from __future__ import annotations

import http.client
import json
import socket
from collections.abc import Mapping
from typing import Any

from nono.cli.commands.sessions.chosen import Chosen, paused_error
from nono.errors import NonoError
from nono.named_tuple import NamedTuple
from nono.sessions.meeting import connect
from nono.sessions.record import PAUSED, Record

PATIENCE_S = 5.0


class Told(NamedTuple):
    """The response of the control interface."""

    status: int
    document: Mapping[str, Any]


class _Connected(http.client.HTTPConnection):
    """An HTTP connection over a socket that is already connected. Closing it closes the socket."""

    def __init__(self, connection: socket.socket) -> None:
        super().__init__("nono")
        self.sock = connection


def call(
    session: Chosen, method: str, path: str, document: object = None, patience_s: float = PATIENCE_S
) -> Told:
    """Ask the control interface. Raises NonoError if nobody answers."""
    connection, key = _connected(session, patience_s)
    body = None if document is None else json.dumps(document).encode("ascii")
    try:
        connection.request(method, path, body, _fields(key))
        response = connection.getresponse()
        answered = json.loads(response.read() or b"{}")
    except (OSError, ValueError, http.client.HTTPException) as error:
        raise silent(session.record) from error
    finally:
        connection.close()
    return Told(response.status, answered if isinstance(answered, dict) else {})


def _connected(session: Chosen, patience_s: float) -> tuple[_Connected, str]:
    if session.record.status == PAUSED:
        raise paused_error(session.record)
    try:
        connection, key = connect(session.registry, session.record.session_id)
    except OSError as error:
        raise silent(session.record) from error
    connected = socket.socket(fileno=connection.detach())
    connected.settimeout(patience_s)
    return _Connected(connected), key


def _fields(key: str) -> Mapping[str, str]:
    return {"Authorization": f"Bearer {key}"}


def silent(record: Record) -> NonoError:
    return NonoError(
        f"Session {record.session_id} does not answer.",
        hint=f"only one with a proxy, served calls or a terminal does: nono inspect {record.session_id}",
    )
