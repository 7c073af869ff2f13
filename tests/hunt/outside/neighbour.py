"""What else the user has: files, sockets, keys, IPC, another terminal, and a process that notices signals.

`neighbour HOME` says on stdout what there is, as JSON, and how it all looks each time it reads a line.
"""

from __future__ import annotations

import ctypes
import json
import os
import pty
import select
import signal
import socket
import sys
import termios
from contextlib import suppress
from pathlib import Path
from typing import Any

from hunt.outside import canaries
from hunt.outside.shared import Shared


class Neighbour:
    def __init__(self, home: Path, secret: str) -> None:
        self.home = home
        self.state = [home / ".local/state/nono" / name for name in ("", "audit", "profiles", "sessions")]
        self.paths = canaries.make_files(home, secret)
        self.signals: list[int] = []
        self.directories = [
            self.paths["folder"],
            self.paths["folder"] / "inner",
            Path("/tmp/hunt-canary"),
            home / ".ssh",
        ]
        self.listeners: dict[str, socket.socket] = {}
        self.memory = ctypes.create_string_buffer(secret.encode())
        for number in set(range(1, 65)) - {9, 19, 32, 33}:
            with suppress(OSError, ValueError):
                signal.signal(number, self._signalled)
        self._listen(home)
        self.shared = Shared(secret)
        self.master, self.slave = pty.openpty()
        self.notify = canaries.watch(self.directories)

    def _signalled(self, number: int, _: object) -> None:
        self.signals.append(number)

    def _listen(self, home: Path) -> None:
        for name, family, kind, address in (
            ("service", socket.AF_UNIX, socket.SOCK_STREAM, str(home / "canary/socket")),
            ("datagrams", socket.AF_UNIX, socket.SOCK_DGRAM, str(home / "canary/datagrams")),
            ("abstract", socket.AF_UNIX, socket.SOCK_STREAM, "\0hunt-canary"),
            ("tcp", socket.AF_INET, socket.SOCK_STREAM, ("127.0.0.1", 0)),
            ("udp", socket.AF_INET, socket.SOCK_DGRAM, ("127.0.0.1", 0)),
        ):
            listener = socket.socket(family, kind)
            listener.bind(address)
            if kind == socket.SOCK_STREAM:
                listener.listen(512)
            listener.setblocking(False)
            self.listeners[name] = listener

    def facts(self) -> dict[str, Any]:
        port = self.listeners["tcp"].getsockname()[1]
        return {
            "paths": {name: str(path) for name, path in self.paths.items()}
            | {
                "socket": str(self.paths["folder"] / "socket"),
                "terminal": os.ttyname(self.slave),
                "memory": f"/proc/{os.getpid()}/mem",
                "environ": f"/proc/{os.getpid()}/environ",
            },
            "pid": os.getpid(),
            "ids": self.shared.ids() | {"address": ctypes.addressof(self.memory)},
            "ports": {"closed": port},
            "abstract": "hunt-canary",
        }

    def look(self) -> dict[str, Any]:
        """Look at everything, and take out what arrived, so that the next look begins anew."""
        happened = canaries.events(self.notify, [str(each) for each in self.directories])
        folders = {str(each): canaries.opened_again(each) for each in self.directories}
        state = {
            "folders": folders,
            "files": {name: canaries.state_of(path) for name, path in self.paths.items()},
            "names": {str(each): canaries.names_in(each) for each in self.directories},
            "events": happened,
            "signals": sorted(self._taken()),
            "sockets": self._arrivals(),
            **self.shared.look(),
            "terminal": self._terminal_state(),
            "self": {"umask": _status("Umask"), "limits": Path("/proc/self/limits").read_text()},
        }
        state_files = (*self.state, self.home / "profile.json")
        canaries.mend((self.home, *state_files, *self.directories, *self.paths.values()))
        return state

    def _taken(self) -> list[int]:
        taken, self.signals = self.signals, []
        return taken

    def _arrivals(self) -> dict[str, int]:
        found: dict[str, int] = {}
        for name, listener in self.listeners.items():
            with suppress(BlockingIOError):
                while True:
                    if listener.type == socket.SOCK_DGRAM:
                        listener.recv(65536)
                    else:
                        listener.accept()[0].close()
                    found[name] = found.get(name, 0) + 1
        return found

    def _terminal_state(self) -> dict[str, object]:
        written = b""
        if select.select([self.master], [], [], 0)[0]:
            written = os.read(self.master, 4096)
        typed = b"" if not select.select([self.slave], [], [], 0)[0] else os.read(self.slave, 4096)
        modes = termios.tcgetattr(self.slave)
        return {
            "written": written.hex(),
            "typed": typed.hex(),
            "modes": repr(modes),
            "size": repr(termios.tcgetwinsize(self.slave)),
        }


def _status(name: str) -> str:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(name):
            return line
    return ""


def main(home: str, secret: str) -> None:
    neighbour = Neighbour(Path(home), secret)
    print(json.dumps(neighbour.facts()), flush=True)
    neighbour.look()
    for _ in sys.stdin:
        print(json.dumps(neighbour.look()), flush=True)
    neighbour.shared.end()


if __name__ == "__main__":
    main(sys.argv[1], os.environ["HUNT_SECRET"])
