"""How long it takes until `true` has run and ended, under nono and under each peer."""

from __future__ import annotations

import os
import pty
from collections.abc import Mapping

from benchmarks.budget import Budget, Figure, Row, at_most
from benchmarks.commands import Round, check, in_turn, seconds_to_exit
from benchmarks.keyring import SERVICE, keyring
from benchmarks.machine import PROGRAMS
from benchmarks.peers import Peer, Peers
from benchmarks.samples import Absent, CannotRunError, Measured, Samples
from benchmarks.settings import Settings
from benchmarks.stage import BUILT_IN_SERVICE, NONO, Stage, base_environ

TRUE = "/bin/true"
WRAP, RUN, CREDENTIAL = "nono wrap", "nono run", "nono run --credential"
NETNS = f"{CREDENTIAL} --sandbox-policy netns"
OFF = f"{RUN} --namespaces off"
NAMESPACES_MS = at_most(6.0, Figure.ADDED)
IN_KEYRING = f"{CREDENTIAL}, key in the keyring"
TERMINAL = f"{RUN} on a terminal"
TERMINAL_MS = at_most(5.0, Figure.ADDED)


def start_rows(stage: Stage, peers: Peers, settings: Settings) -> list[Row]:
    environ = base_environ(stage.folder)
    environ["PATH"] = _search_path(environ, peers)
    commands: dict[str, list[str] | Absent] = {
        "bare": [],
        WRAP: [NONO, "wrap", "--"],
        RUN: [NONO, "run", "--"],
        OFF: [NONO, "run", "--namespaces", "off", "--"],
        CREDENTIAL: [NONO, "run", "--credential", BUILT_IN_SERVICE, "--"],
        NETNS: [NONO, "run", "--credential", BUILT_IN_SERVICE, "--sandbox-policy", "netns", "--"],
        "bwrap": _command(peers.bwrap),
        "codex": _command(peers.codex),
        "nono-py": _command(peers.nono_py, str(PROGRAMS / "nono_py_exec.py")),
        "sandlock": _command(peers.sandlock, str(PROGRAMS / "sandlock_run.py")),
        "srt": _command(peers.srt),
    }
    rounds = {name: _round(argv, environ) for name, argv in commands.items()}
    master, slave = pty.openpty()
    try:
        rounds[TERMINAL] = _round([NONO, "--silent", "run", "--"], environ, os.ttyname(slave))
        with keyring(environ, stage.folder) as unlocked:
            asks = [NONO, "--silent", "run", "--credential", SERVICE, "--"]
            rounds[IN_KEYRING] = _round(
                unlocked if isinstance(unlocked, Absent) else asks,
                environ if isinstance(unlocked, Absent) else unlocked,
            )
            took = in_turn(settings.start_rounds, rounds)
    finally:
        os.close(master)
        os.close(slave)
    ms = {
        name: value.map(lambda s: s * 1e3) if isinstance(value, Samples) else value
        for name, value in took.items()
    }
    return _rows(ms)


def _rows(ms: Mapping[str, Measured]) -> list[Row]:
    def row(ours: str, other: str, what: str = "", budget: Budget | None = None) -> Row:
        return Row(f"`{ours} -- true`", "ms", ms[ours], what or other, ms[other], budget)

    return [
        row(WRAP, "bare"),
        row(WRAP, "bwrap"),
        row(WRAP, "codex", "codex sandbox, native binary", at_most(1.0)),
        row(WRAP, "nono-py", "nono-py, apply + exec", at_most(0.25)),
        row(RUN, "sandlock", budget=at_most(1.0)),
        row(CREDENTIAL, "srt", budget=at_most(0.35)),
        Row(
            "`nono run --credential … -- true`, key in the keyring",
            "ms",
            ms[IN_KEYRING],
            "in nono's store",
            ms[CREDENTIAL],
        ),
        row(NETNS, CREDENTIAL),
        row(RUN, OFF, budget=NAMESPACES_MS),
        Row("`nono run -- true` on a terminal", "ms", ms[TERMINAL], "without one", ms[RUN], TERMINAL_MS),
    ]


def _command(peer: Peer | Absent, *script: str) -> list[str] | Absent:
    return peer if isinstance(peer, Absent) else [*peer.command, *script]


def _round(prefix: list[str] | Absent, environ: Mapping[str, str], terminal: str | None = None) -> Round:
    """Check the command before its first round, so that the table can say what is wrong with it."""
    checked = False

    def measure() -> float:
        nonlocal checked
        if isinstance(prefix, Absent):
            raise CannotRunError(prefix.reason)
        if not checked:
            check([*prefix, TRUE], environ)
            checked = True
        return seconds_to_exit([*prefix, TRUE], environ, terminal)

    return measure


def _search_path(environ: Mapping[str, str], peers: Peers) -> str:
    folders = [environ.get("PATH", "/usr/bin:/bin")]
    for peer in (peers.codex, peers.srt):
        if isinstance(peer, Peer) and peer.tools is not None:
            folders.append(str(peer.tools))
    return ":".join(folders)
