"""K27: where namespaces can be had, processes, temporary files, terminals and IPC are the command's own."""

from __future__ import annotations

import os
import pty
import select
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from nono.kernel import landlock
from support import private_mounts
from support.kernelsim.kernel import Kernel
from support.nono_run import PROXY_ONLY, SANDBOX_POLICIES, NonoRun
from support.running.pace import PACE

OFF = "--namespaces=off"
NO_NAMESPACES = Kernel(no_userns=True).command([])
POLICIES = pytest.mark.parametrize("policy", SANDBOX_POLICIES)
HAS_SCOPES = landlock.abi_version() >= 6
CANARY = "canary of a file"
needs_user_namespaces = pytest.mark.parametrize("sandbox", ["user"], indirect=True)  # root needs none


@contextmanager
def sleeper(sandbox: NonoRun, *argv: str) -> Iterator[int]:
    """Yield a process of the user outside, with a secret in its environment."""
    process = subprocess.Popen(
        sandbox.user.command(argv or ("sleep", "600")), env={"CANARY": CANARY, "PATH": os.defpath}
    )
    try:
        yield process.pid
    finally:
        process.kill()
        process.wait()


@pytest.fixture
def shared(sandbox: NonoRun) -> Iterator[Path]:
    """Yield a directory of the user in /tmp."""
    directory = sandbox.give(Path(tempfile.mkdtemp(prefix="nono-namespaces-", dir="/tmp")))
    sandbox.give(directory / "file") if (directory / "file").write_text(CANARY) else None
    yield directory
    shutil.rmtree(directory)


def sh(script: str, *arguments: object) -> list[str]:
    return ["sh", "-c", script, "sh", *map(str, arguments)]


@pytest.mark.needs("namespaces")
@POLICIES
def test_a_process_outside_is_not_there(policy: str, sandbox: NonoRun) -> None:
    with sleeper(sandbox) as pid:
        look = sh('cat "/proc/$1/cmdline" "/proc/$1/environ" "/proc/$1/stat" || exit 3', pid)
        run = sandbox.run(look, flags=[f"--sandbox-policy={policy}"])
        bare = sandbox.bare(look)
    assert (run.exit_code, run.stdout) == (3, "")
    assert run.stderr.count("No such file") == 3
    assert CANARY in bare.stdout


def test_without_namespaces_a_process_outside_shows_no_more_than_its_command_line(sandbox: NonoRun) -> None:
    with sleeper(sandbox) as pid:
        script = 'cat "/proc/$1/cmdline"; cat "/proc/$1/environ" || ls -l "/proc/$1/cwd" "/proc/$1/fd/0"'
        run = sandbox.run(sh(script, pid), flags=[OFF])
    assert "sleep" in run.stdout
    assert CANARY not in run.stdout
    assert run.stderr.count("Permission denied") == 3
    assert any("shares processes" in event["what"] for event in run.events if event["type"] == "not_enforced")


@pytest.mark.needs("namespaces")
@POLICIES
def test_every_descendant_sees_itself_in_proc(policy: str, sandbox: NonoRun) -> None:
    script = 'sh -c "cat /proc/self/status /proc/self/maps; ps -ef" | grep -c .'
    run = sandbox.run(sh(script), flags=[f"--sandbox-policy={policy}"])
    assert (run.exit_code, run.stderr) == (0, run.stderr)
    assert "denied" not in run.stderr
    assert int(run.stdout) > 50


@pytest.mark.needs("namespaces")
@POLICIES
def test_temporary_files_stay_inside(policy: str, sandbox: NonoRun, shared: Path) -> None:
    name = f"nono-left-{os.getpid()}"
    script = 'for d in /tmp /dev/shm; do echo x > "$d/$2" && cat "$d/$2"; done; cat "$1/file"'
    run = sandbox.run(sh(script, shared, name), flags=[f"--sandbox-policy={policy}"])
    assert run.stdout.split() == ["x", "x"], run.stderr
    assert "No such file" in run.stderr
    assert not Path("/tmp", name).exists()
    assert not Path("/dev/shm", name).exists()


