"""Start a run as a person would, on its own terminal, and look at its supervisor until it ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress

from confined.hosts import CONFINED
from hunt.outside import victim
from hunt.outside.caller import Caller, calling
from hunt.outside.place import Place
from hunt.outside.sights import differences
from hunt.ways import Way
from support.running.fork_server import TAKE_TERMINAL
from support.running.pace import PACE
from support.terminal import session_leaders

RUN_S = 60.0 * PACE
PROGRAM = b"hunt.inside.runner"
STAGE = CONFINED.encode()  # what comes before nono on another host
LOOK_EVERY_S = 0.05
SHOWN_BYTES = 200  # of the terminal of a run that does not end: it may have asked something


@contextmanager
def started(place: Place, way: Way, argv: Sequence[str]) -> Iterator[tuple[subprocess.Popen[bytes], Caller]]:
    """Yield the run and what its caller has of it."""
    with calling(place.sandbox.user.uid, way.stdin, way.output) as caller:
        takes_terminal = way.stdin == "terminal"
        process = subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", TAKE_TERMINAL, *argv] if takes_terminal else list(argv),
            env=place.sandbox.user.environment(),
            cwd=place.sandbox.project,
            stdin=caller.streams["stdin"],
            stdout=caller.streams["stdout"],
            stderr=caller.streams["stderr"],
            start_new_session=True,
        )
        try:
            yield process, caller
        finally:
            leaders = session_leaders(process.pid)
            process.kill()
            process.wait()
            for leader in leaders:
                with suppress(ProcessLookupError):
                    os.kill(leader, signal.SIGKILL)


def watch(process: subprocess.Popen[bytes], port: int | None, caller: Caller, uid: int) -> list[str]:
    """Look at the supervisor until it ends; what was wrong with it."""
    complaints: dict[str, None] = {}
    deadline, first, asked = time.monotonic() + RUN_S, dict[str, str](), 0.0
    while process.poll() is None:
        caller.drain()
        now = victim.scheduling(process.pid)
        if now["state"] == "stopped":
            complaints["supervisor/state: alive -> stopped"] = None
            os.kill(process.pid, signal.SIGCONT)
        victim.go_on(PROGRAM)
        complaints.update(dict.fromkeys(victim.too_heavy(victim.weight(process.pid))))
        if time.monotonic() > deadline:
            shown = bytes(caller.shown[-SHOWN_BYTES:])
            complaints[f"supervisor/end: within {RUN_S:.0f} s -> never, {victim.waits()}; {shown!r}"] = None
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
