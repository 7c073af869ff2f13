"""Use UDP among the command's own sockets, and try to get from their network to another.

own_datagrams PORT: somebody outside listens there, by UDP and by TCP, on 127.0.0.1 and on ::1.
"""

from __future__ import annotations

import fcntl
import os
import signal
import socket
import struct
import sys
import threading
import time

from support.attack_programs.outcome import Attempt, outcome, report
from support.attack_programs.sending.sends import sendmmsg

SIOCGSKNS = 0x894C
# What configures a network (netdevice(7), <linux/sockios.h>), each with a struct ifreq for lo.
CONFIGURES = {
    "SIOCSIFFLAGS": 0x8914,
    "SIOCSIFADDR": 0x8916,
    "SIOCSIFNETMASK": 0x891C,
    "SIOCADDRT": 0x890B,
    "SIOCADDTUNNEL": 0x89F1,
    "SIOCBRADDBR": 0x89A0,
}
IPT_SO_SET_REPLACE = 64
SOCKETS, THREADS, SWAPS, DEATHS = 1500, 60, 2000, 30


def udp(family: int = socket.AF_INET) -> socket.socket:
    return socket.socket(family, socket.SOCK_DGRAM)


def exchange(host: str, *, connects: bool) -> Attempt:
    """Send from one socket to another and back."""

    def attempt() -> None:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        with udp(family) as server, udp(family) as client:
            server.bind((host, 0))
            for each in (server, client):
                each.settimeout(10)
            if connects:
                client.connect(server.getsockname())
                client.send(b"there")
            else:
                client.sendto(b"there", server.getsockname())
            said, sender = server.recvfrom(16)
            server.sendto(said, sender)
            assert client.recv(16) == b"there"

    return attempt


def reach(call: str, host: str, port: int) -> Attempt:
    def attempt() -> None:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        with udp(family) as client:
            if call == "connect":
                client.connect((host, port))
                client.send(b"leak")
            elif call == "sendto":
                client.sendto(b"leak", (host, port))
            elif call == "sendmsg":
                client.sendmsg([b"leak"], [], 0, (host, port))
            else:
                sendmmsg(client, 0, (host, port))

    return attempt


def configure(request: int) -> Attempt:
    def attempt() -> None:
        with udp() as control:
            fcntl.ioctl(control, request, struct.pack("16sh22x", b"lo", 0))

    return attempt


def firewall() -> None:
    with udp() as control:
        control.setsockopt(socket.SOL_IP, IPT_SO_SET_REPLACE, bytes(200))


def network_of_it() -> None:
    with udp() as control:
        os.close(fcntl.ioctl(control, SIOCGSKNS))


def another_protocol(protocol: int) -> Attempt:
    return lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM, protocol).close()


def many() -> None:
    """Make many at once, from many threads, and use the last of each."""
    failed: list[OSError] = []

    def work() -> None:
        try:
            kept = [udp() for _ in range(SOCKETS // THREADS)]
            exchange("127.0.0.1", connects=True)()
            for each in kept:
                each.close()
        except OSError as error:
            failed.append(error)

    threads = [threading.Thread(target=work) for _ in range(THREADS)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    if failed:
        raise failed[0]


def abandoned() -> None:
    """Die while sockets are on their way, many times, then use one."""
    for number in range(DEATHS):
        child = os.fork()
        if child == 0:
            threading.Thread(target=lambda: [udp() for _ in range(SOCKETS)], daemon=True).start()
            time.sleep(number % 5 / 1000)
            os.kill(os.getpid(), signal.SIGKILL)
        os.waitpid(child, 0)
    exchange("127.0.0.1", connects=True)()


def swapped(port: int) -> None:
    """Connect a descriptor to the listener outside while another thread puts TCP and UDP in turn there."""
    with udp() as datagrams, socket.socket() as place:
        is_over = threading.Event()

        def swap() -> None:
            while not is_over.is_set():
                with socket.socket() as stream:
                    os.dup2(stream.fileno(), place.fileno())
                os.dup2(datagrams.fileno(), place.fileno())

        swapper = threading.Thread(target=swap)
        swapper.start()
        try:
            for _ in range(SWAPS):
                place.connect_ex(("127.0.0.1", port))
        finally:
            is_over.set()
            swapper.join()


def flags() -> list[bool]:
    """Return whether a socket has the flags that were asked for."""
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as waiting,
        udp() as blocking,
    ):
        ours = fcntl.fcntl(waiting, fcntl.F_GETFL), fcntl.fcntl(blocking, fcntl.F_GETFL)
        closing = fcntl.fcntl(waiting, fcntl.F_GETFD)
    return [bool(ours[0] & os.O_NONBLOCK), bool(ours[1] & os.O_NONBLOCK), closing == fcntl.FD_CLOEXEC]


def main(port: int, far: str) -> None:
    inside = {
        f"{host}, {'connected' if connects else 'by address'}": exchange(host, connects=connects)
        for host in ("127.0.0.1", "::1")
        for connects in (True, False)
    }
    mapped = "::ffff:127.0.0.1", f"::ffff:{far}"
    outward = {
        f"{call} {host}": reach(call, host, port)
        for host in ("127.0.0.1", "::1", "127.0.0.53", far, "255.255.255.255", *mapped)
        for call in ("connect", "sendto", "sendmsg", "sendmmsg")
        if not (call == "sendmmsg" and ":" in host)
    }
    report(
        {
            "flags": flags(),
            "inside": {name: outcome(attempt) for name, attempt in inside.items()},
            "many": outcome(many),
            "abandoned": outcome(abandoned),
            "outward": {name: outcome(attempt) for name, attempt in outward.items()},
            "look-up": outcome(reach("connect", far, 53)),
            "configures": {name: outcome(configure(number)) for name, number in CONFIGURES.items()},
            "firewall": outcome(firewall),
            "its network": outcome(network_of_it),
            "other protocols": [outcome(another_protocol(number)) for number in (1, 136, 255)],
            "swapped": outcome(lambda: swapped(port)),
        }
    )


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2])