def test_what_is_granted_in_tmp_shows_through(sandbox: NonoRun, shared: Path) -> None:
    script = 'cat "$1/file"; echo more > "$1/made"; rm "$1/file"'
    run = sandbox.run(sh(script, shared), flags=[f"--allow={shared}"])
    assert (run.exit_code, run.stdout) == (0, CANARY), run.stderr
    assert [path.name for path in shared.iterdir()] == ["made"]


@pytest.mark.needs("namespaces")
def test_what_is_granted_for_reading_in_tmp_cannot_be_written(sandbox: NonoRun, shared: Path) -> None:
    script = 'cat "$1/file"; echo more > "$1/made"; rm "$1/file"; echo more >> "$1/file"; chmod 777 "$1"'
    run = sandbox.run(sh(script, shared), flags=[f"--read={shared}"])
    assert run.stdout == CANARY
    assert run.stderr.count("Read-only") == 4
    assert [path.name for path in shared.iterdir()] == ["file"]


@pytest.mark.needs("namespaces")
def test_what_is_mounted_in_a_grant_for_reading_in_tmp_cannot_be_written(
    sandbox: NonoRun, shared: Path
) -> None:
    below, elsewhere = shared / "below", sandbox.project / "elsewhere"
    for directory in (below, elsewhere):
        directory.mkdir()
        sandbox.give(directory)
    write, stage = sh('echo more > "$1/made"', below), private_mounts.stage({below: elsewhere})
    run = sandbox.run(write, flags=[f"--read={shared}"], stage=stage)
    assert "Read-only" in run.stderr
    assert [*elsewhere.iterdir()] == []
    assert sandbox.bare(write, stage=stage).exit_code == 0
    shutil.rmtree(elsewhere)


def test_what_is_granted_for_writing_only_in_tmp_cannot_be_read(sandbox: NonoRun, shared: Path) -> None:
    run = sandbox.run(sh('echo more > "$1/made"; cat "$1/file"', shared), flags=[f"--write={shared}"])
    assert run.stdout == ""
    assert (shared / "made").read_text() == "more\n"


@pytest.mark.needs("namespaces")
def test_one_file_granted_in_tmp_shows_nothing_beside_it(sandbox: NonoRun, shared: Path) -> None:
    sandbox.give(shared / "beside") if (shared / "beside").write_text("beside") else None
    run = sandbox.run(sh('cat "$1/file" "$1/beside"', shared), flags=[f"--read-file={shared}/file"])
    assert run.stdout == CANARY
    assert "No such file" in run.stderr


def test_tmp_granted_itself_is_that_of_the_machine(sandbox: NonoRun, shared: Path) -> None:
    run = sandbox.run(sh('cat "$1/file"', shared), flags=["--read=/tmp"])
    assert run.stdout == CANARY, run.stderr


@pytest.mark.needs("namespaces")
@pytest.mark.skipif(shutil.which("ipcmk") is None, reason="util-linux is not installed")
def test_no_device_and_no_other_id_is_had_from_a_mount_of_its_own(sandbox: NonoRun) -> None:
    mounted = {}
    for line in sandbox.run(["cat", "/proc/self/mountinfo"]).stdout.splitlines():
        _, _, _, _, path, options, *_ = line.split()
        mounted[path] = {*options.split(",")} & {"nosuid", "nodev", "noexec"}
    assert mounted["/tmp"] == mounted["/dev/shm"] == {"nosuid", "nodev"}
    assert mounted["/proc"] == {"nosuid", "nodev", "noexec"}
    assert mounted["/dev/pts"] == {"nosuid", "noexec"}


@pytest.mark.needs("namespaces")
def test_shared_memory_of_others_is_not_there(sandbox: NonoRun) -> None:
    made = sandbox.bare(["ipcmk", "-M", "4096"]).stdout.split()[-1]
    try:
        run = sandbox.run(sh('ipcs -m; ipcrm -m "$1"; ipcmk -M 4096', made))
        without = sandbox.run(sh('ipcrm -m "$1"; ipcmk -M 4096', made), flags=[OFF])
    finally:
        assert sandbox.bare(["ipcrm", "-m", made]).exit_code == 0
    assert "0x" not in run.stdout
    assert "Shared memory id: 0" in run.stdout
    assert "Shared memory id" not in without.stdout


