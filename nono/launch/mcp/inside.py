"""Join the streams of a process in a sandbox to an MCP server that nono starts beside it."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import suppress
from threading import Thread

from nono.connect_helper import open_tunnel
from nono.disk.descriptor import write_all
from nono.errors import NonoError
from nono.launch.mcp.frames import EXIT, PIECE_BYTES, BrokenError, frames
from nono.policy.hosts.mcp_servers import PORT, host_of


def join(name: str) -> int:
    """Relay standard input to a server and its outputs to ours. Returns its exit code.

    Raises OSError or NoTunnelError if the proxy does not lead there, NonoError if the server is lost.
    """
    connected, first = open_tunnel(host_of(name), PORT)
    with connected:
        # A daemon thread, since whoever started us may keep our input open for as long as we live.
        Thread(target=_send_input, args=(connected,), daemon=True).start()
        with suppress(OSError, BrokenError):
            for kind, payload in frames(_received(connected, first)):
                if kind == EXIT:
                    return payload[0]
                write_all(kind, payload)  # the kind of a frame is the descriptor
    raise NonoError("the run ended the server, or nobody reads its output.")


def _received(connected: socket.socket, first: bytes) -> Iterator[bytes]:
    yield first
    while piece := connected.recv(PIECE_BYTES):
        yield piece


def _send_input(connected: socket.socket) -> None:
    with suppress(OSError):  # the other direction fails too, and ends the program
        while piece := os.read(0, PIECE_BYTES):
            connected.sendall(piece)
        connected.shutdown(socket.SHUT_WR)
