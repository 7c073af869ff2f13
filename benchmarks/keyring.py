"""A system keyring with one key: gnome-keyring on a message bus of its own."""

from __future__ import annotations

import select
import shutil
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from jeepney.bus_messages import message_bus
from jeepney.io.blocking import Proxy, open_dbus_connection

from benchmarks.samples import Absent
from benchmarks.stage import KEY

SERVICE = "anthropic"  # the stage has no key for it elsewhere
PROGRAMS = ("dbus-daemon", "gnome-keyring-daemon", "secret-tool")
START_S = 10.0


@contextmanager
def keyring(environ: Mapping[str, str], folder: Path) -> Iterator[Mapping[str, str] | Absent]:
    """Yield the environment of a user with an unlocked keyring, which is gone when the block is left."""
    missing = [program for program in PROGRAMS if shutil.which(program) is None]
    if missing:
        yield Absent(f"not installed: {', '.join(missing)}")
        return
    place = folder / "runtime"
    place.mkdir(mode=0o700, exist_ok=True)
    within = {**environ, "XDG_RUNTIME_DIR": str(place)}
    bus = subprocess.Popen(
        ["dbus-daemon", "--session", "--nofork", "--print-address"],
        env=within,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    with bus:
        assert bus.stdout is not None
        try:
            if not select.select([bus.stdout], [], [], START_S)[0]:
                yield Absent("dbus-daemon does not start")
                return
            within["DBUS_SESSION_BUS_ADDRESS"] = bus.stdout.readline().strip()
            yield from _unlocked(within)
        finally:
            bus.terminate()


def _unlocked(environ: Mapping[str, str]) -> Iterator[Mapping[str, str] | Absent]:
    argv = ["gnome-keyring-daemon", "--foreground", "--unlock", "--components=secrets"]
    with subprocess.Popen(
        argv, env=environ, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as daemon:
        assert daemon.stdin is not None
        try:
            daemon.stdin.write(b"a password of the benchmark")
            daemon.stdin.close()
            if not _has_owner(environ["DBUS_SESSION_BUS_ADDRESS"]):
                yield Absent("gnome-keyring-daemon does not start")
                return
            label = ["secret-tool", "store", "--label=nono", "service", "nono", "username", SERVICE]
            subprocess.run(
                label, env=environ, input=KEY.encode(), check=True, timeout=START_S, capture_output=True
            )
            yield environ
        finally:
            daemon.terminate()


def _has_owner(address: str) -> bool:
    """Wait for the daemon to be on the bus: asking sooner would start another. Returns False if late."""
    deadline = time.monotonic() + START_S
    with open_dbus_connection(bus=address) as connection:
        while time.monotonic() < deadline:
            if Proxy(message_bus, connection).NameHasOwner("org.freedesktop.secrets")[0]:
                return True
            time.sleep(0.02)
    return False
