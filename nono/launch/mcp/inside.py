"""Join the streams of a process in a sandbox to an MCP server that nono starts beside it."""

from __future__ import annotations

import os
import select
import socket
from collections.abc import Iterator, Mapping
from contextlib import suppress
from threading import Thread

from nono.connect_helper import PROXY_VARIABLES, NoTunnelError, open_tunnel
from nono.disk.descriptor import write_all
from nono.errors import NonoError
from nono.launch.mcp.frames import EXIT, PIECE_BYTES, STDIN, BrokenError, framed, frames, received
from nono.paths import STATE_VARIABLE
from nono.policy.hosts.mcp_servers import PORT, host_of
from nono.sessions.processes import process_stat

_GENERATIONS_MAX = 64  # of processes that are looked at


def variables_of_run(environ: Mapping[str, str]) -> Mapping[str, str] | None:
    """Return variables that lead to the proxy of the run that this process is in; None outside of any.

    Clients of MCP, such as those of its SDKs, pass a server few of their variables. The others are found
    with a process that has started them.

    environ: Of this process.
    """
    if STATE_VARIABLE in environ:
        return environ if environ[STATE_VARIABLE] else None
    pid = os.getppid()
    for _ in range(_GENERATIONS_MAX):
        with suppress(OSError):  # of somebody else, or of a process that keeps it private
            found = _environment_of(pid)
            if found.get(STATE_VARIABLE):
                return found
        stat = process_stat(pid)
        if stat is None:
            break
        pid = stat.parent
    return None


def _environment_of(pid: int) -> dict[str, str]:
    """Return the variables that a process was started with. Raises OSError."""
    with open(f"/proc/{pid}/environ", "rb") as file:
        entries = os.fsdecode(file.read()).split("\0")
    return dict(entry.split("=", 1) for entry in entries if "=" in entry)


def join(name: str, environ: Mapping[str, str]) -> int:
    """Relay standard input to a server and its outputs to ours. Returns its exit code.

    environ: Names the proxy.

    Raises OSError or NoTunnelError if the proxy does not lead there, NonoError if the server is lost.
    """
    if not any(environ.get(variable) for variable in PROXY_VARIABLES):
        raise NoTunnelError("this run has no proxy, which leads to the servers that it names")
    connected, first = open_tunnel(host_of(name), PORT, environ)
    for stream in (0, 1):
        os.set_blocking(stream, True)  # a client may have made both ends of a pipe not wait
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
    yield from received(connected)


def _send_input(connected: socket.socket) -> None:
    """Send what whoever started us says, and the end of that. Leaves the server once nobody hears it."""
    with suppress(OSError):  # the other direction fails too, and ends the program
        while piece := os.read(0, PIECE_BYTES):
            connected.sendall(framed(STDIN, piece))
        connected.sendall(framed(STDIN, b""))
        output = select.poll()
        output.register(1, 0)  # POLLERR and POLLHUP come unasked
        output.poll()
        connected.shutdown(socket.SHUT_RDWR)
