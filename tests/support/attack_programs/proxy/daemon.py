"""Start a daemon (double fork, new session) that waits for a signal to go, then tries to get out.

daemon TCP_PORT UDP_PORT STAY: the FIFOs `go` and `answer` in the working directory carry the signal and the
answer. It prints its pid first. STAY is "stay" if the process that started it waits too, until it is killed
or its input ends.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
from contextlib import suppress

from support.attack_programs.outcome import Attempt, outcome

LIMIT_S = 60


def connect(host: str, port: int) -> Attempt:
    return lambda: socket.create_connection((host, port)).close()


def send(port: int) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.sendto(b"leak", ("127.0.0.1", port))


def write_outside() -> None:
    with open("../outside", "w", encoding="ascii"):
        pass


def daemon(tcp_port: int, udp_port: int) -> None:
    signal.alarm(LIMIT_S)
    for fd in (0, 1, 2):  # whoever reads these must learn when the process that stays has ended
        with suppress(OSError):
            os.close(fd)
    with open("go", encoding="ascii") as go:
        go.read()
    outcomes = {
        "tcp": outcome(connect("127.0.0.1", tcp_port)),
        "udp": outcome(lambda: send(udp_port)),
        "write": outcome(write_outside),
    }
    with open("answer", "w", encoding="ascii") as answer:
        json.dump(outcomes, answer)


def main(tcp_port: int, udp_port: int, stay: str) -> None:
    ready, is_ready = os.pipe()
    starter = os.fork()
    if starter == 0:
        os.setsid()
        if os.fork() == 0:
            try:
                print(os.getpid(), flush=True)
                os.write(is_ready, b"!")
                os.close(is_ready)
                daemon(tcp_port, udp_port)
            finally:
                os._exit(0)
        os._exit(0)
    os.waitpid(starter, 0)
    os.read(ready, 1)
    if stay == "stay":
        sys.stdin.read()


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3])
