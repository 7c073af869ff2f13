"""Starts a run as a person would, on a terminal of its own, and looks at its supervisor until it ends."""

from __future__ import annotations

import os
import pty
import select
import subprocess
import sys
import termios
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from confined.hosts import CONFINED
from hunt.outside import victim
from hunt.outside.place import Place
from hunt.outside.sights import differences
from hunt.ways import Way
from support.running.fork_server import TAKE_TERMINAL
from support.running.pace import PACE

RUN_S = 40.0 * PACE
PROGRAM = b"hunt.inside.runner"
STAGE = CONFINED.encode()  # what comes before nono on another host
LOOK_EVERY_S = 0.05
ANSWER_AGAIN_S = 5.0
QUESTION = b"[Enter] skip: "  # of the offer to save what was denied


@dataclass
class Terminal:
    """The user's own: what it showed is taken out, or whoever writes to it would wait."""

    master: int
    slave: int
    shown: bytes = b""
    answered: float = 0.0

    def drain(self) -> None:
        while select.select([self.master], [], [], 0)[0]:
            self.shown = (self.shown + os.read(self.master, 65536))[-2000:]
        # Again only if it was thrown away with what was typed before: a second answer would be left over.
        if QUESTION in self.shown[-200:] and time.monotonic() - self.answered > ANSWER_AGAIN_S:
            os.write(self.master, b"\r")
            self.answered = time.monotonic()


@contextmanager
def started(
    place: Place, way: Way, argv: Sequence[str]
) -> Iterator[tuple[subprocess.Popen[bytes], Terminal, str]]:
    """The run, the user's end of its terminal, and the beginning of the names of its output's files."""
    master, slave = pty.openpty()
    os.fchown(slave, place.sandbox.user.uid, -1)
    output = f"/tmp/hunt-output-{os.getpid()}"
    command = (
        [sys.executable, "-I", "-S", "-c", TAKE_TERMINAL, *argv] if way.stdin == "terminal" else list(argv)
    )
    try:
        with open(output + ".out", "ab") as out, open(output + ".err", "ab") as err:
            process = subprocess.Popen(
                command,
                env=place.sandbox.user.environment(),
                cwd=place.sandbox.project,
                stdin=slave if way.stdin == "terminal" else subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                start_new_session=True,
            )
        try:
            yield process, Terminal(master, slave), output
        finally:
            process.kill()
            process.wait()
    finally:
        os.close(slave)
        os.close(master)
        for end in (".out", ".err"):
            with suppress(OSError):
                os.unlink(output + end)


def watch(process: subprocess.Popen[bytes], port: int | None, terminal: Terminal, uid: int) -> list[str]:
    """Look at the supervisor until it ends; what was wrong with it."""
    complaints: dict[str, None] = {}
    deadline, first, asked = time.monotonic() + RUN_S, dict[str, str](), 0.0
    while process.poll() is None:
        terminal.drain()
        now = victim.scheduling(process.pid)
        if now["state"] == "stopped":
            complaints["supervisor/state: alive -> stopped"] = None
            os.kill(process.pid, 18)
        victim.go_on(PROGRAM)
        complaints.update(dict.fromkeys(victim.too_heavy(victim.weight(process.pid))))
        if time.monotonic() > deadline:
            complaints[f"supervisor/end: within {RUN_S:.0f} s -> never"] = None
            return list(complaints)
        if port is not None and time.monotonic() - asked > 0.5:
            took = victim.answer_s(port)
            asked = 0.0 if took is None else time.monotonic()  # it does not listen yet
            if took is not None and took >= victim.PATIENCE_S:
                complaints[f"supervisor/answer: within {victim.PATIENCE_S} s -> never"] = None
        if now["state"] == "alive" and first:
            complaints.update(dict.fromkeys(differences({"supervisor": first}, {"supervisor": now})))
        words = victim.words_of(process.pid)
        is_nono = now.get("Uid", "").split("\t")[0] == str(uid) and b"nono" in words and STAGE not in words
        first = first or (now if is_nono and now["state"] == "alive" else {})
        time.sleep(LOOK_EVERY_S)
    return list(complaints)


def terminal_complaints(slave: int) -> list[str]:
    """Of the user's own terminal after the run."""
    os.set_blocking(slave, False)
    with suppress(BlockingIOError, OSError):
        if typed := os.read(slave, 64):
            return [f"terminal/typed: nothing -> {typed!r}"]
    fresh_master, fresh = pty.openpty()
    try:
        old, new = termios.tcgetattr(fresh), termios.tcgetattr(slave)
    finally:
        os.close(fresh_master)
        os.close(fresh)
    return differences({"terminal": {"modes": repr(old)}}, {"terminal": {"modes": repr(new)}})
