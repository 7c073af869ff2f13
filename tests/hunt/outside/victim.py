"""Look from outside at processes, and at what a run leaves behind."""

from __future__ import annotations

import os
import signal
import socket
import time
from collections.abc import Collection, Sequence
from contextlib import suppress
from pathlib import Path

from support.running.pace import PACE

RSS_KIB_MAX = 400 * 1024
DESCRIPTORS_MAX = 600
PF_EXITING = 0x4  # include/linux/sched.h
ENDING_EVERY_S = 0.005
NOBODY = "nobody.example"  # asked for without the token, as anybody on the machine may
PATIENCE_S = 5.0 * PACE  # for an answer; a second, on a machine that does nothing else
# What a run may leave in a home: its project, the neighbour's own, what nono records.
OWN_PARTS = ("project", "canary", "profile.json")
OWN_STATE = tuple(f".local/state/nono/{name}" for name in ("asking", "audit", "profiles/", "sessions/"))
STATUS = ("TracerPid", "Uid", "Gid", "Groups", "NoNewPrivs", "Cpus_allowed")


def scheduling(pid: int) -> dict[str, str]:
    """Return how the kernel treats a process, and whether it lives. None of this changes by itself."""
    try:
        fields = _fields(Path(f"/proc/{pid}"))
        status = dict(
            line.split(":\t", 1)
            for line in Path(f"/proc/{pid}/status").read_text().splitlines()
            if ":\t" in line
        )
        found = {
            "state": "stopped" if fields[0] in "tT" else "ended" if _has_ended(fields) else "alive",
            "group": " ".join(fields[2:4]),
            "nice": fields[16],
            "policy": f"{fields[38]} {fields[37]}",
            "oom": Path(f"/proc/{pid}/oom_score_adj").read_text(),
        }
        return found | {name: status.get(name, "") for name in STATUS}
    except (OSError, ValueError):
        return {"state": "ended"}


def words_of(pid: int) -> bytes:
    with suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    return b""


def weight(pid: int) -> dict[str, int]:
    """Return the resident KiB and descriptors of a process; empty once it has ended."""
    with suppress(OSError, ValueError, IndexError):
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
        return {
            "rss_kib": pages * os.sysconf("SC_PAGE_SIZE") // 1024,
            "descriptors": len(os.listdir(f"/proc/{pid}/fd")),
        }
    return {}


def too_heavy(found: dict[str, int]) -> list[str]:
    limits = {"rss_kib": RSS_KIB_MAX, "descriptors": DESCRIPTORS_MAX}
    return [
        f"supervisor/{name}: at most {limits[name]} -> {value}"
        for name, value in found.items()
        if value > limits[name]
    ]


def go_on(word: bytes) -> None:
    """Continue processes that have a word of this kind and stopped themselves, as a person would with fg."""
    for entry in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            stopped = (entry / "stat").read_text().rsplit(")", 1)[1].split()[0] == "T"
            if stopped and word in (entry / "cmdline").read_bytes():
                os.kill(int(entry.name), signal.SIGCONT)


def answer_s(port: int) -> float | None:
    """Measure how long the proxy takes to refuse a request; None if nobody listens."""
    begun = time.monotonic()
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_S) as client:
            client.sendall(f"GET http://{NOBODY}/ HTTP/1.1\r\nHost: {NOBODY}\r\n\r\n".encode())
            client.recv(1)
    except TimeoutError:
        return PATIENCE_S
    except OSError:
        return None
    return time.monotonic() - begun


def waits() -> str:
    """List for each process here: number, parent, name, state and the place in the kernel where it waits."""
    found = []
    for entry in sorted(Path("/proc").glob("[0-9]*"), key=lambda entry: int(entry.name)):
        with suppress(OSError):
            fields, name = _fields(entry), (entry / "comm").read_text().strip()
            place = (entry / "wchan").read_text()
            found.append(f"{entry.name} below {fields[1]} {name} {fields[0]} {place}")
    return "; ".join(found)


def left_processes(known: Collection[int]) -> dict[str, str]:
    """List the processes of this machine that are not known; the driver is its process 1.

    A process that the kernel is dismantling has PATIENCE_S to be gone: only its parent can wait for it.
    """
    deadline = time.monotonic() + PATIENCE_S
    while True:
        found, is_any_ending = {}, False
        for entry in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):
                fields = _fields(entry)
                if int(entry.name) in known or _has_ended(fields):
                    continue
                is_any_ending |= _is_ending(entry)
                words = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode("utf-8", "replace")
                found[entry.name] = f"{(entry / 'comm').read_text().strip()} {words[:60]}"
        if not is_any_ending or time.monotonic() > deadline:
            return found
        time.sleep(ENDING_EVERY_S)


def _fields(entry: Path) -> list[str]:
    """Read the fields of proc_pid_stat(5), from the third on."""
    return (entry / "stat").read_text().rsplit(")", 1)[1].split()


def _has_ended(fields: Sequence[str]) -> bool:
    """Check whether no thread is left but the first, which waits for the others and then to be reaped."""
    return fields[0] in "ZX" and int(fields[20 - 3]) <= 1


def _is_ending(entry: Path) -> bool:
    """Check whether the kernel dismantles a thread of a process; the others may follow."""
    return any(int(_fields(task)[9 - 3]) & PF_EXITING for task in (entry / "task").iterdir())


def left_files(home: Path) -> dict[str, list[str]]:
    """List the names in shared directories, and everything in a home but the project and the audit log."""
    places = {str(each): sorted(os.listdir(each)) for each in map(Path, ("/tmp", "/var/tmp", "/dev/shm"))}
    kept = [
        str(path.relative_to(home))
        for path in sorted(home.rglob("*"))
        if path.relative_to(home).parts[0] not in OWN_PARTS
        and not str(path.relative_to(home)).startswith(OWN_STATE)
    ]
    return {**places, "home": kept}


def mounts() -> list[str]:
    return Path("/proc/self/mountinfo").read_text().splitlines()


def listeners() -> list[str]:
    """List the listening sockets of this network, and Unix sockets that have a name."""
    found = []
    for file in ("tcp", "tcp6"):
        with suppress(OSError):
            lines = [line.split() for line in Path(f"/proc/net/{file}").read_text().splitlines()[1:]]
            found += [f"{file} {words[1]}" for words in lines if words[3] == "0A"]
    names = [
        line.split()[7] for line in Path("/proc/net/unix").read_text().splitlines() if len(line.split()) > 7
    ]
    return sorted([*found, *names])
