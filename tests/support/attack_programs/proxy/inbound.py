"""Listen on loopback and serve for ever: inbound ADDRESS PORT MODE.

With MODE "count", answer each connection with the number of bytes received once its input has ended; with
"hold", keep it open.
"""

from __future__ import annotations

import socket
import sys


def main(address: str, port: int, mode: str) -> None:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    held = []
    with socket.create_server((address, port), family=family, backlog=512) as server:
        print("ready", flush=True)
        while True:
            client, _ = server.accept()
            if mode == "hold":
                held.append(client)
                continue
            with client:
                count = 0
                while received := client.recv(65536):
                    count += len(received)
                client.sendall(str(count).encode())


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), sys.argv[3])
