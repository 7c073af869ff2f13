"""Do with sockets what programs on an open network do: every family, connected, bound, named and not."""

from __future__ import annotations

import ctypes
import os
import socket

from support.attack_programs.outcome import report_all, syscall


def tcp(family: socket.AddressFamily, host: str) -> None:
    with socket.socket(family) as server:
        server.bind((host, 0))
        server.listen()
        with socket.create_connection(server.getsockname()[:2]) as client:
            assert client.getpeername()[:2] == server.getsockname()[:2]


def unbound() -> None:
    with socket.socket() as server:
        server.listen()


def udp() -> None:
    with socket.socket(type=socket.SOCK_DGRAM) as server, socket.socket(type=socket.SOCK_DGRAM) as client:
        server.bind(("127.0.0.1", 0))
        client.sendto(b"named", server.getsockname())
        client.connect(server.getsockname())
        client.send(b"connected")
        assert (server.recv(16), server.recv(16)) == (b"named", b"connected")
        libc = ctypes.CDLL(None, use_errno=True)
        assert libc.connect(client.fileno(), bytes(16), 16) == 0  # AF_UNSPEC: it no longer has a peer


def not_blocking() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, socket.socket() as client:
        client.setblocking(False)
        assert client.connect_ex(server.getsockname()) in (0, 115)
        server.accept()[0].close()


def datagram_pair() -> None:
    for end in socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM):
        end.close()


def stream_pair() -> None:
    for end in socket.socketpair(socket.AF_UNIX):
        end.close()


def abstract(name: str, *, connects: bool) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(name)
        server.listen()
        if connects:
            with socket.socket(socket.AF_UNIX) as client:
                client.connect(server.getsockname())


def netlink() -> None:
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0) as client:
        client.bind((0, 0))
    socket.if_nameindex()


def ring() -> None:
    memory = ctypes.create_string_buffer(256)
    os.close(syscall("io_uring_setup", 2, ctypes.addressof(memory)))


if __name__ == "__main__":
    report_all(
        {
            "tcp": lambda: tcp(socket.AF_INET, "127.0.0.1"),
            "tcp6": lambda: tcp(socket.AF_INET6, "::1"),
            "listen": unbound,
            "udp": udp,
            "not blocking": not_blocking,
            "netlink": netlink,
            "look-up": lambda: socket.getaddrinfo("localhost", 80),
            "stream pair": stream_pair,
            "datagram": lambda: socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM).close(),
            "datagram pair": datagram_pair,
            "abstract": lambda: abstract(f"\0nono-{os.getpid()}", connects=True),
            "abstract bind": lambda: abstract(f"\0nono-{os.getpid()}", connects=False),
            "autobind": lambda: abstract("", connects=False),
            "io_uring": ring,
        }
    )
