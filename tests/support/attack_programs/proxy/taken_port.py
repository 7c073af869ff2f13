"""Take the place of a service of this machine, and have nono send it a request with the key.

taken_port HOST PORT BESIDE: listens at HOST on PORT and on BESIDE, and asks for /v1/messages by the base URL.
Reports what each listen gave, the status of the answer, and what the servers heard.
taken_port again PORT: takes a port that the kernel chooses, gives it back, and listens again, where only PORT
may be chosen. Reports the same of that; the status is 0 outside nono.
"""

from __future__ import annotations

import errno
import os
import socket
import struct
import sys
import threading
from functools import partial
from http.client import HTTPConnection
from urllib.parse import urlsplit

from support.attack_programs.outcome import outcome, report

TIMEOUT_S = 20
IP_LOCAL_PORT_RANGE = 51  # linux/in.h, from Linux 6.3 on
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


def serve(server: socket.socket, heard: list[str]) -> None:
    while True:
        connection, _ = server.accept()
        with connection:
            heard.append(connection.recv(65536).decode("latin-1"))
            connection.sendall(ANSWER)


def listen(host: str, port: int, heard: list[str]) -> None:
    server = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    server.bind((host, port))
    server.listen()
    threading.Thread(target=serve, args=(server, heard), daemon=True).start()


def listen_again(port: int, heard: list[str]) -> None:
    server = socket.socket()
    server.bind(("127.0.0.1", 0))
    server.listen()
    server.shutdown(socket.SHUT_RDWR)
    server.setsockopt(socket.IPPROTO_IP, IP_LOCAL_PORT_RANGE, struct.pack("=HH", port, port))
    server.listen()
    threading.Thread(target=serve, args=(server, heard), daemon=True).start()
    if server.getsockname()[1] != port:
        raise OSError(errno.EADDRNOTAVAIL, "it listens elsewhere")


def ask() -> int:
    base = urlsplit(os.environ["ANTHROPIC_BASE_URL"])
    assert base.hostname is not None
    connection = HTTPConnection(base.hostname, base.port, timeout=TIMEOUT_S)
    connection.request(
        "POST", f"{base.path}/v1/messages", b"{}", {"X-Api-Key": os.environ["ANTHROPIC_API_KEY"]}
    )
    return connection.getresponse().status


if __name__ == "__main__":
    _, where, *ports = sys.argv
    received: list[str] = []
    if where == "again":
        taken = outcome(partial(listen_again, int(ports[0]), received))
        status = ask() if "ANTHROPIC_BASE_URL" in os.environ else 0
        report({"kept": taken, "status": status, "heard": received})
        sys.exit()
    kept, beside = [outcome(partial(listen, where, int(each), received)) for each in ports]
    report({"kept": kept, "beside": beside, "status": ask(), "heard": received})
