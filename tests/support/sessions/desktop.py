"""Run a private session bus with a desktop on it that records the notifications it is asked to show."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

NAME = "org.freedesktop.Notifications"
WAIT_S = 20.0


class Desktop:
    def __init__(self, address: str, notes: Path) -> None:
        self.address = address
        self._notes = notes

    def shown(self) -> list[dict[str, Any]]:
        """Return each call so far."""
        return [json.loads(line) for line in self._notes.read_text().splitlines()]

    def wait(self, count: int) -> list[dict[str, Any]]:
        """Wait for that many calls."""
        deadline = time.monotonic() + WAIT_S
        while len(shown := self.shown()) < count:
            assert time.monotonic() < deadline, "the desktop was told nothing"
            time.sleep(0.01)
        return shown


@contextmanager
def desktop(folder: Path, *, is_mute: bool = False) -> Iterator[Desktop]:
    """Start both. They end with the block.

    folder: For the socket, which only this user may connect to.
    is_mute: The desktop takes calls and never answers.
    """
    if shutil.which("dbus-daemon") is None:
        pytest.skip("there is no dbus-daemon here")
    address, notes = f"unix:path={folder}/bus", folder / "notes"
    daemon = ["dbus-daemon", "--session", "--nofork", f"--address={address}", "--print-address=1"]
    server = [sys.executable, __file__, address, str(notes), "mute" if is_mute else ""]
    with _started(daemon), _started(server):
        yield Desktop(address, notes)


@contextmanager
def _started(argv: Sequence[str]) -> Iterator[None]:
    with subprocess.Popen(
        argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env={"PATH": "/usr/bin:/bin"}
    ) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline(), f"{argv[0]} has not started"
            yield
        finally:
            process.terminate()


def _serve(address: str, notes: str, is_mute: bool) -> None:
    from jeepney import MessageType, message_bus, new_method_return
    from jeepney.io.blocking import open_dbus_connection

    with open_dbus_connection(address) as bus, open(notes, "a", encoding="utf-8") as file:
        bus.send_and_get_reply(message_bus.RequestName(NAME))
        print("ready", flush=True)
        while True:
            message = bus.receive()
            if message.header.message_type is not MessageType.method_call:
                continue
            _, replaces, _, title, body, actions, _, _ = message.body
            noted = {"title": title, "body": body, "actions": actions, "replaces": replaces}
            print(json.dumps(noted), file=file, flush=True)
            if not is_mute:
                bus.send(new_method_return(message, "u", (1,)))


if __name__ == "__main__":
    _serve(sys.argv[1], sys.argv[2], sys.argv[3] == "mute")