@contextmanager
def terminals(sandbox: NonoRun) -> Iterator[tuple[int, str]]:
    """Yield the user's own terminal, as a descriptor, and the path of another one of theirs."""
    opened = [pty.openpty() for _ in range(2)]
    try:
        for _, end in opened:
            os.chown(os.ttyname(end), sandbox.user.uid, sandbox.user.gid)
        yield opened[0][1], os.ttyname(opened[1][1])
    finally:
        for descriptor in (each for pair in opened for each in pair):
            os.close(descriptor)


@pytest.mark.parametrize("flag", ["--namespaces=auto", OFF])
def test_another_terminal_of_the_user_cannot_be_opened(flag: str, sandbox: NonoRun) -> None:
    script = 'tty; : <>"$(tty)" && echo own; : <>"$1" && echo other'
    with terminals(sandbox) as (own, other):
        run = sandbox.run(sh(script, other), flags=[flag], stdin=own)
        bare = sandbox.bare(sh(script, other), stdin=own)
        name = os.ttyname(own)
    assert bare.stdout.split() == [name, "own", "other"]
    assert run.stdout.split() == [name, "own"], run.stderr


@pytest.mark.needs("namespaces")
def test_a_command_opens_terminals_of_its_own(sandbox: NonoRun) -> None:
    script = "import os, pty; m, s = pty.openpty(); print(os.ttyname(s)); os.write(s, b'x'); os.read(m, 1)"
    with terminals(sandbox) as (own, _):
        run = sandbox.run(["/usr/bin/python3", "-c", script], stdin=own)
    assert run.exit_code == 0, run.stderr
    assert run.stdout.startswith("/dev/pts/")


@pytest.mark.needs("namespaces")
@pytest.mark.skipif(not HAS_SCOPES, reason="this kernel has no Landlock scopes")
def test_the_init_of_the_namespaces_is_out_of_reach(sandbox: NonoRun) -> None:
    script = "kill -9 1; kill -STOP 1; cat /proc/1/environ /proc/1/mem; ls /proc/1/cwd/; :"
    run = sandbox.run(sh(script))
    assert (run.exit_code, run.stdout) == (0, "")
    assert run.stderr.count("not permitted") + run.stderr.count("denied") == 5


@pytest.mark.needs("namespaces")
def test_the_init_of_the_namespaces_shows_nothing_of_the_command_line(sandbox: NonoRun) -> None:
    """An option may hold a value that is for somebody else."""
    flags = ["--env=SHOWN=canary"]
    run = sandbox.run(sh('cat /proc/1/cmdline | tr -d "\\0"; ps -ef'), flags=flags)
    assert run.exit_code == 0, run.stderr
    assert "canary" not in run.stdout
    assert "SHOWN" not in run.stdout


@pytest.mark.needs("namespaces")
def test_the_modes_of_nonos_state_and_of_devices_stay_as_they_are(sandbox: NonoRun) -> None:
    """Landlock leaves them to whoever owns the file: any command on the state, root's on the devices."""
    state = sandbox.user.home / ".local/state/nono"
    script = (
        'echo x > /dev/null; chmod 777 "$1"; chmod 666 /dev/null; touch -d @0 "$1"; sh -c "chmod 0 <&0"; :'
    )
    run = sandbox.run(sh(script, state))
    assert run.exit_code == 0
    assert run.stderr.count("Read-only") == 3, run.stderr
    assert state.stat().st_mode & 0o777 == 0o700
    shared = sandbox.run(sh('chmod 755 "$1" && chmod 700 "$1"', state), flags=[OFF])
    assert shared.exit_code == 0


def test_a_run_whose_tmp_stays_shared_has_a_directory_of_its_own_there(
    sandbox: NonoRun, shared: Path
) -> None:
    """nono's own state lies in /tmp, so that it cannot be the command's."""
    state = {"XDG_STATE_HOME": str(shared / "state")}
    run = sandbox.run(sh('mktemp; cat "$1/file"', shared), environment=state)
    assert run.stdout.startswith("/tmp/nono-"), run.stderr
    assert CANARY not in run.stdout
    assert not Path(run.stdout.strip()).parent.exists()


@pytest.mark.needs("namespaces")
@needs_user_namespaces
def test_the_init_of_the_namespaces_is_not_dumpable(sandbox: NonoRun) -> None:
    """Its files in /proc belong to root then (proc(5)); Landlock closes them in any case."""
    run = sandbox.run(["stat", "-c", "%u", "/proc/self/environ", "/proc/1/environ"])
    own, of_init = run.stdout.split()
    assert int(own) == sandbox.user.uid != int(of_init)


