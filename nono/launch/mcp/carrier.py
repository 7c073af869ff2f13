"""Run one MCP server by `nono mcp`, and carry its streams: standard input is a socket to its client.

This process stands between the supervisor and the server. The client's frames go to the server's standard
input, its outputs and its exit code come back as others. A client that is gone, as when the supervisor was
killed, is the end of the server.
"""

from __future__ import annotations

import os
import select
import socket
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from signal import SIGKILL
from threading import Lock, Thread
from typing import IO

from nono.bytecode.writer import own_flags
from nono.disk.descriptor import is_readable
from nono.kernel.process import keep_memory_private, set_parent_death_signal
from nono.kernel.signals import shell_exit_code
from nono.launch.mcp.frames import EXIT, PIECE_BYTES, STDERR, STDOUT, BrokenError, framed, frames, received

_AFTER_TERM_S = 5.0  # nono ends its own command meanwhile
_LAST_OUTPUT_S = 1.0  # for what else holds the server's outputs when it has ended
ENDS_WITHIN_S = _AFTER_TERM_S + _LAST_OUTPUT_S + 1.0  # of the loss of its client


def main(arguments: Sequence[str]) -> None:
    """Run the server until it has ended, or its client is gone.

    arguments: The name of its profile.
    """
    (name,) = arguments
    keep_memory_private()  # its environment may hold the keys of the server, and what passes its secrets
    with socket.socket(fileno=0) as client:
        # Tied to this process: a server that heeds neither input nor signals would be left otherwise.
        server = subprocess.Popen(
            [sys.executable, *own_flags(), "-m", "nono", "mcp", name],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            preexec_fn=partial(set_parent_death_signal, SIGKILL),
        )
        pidfd = os.pidfd_open(server.pid)
        stdin, stdout, stderr = server.stdin, server.stdout, server.stderr
        assert stdin is not None  # as the others: they are pipes
        assert stdout is not None
        assert stderr is not None
        lock = Lock()
        outputs = [
            Thread(target=_pass_on, args=(kind, output.fileno(), client, lock, pidfd), daemon=True)
            for kind, output in ((STDOUT, stdout), (STDERR, stderr))
        ]
        for thread in (*outputs, Thread(target=_feed, args=(client, stdin, server), daemon=True)):
            thread.start()
        _wait(client, pidfd)
        _end(server)
        for thread in outputs:
            thread.join()
        with suppress(OSError):
            _send(client, framed(EXIT, bytes([shell_exit_code(server.returncode)])), lock)
    os._exit(0)  # a thread may still wait for a stream


def _wait(client: socket.socket, pidfd: int) -> None:
    """Wait until the server has ended or the client is gone."""
    poll = select.poll()
    poll.register(pidfd, select.POLLIN)
    poll.register(client, 0)  # POLLHUP comes unasked: the client neither sends nor reads
    poll.poll()


def _feed(client: socket.socket, sink: IO[bytes], server: subprocess.Popen[bytes]) -> None:
    """Pass on what the client says, and the end of that. Ends the server once the client itself is gone."""
    with suppress(OSError, BrokenError):
        for _, piece in frames(received(client)):
            with suppress(OSError, ValueError):  # the server takes no more
                if piece:
                    sink.write(piece)
                    sink.flush()
                else:
                    sink.close()
    _end(server)


def _pass_on(kind: int, source: int, client: socket.socket, lock: Lock, pidfd: int) -> None:
    """Pass on what the server says, to its last byte, however slowly the client reads."""
    with suppress(OSError):  # the client is gone
        while _has_more(source, pidfd) and (piece := os.read(source, PIECE_BYTES)):
            _send(client, framed(kind, piece), lock)


def _has_more(source: int, pidfd: int) -> bool:
    """Wait for output, or its end. Returns False once the server has ended and none has come for a moment."""
    poll = select.poll()
    for each in (source, pidfd):
        poll.register(each, select.POLLIN)
    poll.poll()
    return is_readable(source, within_s=_LAST_OUTPUT_S)


def _send(client: socket.socket, frame: bytes, lock: Lock) -> None:
    with lock:
        client.sendall(frame)


def _end(server: subprocess.Popen[bytes]) -> None:
    if server.poll() is None:
        server.terminate()
        try:
            server.wait(_AFTER_TERM_S)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()


if __name__ == "__main__":
    main(sys.argv[1:])
