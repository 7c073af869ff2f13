"""--memory and --max-processes: what runs into them, and that nothing gets out from under them.

They need a cgroup v2 that is delegated to whoever runs the tests: guests have one (guest/init.py), as has a
login to a desktop with systemd. Elsewhere that they are refused is what can be shown.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from nono.supervisor.limits import cgroup, placement
from nono.supervisor.limits.placement import Place, Unavailable
from support.nono_run import NO_NAMESPACES, NONO, SANDBOX_POLICIES, Ended, NonoRun, program
from support.running.pace import PACE

LIMIT_S = 60 * PACE
PROMISED = "NONO_TEST_CGROUPS"  # set where limits must be to be had
OPEN: dict[str, object] = {}
POLICIES = pytest.mark.parametrize("policy", SANDBOX_POLICIES)
# sh -c ENTER sh CGROUP COMMAND...: the command alone in a new cgroup.
ENTER = 'mkdir "$1" && echo $$ >"$1/cgroup.procs" && shift && exec "$@"'
ESCAPES = (
    *("born elsewhere", "raise memory", "raise processes", "make a cgroup", "remove one", "mount cgroups"),
    "move",
)


def found() -> Place | Unavailable:
    return placement.choose(cgroup.look((os.getpid(),)), {"memory", "pids"})


@pytest.fixture
def parent() -> Path:
    """Return the cgroup in which runs create theirs. What a test puts there is removed at its end."""
    place = found()
    if isinstance(place, Unavailable):
        assert PROMISED not in os.environ, place
        pytest.skip(f"no cgroups here: {place.cause}")
    return Path(place.parent)


def left_behind(parent: Path) -> list[str]:
    return [path.name for path in parent.iterdir() if path.name.startswith("nono.")]


@contextmanager
def made(path: Path) -> Iterator[Path]:
    path.mkdir()
    try:
        yield path
    finally:
        path.rmdir()


def limits_recorded(run: Ended) -> list[tuple[str, int]]:
    return [(event["limit"], event["times"]) for event in run.events if event["type"] == "limit_reached"]


@POLICIES
def test_a_command_that_takes_more_memory_than_it_may_is_killed(
    policy: str, sandbox: NonoRun, parent: Path
) -> None:
    flags = (f"--sandbox-policy={policy}", "--memory=64M")
    run = sandbox.run(program("processes.limits", "memory", 256), flags=flags)
    assert (run.exit_code, run.stdout) == (137, "")
    assert "    resources memory=64 MiB\n" in run.stderr
    told = run.stderr.partition("[nono] memory limit exceeded")[2]
    told = told.partition("\n\n")[0]  # a run that took long has a report below
    rows = [line.split()[0] for line in told.splitlines()[1:]]
    assert rows == [row for row in ("limit", "peak", "OOM", "swap", "scope", "hint") if row in rows]
    assert "--memory 128M" in told
    assert {"type": "resource_limits", "memory_bytes": 64 << 20, "max_processes": None} in run.events
    ((limit, times),) = limits_recorded(run)
    assert limit == "memory"
    assert times >= 1
    assert left_behind(parent) == []


def test_memory_below_the_limit_is_had(sandbox: NonoRun, parent: Path) -> None:
    run = sandbox.run(program("processes.limits", "memory", 64), profile=OPEN, flags=("--memory=256MiB",))
    assert (run.exit_code, run.stdout) == (0, "64\n")
    assert "limit exceeded" not in run.stderr
    assert limits_recorded(run) == []
    assert left_behind(parent) == []


@pytest.mark.parametrize("kind", ["processes", "threads"])
def test_one_process_or_thread_more_than_there_may_be_is_not_started(
    kind: str, sandbox: NonoRun, parent: Path
) -> None:
    refused = sandbox.run(program("processes.limits", kind, 5), profile=OPEN, flags=("--max-processes=5",))
    assert (refused.exit_code, refused.stdout) == (3, "4\n")
    assert "    resources processes=5 (threads count as well)\n" in refused.stderr
    told = refused.stderr.partition("[nono] process limit hit")[2]
    assert "limit        5 processes and threads" in told
    assert "--max-processes 10" in told
    assert limits_recorded(refused) == [("processes", 1)]
    allowed = sandbox.run(program("processes.limits", kind, 4), profile=OPEN, flags=("--max-processes=5",))
    assert (allowed.exit_code, allowed.stdout) == (0, "4\n")
    assert "process limit" not in allowed.stderr
    assert limits_recorded(allowed) == []
    assert left_behind(parent) == []


def test_what_nono_itself_starts_does_not_count(sandbox: NonoRun, parent: Path) -> None:
    """A process that keeps masks, one that makes sockets, and the command, which is one."""
    secret = sandbox.project / "secret"
    secret.write_text("secret")
    sandbox.give(secret)
    profile = {"network": {"allow_domain": []}, "filesystem": {"deny": [str(secret)]}}
    flags = ("--max-processes=1", "--memory=64M", "--sandbox-policy=netns", "--listen-port=47113")
    run = sandbox.run(["cat", str(secret)], profile=profile, flags=flags)
    assert (run.exit_code, run.stdout) == (0, "")  # what is masked is empty
    assert str(secret) in [event["path"] for event in run.events if event["type"] == "masked"]
    assert limits_recorded(run) == []
    assert left_behind(parent) == []
    secret.unlink()


@pytest.mark.parametrize("flags", [(), ("--no-diagnostics",), ("--silent",)], ids=" ".join)
def test_why_it_ended_is_said_unless_that_is_unwanted(
    flags: tuple[str, ...], sandbox: NonoRun, parent: Path
) -> None:
    run = sandbox.run(
        program("processes.limits", "processes", 5), profile=OPEN, flags=(*flags, "--max-processes=5")
    )
    assert run.exit_code == 3
    assert "NONO DIAGNOSTIC" not in run.stderr
    assert ("process limit hit" in run.stderr) == (flags == ())
    assert limits_recorded(run) == [("processes", 1)]


@POLICIES
def test_nothing_gets_out_from_under_its_limits(policy: str, sandbox: NonoRun, parent: Path) -> None:
    flags = (f"--sandbox-policy={policy}", "--memory=64M", "--max-processes=20", "--read=/sys/fs/cgroup")
    command = program("processes.limits", "escape", str(parent))
    with made(parent / "elsewhere"), made(parent / "empty"):
        run = sandbox.run(own_cgroup(command), flags=flags)
        outcomes = run.outcomes()
        assert (parent / "empty").exists()
    assert outcomes.pop("born elsewhere") == "ENOSYS"
    assert outcomes.pop("mount cgroups") == "EPERM"
    assert set(outcomes.values()) == {"EACCES"}
    assert left_behind(parent) == []


def own_cgroup(command: Sequence[str]) -> list[str]:
    """Return the command with one more argument: the directory of its cgroup."""
    script = 'read line </proc/self/cgroup; exec "$@" "/sys/fs/cgroup${line#0::}"'
    return ["sh", "-c", script, "sh", *command]


def test_all_of_that_succeeds_without_nono(sandbox: NonoRun, parent: Path) -> None:
    """Or nothing would be shown by its failing."""
    alone = parent / "alone"
    command = own_cgroup(program("processes.limits", "escape", str(parent)))
    with made(parent / "elsewhere"):
        (parent / "empty").mkdir()
        run = sandbox.bare(["sh", "-c", ENTER, "sh", str(alone), *command])
        (alone / "below").rmdir()
        alone.rmdir()
    assert run.outcomes() == dict.fromkeys(ESCAPES, "ok")


def test_a_fork_bomb_is_gone_with_its_run(sandbox: NonoRun, parent: Path) -> None:
    with sandbox.started(program("processes.limits", "bomb"), flags=("--max-processes=40",)) as nono:
        assert nono.stdout is not None
        assert nono.stdout.readline() == "lit\n"
        (own,) = [parent / name for name in left_behind(parent)]
        wait_until(lambda: len((own / "cgroup.procs").read_text().split()) == 40)
        nono.terminate()
        assert nono.wait(LIMIT_S) == 128 + signal.SIGTERM
    assert left_behind(parent) == []


def test_limits_outlast_a_killed_supervisor(sandbox: NonoRun, parent: Path) -> None:
    """Without namespaces, what the command has let go of before runs on, under its limits."""
    go = sandbox.project / "go"
    os.mkfifo(go)
    sandbox.give(go)
    flags = (NO_NAMESPACES, "--memory=64M", "--max-processes=9")
    with sandbox.started(program("processes.limits", "daemon"), flags=flags) as nono:
        assert nono.stdout is not None
        command = int(nono.stdout.readline())
        (own,) = [parent / name for name in left_behind(parent)]
        assert own.name == f"nono.{nono.pid}"
        nono.kill()
        assert nono.stdout.read() == ""  # the command, which held the other end, is gone as well
        nono.wait(LIMIT_S)
    wait_until(lambda: len((own / "cgroup.procs").read_text().split()) == 1)
    assert (own / "cgroup.procs").read_text().split() != [str(command)]
    assert ((own / "memory.max").read_text(), (own / "pids.max").read_text()) == (f"{64 << 20}\n", "9\n")
    assert sandbox.run(["true"], profile=OPEN, flags=("--memory=64M",)).exit_code == 0
    assert left_behind(parent) == [own.name]
    go.write_text("go")
    go.unlink()
    wait_until(lambda: (own / "cgroup.procs").read_text() == "")
    assert sandbox.run(["true"], profile=OPEN, flags=("--memory=64M",)).exit_code == 0
    assert left_behind(parent) == []


def wait_until(holds: Callable[[], bool]) -> None:
    ends = time.monotonic() + LIMIT_S
    while not holds():
        assert time.monotonic() < ends
        time.sleep(0.01)


def test_alone_in_its_cgroup_nono_makes_room_only_for_the_run(sandbox: NonoRun, parent: Path) -> None:
    alone = parent / "alone"
    stage = ("sh", "-c", ENTER, "sh", str(alone))
    flags = ("--memory=64M", "--max-processes=9")
    command = ["sh", "-c", "cat /proc/self/cgroup /proc/$PPID/cgroup"]
    # Without namespaces, so that $PPID is nono.
    run = sandbox.run(command, profile=OPEN, flags=(*flags, NO_NAMESPACES, "--read=/proc"), wrapper=stage)
    below = str(alone).removeprefix("/sys/fs/cgroup")
    lines = run.stdout.splitlines()
    assert [line.rpartition("/")[0] for line in lines] == [f"0::{below}"] * 2
    assert lines[1] == f"{lines[0]}.supervisor"
    assert sorted(path.name for path in alone.iterdir() if path.is_dir()) == []
    assert (alone / "cgroup.subtree_control").read_text().strip() == ""
    alone.rmdir()


@pytest.mark.parametrize("flag", ["--allow", "--write"])
def test_a_grant_to_write_cgroups_is_refused_beside_limits(flag: str, sandbox: NonoRun, parent: Path) -> None:
    for path in (parent, "/sys"):
        refused = sandbox.run(["echo", "started"], profile=OPEN, flags=("--memory=64M", f"{flag}={path}"))
        assert (refused.exit_code, refused.stdout) == (1, "")
        assert f"Sandbox initialization failed: the grant to write '{path}'" in refused.stderr
    allowed = sandbox.run(["echo", "started"], profile=OPEN, flags=("--memory=64M", f"--read={parent}"))
    assert (allowed.exit_code, allowed.stdout) == (0, "started\n")


def test_nobody_is_asked_to_let_it_write_cgroups(sandbox: NonoRun, parent: Path) -> None:
    flags = ("--memory=64M", "--capability-elevation")
    for name in ("cgroup.procs", "memory.max"):
        run = sandbox.run(["sh", "-c", 'echo 1 >"$1"', "sh", str(parent / name)], profile=OPEN, flags=flags)
        assert run.exit_code != 0
        entries = [event["entry"] for event in run.events if event["type"] == "capability_decision"]
        reasons = [entry["decision"] for entry in entries]
        assert {"Denied": {"reason": "the limits of this run are held there"}} in reasons
        assert "Requested" not in reasons


def test_what_is_possible_is_foretold(sandbox: NonoRun, parent: Path) -> None:
    setup = sandbox.bare([*NONO, "setup", "--check-only"])
    for flag in ("--memory", "--max-processes"):
        assert f"  * Limits, {flag}: available (cgroup v2, {parent})\n" in setup.stdout
    dry = sandbox.run(["echo", "started"], profile=OPEN, flags=("--memory=64M", "--dry-run"))
    assert (dry.exit_code, dry.stdout) == (0, "")
    assert "    resources memory=64 MiB\n" in dry.stderr
    assert left_behind(parent) == []


def test_where_there_is_no_cgroup_to_be_had_nothing_starts(sandbox: NonoRun) -> None:
    place = found()
    if not isinstance(place, Unavailable):
        pytest.skip("limits can be had here")
    for flags in (("--memory=64M",), ("--max-processes=9",), ("--memory=64M", "--dry-run")):
        refused = sandbox.run(["echo", "started"], profile=OPEN, flags=flags)
        assert (refused.exit_code, refused.stdout) == (1, "")
        assert "need a cgroup v2" in refused.stderr
        assert "\nhint: " in refused.stderr
    assert sandbox.run(["echo", "started"], profile=OPEN).stdout == "started\n"
    setup = sandbox.bare([*NONO, "setup", "--check-only"])
    for flag in ("--memory", "--max-processes"):
        line, hint = setup.stdout.partition(f"  * Limits, {flag}: unavailable, ")[2].splitlines()[:2]
        assert line
        assert hint == f"  *   hint: {place.remedy}"