# CAP_NET_BIND_SERVICE, CAP_NET_ADMIN, CAP_SYS_ADMIN
FOR_A_NETWORK = f"{1 << 10 | 1 << 12 | 1 << 21:016x}"
USES_UDP = "import socket; socket.socket(type=socket.SOCK_DGRAM)"


@pytest.mark.needs("namespaces", "listener")
@pytest.mark.parametrize(
    ("profile", "before", "kept"),
    [(PROXY_ONLY, "true", FOR_A_NETWORK), (PROXY_ONLY, f"python3 -c '{USES_UDP}'", None), ({}, "true", None)],
    ids=["before it makes a network", "after it", "without a proxy"],
)
def test_the_init_of_the_namespaces_holds_no_capability_beyond_its_need(
    profile: Mapping[str, object], before: str, kept: str | None, sandbox: NonoRun
) -> None:
    script = f"{before}; exec grep -E '^(Cap|NoNewPrivs)' /proc/1/status"
    run = sandbox.run(["sh", "-c", script], profile=profile)
    held = dict(line.split() for line in run.stdout.splitlines())
    assert held.pop("NoNewPrivs:") == "1"
    expected = {held.pop("CapPrm:"), held.pop("CapEff:")}
    assert expected == {kept or "0" * 16}
    assert set(held.values()) == {"0" * 16}


@pytest.mark.needs("namespaces")
def test_the_init_of_the_namespaces_has_a_session_of_its_own(sandbox: NonoRun) -> None:
    run = sandbox.run(["cat", "/proc/1/stat"])
    _, _, group, session = run.stdout.rpartition(")")[2].split()[:4]
    assert (group, session) == ("1", "1")


@pytest.mark.root
@pytest.mark.needs("namespaces")
def test_the_init_of_the_namespaces_stays_in_no_directory_outside(sandbox: NonoRun) -> None:
    """The one that nono was started in lies below the view, and could not be unmounted."""
    with sandbox.started(sh("echo; read line")) as nono:
        assert nono.stdout is not None
        nono.stdout.readline()
        children = Path(f"/proc/{nono.pid}/task/{nono.pid}/children").read_text().split()
        where = {os.getsid(int(each)) == int(each): os.readlink(f"/proc/{each}/cwd") for each in children}
    assert where == {True: "/", False: str(sandbox.project)}


@pytest.mark.needs("namespaces")
def test_the_init_of_the_namespaces_reaps_what_it_adopts(sandbox: NonoRun) -> None:
    """What has ended would count against a limit of processes for as long as the run takes."""
    script = (
        'orphan=$(sh -c "sleep 600 >/dev/null & echo \\$!"); grep PPid: /proc/$orphan/status; kill $orphan;'
        "n=0; while [ -e /proc/$orphan ] && [ $n -lt 500 ]; do sleep 0.01; n=$((n + 1)); done;"
        "if [ -e /proc/$orphan ]; then grep State: /proc/$orphan/status; fi"
    )
    run = sandbox.run(sh(script))
    assert run.stdout.split() == ["PPid:", "1"], run.stderr


@pytest.mark.parametrize("flag", ["--namespaces=require", OFF])
def test_the_end_of_the_supervisor_kills_the_command(flag: str, sandbox: NonoRun) -> None:
    script = "import ctypes; n = ctypes.c_int(); ctypes.CDLL(None).prctl(2, ctypes.byref(n)); print(n.value)"
    run = sandbox.run(["/usr/bin/python3", "-c", script], flags=[flag])
    assert int(run.stdout) == signal.SIGKILL


@pytest.mark.skipif(shutil.which("unshare") is None, reason="util-linux is not installed")
def test_no_mount_of_the_view_shows_outside(sandbox: NonoRun) -> None:
    """Where mounts are shared among namespaces, as under systemd."""
    if sandbox.user.uid != 0:
        pytest.skip("out of a user namespace the kernel lets no mount propagate")
    look = 'cat /proc/self/mountinfo; "$@" >/dev/null 2>&1 || exit 3; echo; cat /proc/self/mountinfo'
    shared = ["unshare", "--mount", "--propagation", "shared", *sh(look)]
    run = sandbox.run(["true"], flags=["--namespaces=require"], stage=shared)
    assert run.exit_code == 0
    before, after = run.stdout.split("\n\n")
    assert " shared:" in before
    assert after.splitlines() == before.splitlines()


