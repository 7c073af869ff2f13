"""Run a server program in the foreground: wait until it accepts connections, and end it with the block."""

from __future__ import annotations

import socket
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

TIMEOUT_S = 30.0


def accepts(port: int, process: subprocess.Popen[bytes]) -> bool:
    """Wait until the program accepts connections. Returns False if it ends or takes too long."""
    deadline = time.monotonic() + TIMEOUT_S
    while process.poll() is None and time.monotonic() < deadline:
        try:
            socket.create_connection(("127.0.0.1", port), TIMEOUT_S).close()
        except ConnectionRefusedError:
            time.sleep(0.01)  # such programs do not announce when they listen
        else:
            return True
    return False


@contextmanager
def listening(
    argv: Sequence[str], environment: Mapping[str, str], port: int, log: Path
) -> Iterator[subprocess.Popen[bytes]]:
    """Run argv, and yield once it accepts on 127.0.0.1:port. RuntimeError with its output if it does not.

    Its output goes to log. It is killed, because some programs take seconds to end when asked.
    """
    with log.open("wb") as output:
        process = subprocess.Popen(
            argv, env=dict(environment), stdin=subprocess.DEVNULL, stdout=output, stderr=output
        )
    try:
        if not accepts(port, process):
            raise RuntimeError(f"{argv[0]} does not start: {log.read_text(errors='replace')}")
        yield process
    finally:
        process.kill()
        process.wait()
