"""Make socket calls other than connect: those that listen, bind, dissolve, duplicate and pass on.

socket_calls FORBIDDEN_PORT [part]
"""

from __future__ import annotations

import array
import os
import socket
import struct
import sys
from contextlib import suppress

from support.attack_programs.outcome import Attempt, proxy, report_all, syscall

CLONE_FILES = 0x400


def listen_unbound() -> None:
    with socket.socket() as server:
        server.listen()


def bind_any_port() -> None:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()


def bind_device_port() -> None:
    """Do the same through the option that picks a port late (ip(7))."""
    with socket.socket() as server:
        server.setsockopt(socket.IPPROTO_IP, getattr(socket, "IP_BIND_ADDRESS_NO_PORT", 24), 1)
        server.bind(("127.0.0.1", 0))
        server.listen()


def unspecified(size: int) -> Attempt:
    """Dissolve an association with connect(AF_UNSPEC) (connect(2))."""

    def attempt() -> None:
        import ctypes

        with socket.create_connection(proxy()) as client:
            address = ctypes.create_string_buffer(struct.pack("=H", socket.AF_UNSPEC) + bytes(size - 2))
            syscall("connect", client.fileno(), ctypes.addressof(address), size)

    return attempt


def not_a_socket() -> None:
    reading, writing = os.pipe()
    try:
        _connect_number(reading, *proxy())
    finally:
        os.close(reading)
        os.close(writing)


def _connect_number(fd: int, host: str, port: int) -> None:
    import ctypes

    raw = struct.pack("=H", socket.AF_INET) + struct.pack("!H4s8x", port, socket.inet_aton(host))
    address = ctypes.create_string_buffer(raw, len(raw))
    syscall("connect", fd, ctypes.addressof(address), len(raw))


def on_number(fd: int, host: str, port: int) -> Attempt:
    """K11: connect on a socket that was moved to a number which another one had before."""

    def attempt() -> None:
        with socket.create_connection(proxy()) as exempt, socket.socket() as own:
            os.dup2(own.fileno(), exempt.fileno())
            number = fd if fd >= 0 else exempt.fileno()
            os.dup2(own.fileno(), number)
            _connect_number(number, host, port)

    return attempt


def through_scm_rights(port: int) -> Attempt:
    """Use a socket received through SCM_RIGHTS from a process in the same sandbox."""

    def attempt() -> None:
        left, right = socket.socketpair()
        with left, right:
            pid = os.fork()
            if pid == 0:
                with socket.socket() as made:
                    rights = array.array("i", [made.fileno()])
                    left.sendmsg([b"!"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, rights)])
                os._exit(0)
            os.waitpid(pid, 0)
            _, ancillary, _, _ = right.recvmsg(1, socket.CMSG_SPACE(4))
            fd = int.from_bytes(ancillary[0][2][:4], sys.byteorder)
            with socket.socket(fileno=fd) as received:
                received.connect(("127.0.0.1", port))

    return attempt


def with_own_table(host: str, port: int) -> Attempt:
    """Use a thread with a descriptor table of its own; before Linux 6.9 nono cannot find its socket."""

    def attempt() -> None:
        import threading

        failures: list[OSError] = []

        def work() -> None:
            try:
                os.unshare(CLONE_FILES)
                with socket.socket() as client:
                    client.connect((host, port))
            except OSError as failure:
                failures.append(failure)

        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
        if failures:
            raise failures[0]

    return attempt


def in_new_namespaces(host: str, port: int) -> Attempt:
    """Connect from new user and network namespaces whose loopback is up."""

    def attempt() -> None:
        import fcntl

        pid = os.fork()
        if pid == 0:
            status = 1
            with suppress(OSError):
                os.unshare(os.CLONE_NEWUSER | os.CLONE_NEWNET)
                with suppress(OSError), socket.socket() as control:
                    fcntl.ioctl(control, 0x8914, struct.pack("16sh22x", b"lo", 1))
                try:
                    with socket.socket() as client:
                        client.connect((host, port))
                    status = 0
                except OSError as failure:
                    status = failure.errno or 1
            os._exit(status)
        _, waited = os.waitpid(pid, 0)
        number = os.waitstatus_to_exitcode(waited)
        if number:
            raise OSError(number, "in the namespaces")

    return attempt


def stream_pair() -> None:
    left, right = socket.socketpair()
    with left, right:
        left.sendall(b"x")
        right.recv(1)


def vforked(port: int) -> Attempt:
    """Connect in a program started with posix_spawn, which uses vfork."""

    def attempt() -> None:
        code = f"import socket, sys; socket.create_connection(('127.0.0.1', {port}))"
        argv = [
            sys.executable,
            "-I",
            "-S",
            "-B",
            "-c",
            f"try: {code}\nexcept OSError as e: sys.exit(e.errno)",
        ]
        pid = os.posix_spawn(sys.executable, argv, os.environ)
        number = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        if number:
            raise OSError(number, "in the spawned program")

    return attempt


def main(port: int, part: str = "all") -> None:
    host = "127.0.0.1"
    if part == "pair":
        report_all({"stream pair": stream_pair})
        return
    report_all(
        {
            "listen unbound": listen_unbound,
            "bind to port 0": bind_any_port,
            "bind to a late port": bind_device_port,
            "AF_UNSPEC": unspecified(16),
            "AF_UNSPEC of two bytes": unspecified(2),
            "a pipe": not_a_socket,
            "a number that is not open": lambda: _connect_number(999, *proxy()),
            "dup2 over a connected socket": on_number(-1, host, port),
            "dup2 over a high number": on_number(200, host, port),
            "dup2 over a connected socket, to the proxy": on_number(-1, *proxy()),
            "SCM_RIGHTS": through_scm_rights(port),
            "SCM_RIGHTS, to the proxy": through_scm_rights(proxy()[1]),
            "own descriptor table": with_own_table(host, port),
            "own descriptor table, to the proxy": with_own_table(*proxy()),
            "vfork": vforked(port),
            "vfork, to the proxy": vforked(proxy()[1]),
            "new namespaces": in_new_namespaces(host, port),
            "stream pair": stream_pair,
        }
    )


if __name__ == "__main__":
    main(int(sys.argv[1]), *sys.argv[2:])