@pytest.mark.needs("namespaces")
def test_the_command_holds_no_capability(sandbox: NonoRun) -> None:
    if sandbox.user.uid == 0:
        pytest.skip("root keeps what its package managers use")
    run = sandbox.run(sh("grep ^Cap /proc/self/status; mount -t tmpfs none /mnt"))
    assert {line.split()[1] for line in run.stdout.splitlines()} == {"0" * 16}


# Its own parent's death is no longer announced to it, whatever it was started with.
DEAF = (
    "import ctypes, os; ctypes.CDLL(None).prctl(1, 0, 0, 0, 0);"
    "print(os.environ['TMPDIR']); input(); print('alive')"
)


@pytest.mark.parametrize(("flag", "lives_on"), [("--namespaces=require", False), (OFF, True)])
def test_a_command_that_ignores_the_end_of_its_supervisor_ends_with_it(
    flag: str, *, lives_on: bool, sandbox: NonoRun
) -> None:
    with sandbox.started(["/usr/bin/python3", "-u", "-c", DEAF], flags=[flag]) as nono:
        assert nono.stdout is not None
        temporary = nono.stdout.readline().strip()
        nono.kill()
        nono.wait()
        ends = select.poll()
        ends.register(nono.stdout, 0)
        assert bool(ends.poll(500 if lives_on else 10_000 * PACE)) != lives_on
        said, _ = nono.communicate("end\n" if lives_on else None, timeout=30 * PACE)
        assert said == ("alive\n" if lives_on else "")
    if lives_on:  # nobody was left to remove it
        shutil.rmtree(temporary)


@pytest.mark.parametrize("flag", ["--namespaces=require", OFF])
def test_what_ends_soon_after_the_command_is_not_cut_short(flag: str, sandbox: NonoRun) -> None:
    # Once may be too few: a machine that stands still for the second of grace ends it as well.
    runs = (sandbox.run(sh("(sleep 0.1; echo late) &"), flags=[flag]) for _ in range(3))
    assert any(run.stdout == "late\n" for run in runs)


@pytest.mark.needs("namespaces")
@needs_user_namespaces
def test_required_namespaces_that_cannot_be_had_refuse_the_run(sandbox: NonoRun) -> None:
    refused = sandbox.run(["true"], flags=["--namespaces=require"], wrapper=NO_NAMESPACES)
    assert refused.exit_code == 1
    assert "the command must have namespaces of its own, but" in refused.stderr
    assert sandbox.run(["true"], flags=["--namespaces=require"]).exit_code == 0


@pytest.mark.needs("namespaces")
@needs_user_namespaces
def test_where_namespaces_cannot_be_had_the_run_says_what_it_shares(sandbox: NonoRun) -> None:
    run = sandbox.run(["true"], wrapper=NO_NAMESPACES)
    assert run.exit_code == 0
    assert "the command shares processes and /tmp with this host" in run.stderr
    assert "shares processes" not in sandbox.run(["true"]).stderr


def test_signals_to_everybody_are_kept_by_doing_without_namespaces(sandbox: NonoRun) -> None:
    with sleeper(sandbox) as pid:
        run = sandbox.run(sh('kill -0 "$1"', pid), profile={"security": {"signal_mode": "allow_all"}})
    assert run.exit_code == 0, run.stderr


@pytest.mark.parametrize("flag", ["--namespaces=auto", OFF])
def test_temporary_files_of_the_run_are_gone_with_it(flag: str, sandbox: NonoRun) -> None:
    """Wherever the caller's TMPDIR leads."""
    script = 'cd "$(mktemp -d)" && ln -s "$HOME" home && echo x > file && chmod 0 file && pwd -P'
    run = sandbox.run(sh(script), profile={}, flags=[flag])
    assert run.exit_code == 0, run.stderr
    assert run.stdout.startswith("/tmp/")
    assert not Path(run.stdout.strip()).exists()
    assert sandbox.user.home.exists()
    left = Path(run.stdout.strip()).parent
    assert left == Path("/tmp") or not left.exists()
