"""How long it takes from the start of `nono run` until its proxy listens."""

from __future__ import annotations

import socket
import subprocess
import time
from collections.abc import Sequence

from benchmarks.budget import Figure, Row, at_most
from benchmarks.commands import PATIENCE_S, in_turn
from benchmarks.peers import Peer, Peers
from benchmarks.proxies import nono_py_argv
from benchmarks.samples import CannotRunError
from benchmarks.settings import Settings
from benchmarks.stage import BUILT_IN_SERVICE, NONO, Stage, free_port

BETWEEN_LOOKS_S = 0.0002
UNTIL_STDIN_ENDS = "/bin/cat"


def listening_row(stage: Stage, peers: Peers, settings: Settings) -> Row:
    def nono() -> float:
        port = free_port()
        flags = ["--credential", BUILT_IN_SERVICE, f"--proxy-port={port}"]
        argv = [NONO, "--silent", "run", *flags, "--", UNTIL_STDIN_ENDS]
        return _seconds_to_listening(argv, stage, port) * 1e3

    def nono_py() -> float:
        if not isinstance(peers.nono_py, Peer):
            raise CannotRunError(peers.nono_py.reason)
        port = free_port()
        argv = nono_py_argv(stage, peers.nono_py, port, UNTIL_STDIN_ENDS)
        return _seconds_to_listening(argv, stage, port) * 1e3

    values = in_turn(settings.start_rounds, {"nono": nono, "nono-py": nono_py})
    budget = at_most(100, Figure.VALUE)
    return Row("start to a listening proxy", "ms", values["nono"], "nono-py", values["nono-py"], budget)


def _seconds_to_listening(argv: Sequence[str], stage: Stage, port: int) -> float:
    start = time.perf_counter()
    with subprocess.Popen(
        argv, env=stage.environ, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        try:
            while not _listens(port):
                if process.poll() is not None:
                    raise CannotRunError(f"ended with {process.returncode} before it listened")
                if time.perf_counter() - start > PATIENCE_S:
                    raise CannotRunError(f"does not listen within {PATIENCE_S:.0f} s")
                time.sleep(BETWEEN_LOOKS_S)
            return time.perf_counter() - start
        finally:
            assert process.stdin is not None
            process.stdin.close()
            try:
                process.wait(PATIENCE_S)
            except subprocess.TimeoutExpired:
                process.kill()


def _listens(port: int) -> bool:
    with socket.socket() as attempt:
        return attempt.connect_ex(("127.0.0.1", port)) == 0
