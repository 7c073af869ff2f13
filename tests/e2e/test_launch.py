"""What a command notices of being launched by nono: next to nothing."""

from __future__ import annotations

import fcntl
import json
import os
import pwd
import resource
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from nono.sessions.processes import all_processes, below
from nono.supervisor.child import ORPHAN_GRACE_S
from support.ladder.launch import INTERPRETER, PYTHON, REPORT, Place, children, wait_until
from support.running.crossed import crossed
from support.running.needs import has_datagrams, lacking, require
from support.terminal import terminal

ALONE, PROXIED, WRAPPED = "alone", "proxied", "wrapped"
RUNS = pytest.mark.parametrize("mode", [ALONE, PROXIED])
ALL = pytest.mark.parametrize("mode", [ALONE, PROXIED, WRAPPED])


def runs_crossed(argument: str, values: Mapping[str, object]) -> pytest.MarkDecorator:
    """Try each mode with a supervisor with one value after the other, and the long run all with all."""
    return crossed("mode", {mode: mode for mode in (ALONE, PROXIED)}, argument, values)


def all_crossed(argument: str, values: Mapping[str, object]) -> pytest.MarkDecorator:
    return crossed("mode", {mode: mode for mode in (ALONE, PROXIED, WRAPPED)}, argument, values)


def named(*texts: str) -> dict[str, object]:
    return {text: text for text in texts}


# Signals 32 and 33: glibc's posix_spawn(3) leaves them ignored where clone3(2) is refused, as in a container.
OF_LIBC = 0b11 << 31

# Prints "ready", waits for one of some signals, prints its name; ends with 7.
WAIT_FOR_SIGNAL = """
import signal
numbers = {signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2}
signal.pthread_sigmask(signal.SIG_BLOCK, numbers)
print("ready", flush=True)
print(signal.Signals(signal.sigwait(numbers)).name, flush=True)
raise SystemExit(7)
"""


def ready(process: subprocess.Popen[bytes]) -> None:
    assert process.stdout is not None
    assert process.stdout.readline() == b"ready\n"


# Exit codes


@all_crossed("code", {str(code): code for code in (0, 1, 2, 42, 125, 126, 127, 128, 129, 255)})
def test_the_exit_code_is_the_commands(here: Place, mode: str, code: int) -> None:
    assert here.run(mode, "sh", "-c", f"exit {code}").returncode == code


def not_started(mode: str, program: Path, reason: str, why: str) -> str:
    """Return the message about a program that was not started.

    After `nono wrap` nobody is left to print one.
    """
    if mode == WRAPPED:
        why = f"{reason}\nhint: nono run, with the same options, says why"
    return f"nono: Command execution failed: {program}: {why.format(program)}\n"


@pytest.mark.slow
@ALL
def test_every_exit_code_is_the_commands(here: Place, mode: str) -> None:
    codes = range(256)
    with ThreadPoolExecutor(4) as pool:
        ended = list(pool.map(lambda code: here.run(mode, "sh", "-c", f"exit {code}").returncode, codes))
    assert ended == list(codes)


@runs_crossed("name", named("SIGHUP", "SIGINT", "SIGKILL", "SIGPIPE", "SIGSEGV", "SIGTERM", "SIGUSR1"))
def test_a_command_that_a_signal_killed_gives_128_plus_its_number(here: Place, mode: str, name: str) -> None:
    number = signal.Signals[name].value
    assert here.run(mode, "sh", "-c", f"kill -{number} $$").returncode == 128 + number


def test_a_wrapped_command_that_a_signal_killed_is_killed_by_it(here: Place) -> None:
    assert here.run(WRAPPED, "sh", "-c", "kill -9 $$").returncode == -signal.SIGKILL


REFUSED_BY_EXECVE = {
    "not-a-format": (
        b"\x7fnot a program",
        "Exec format error",
        "it is neither a program nor a script with a #! line.\nhint: nono run -- sh {}",
    ),
    "no-interpreter": (
        b"#!/nonexistent/sh\n",
        "No such file or directory",
        "its interpreter /nonexistent/sh does not exist.",
    ),
}


@all_crossed("case", REFUSED_BY_EXECVE)
def test_what_execve_refuses_gives_127(here: Place, mode: str, case: tuple[bytes, str, str]) -> None:
    content, reason, why = case
    program = here.project / "program"
    program.write_bytes(content)
    program.chmod(0o755)
    failed = here.run(mode, "./program")
    program.write_bytes(b"#!/bin/sh\nexit 3\n")
    started = here.run(mode, "./program")
    program.unlink()
    assert failed.returncode == 127
    assert failed.stderr.decode() == not_started(mode, program, reason, why)
    assert (started.returncode, started.stderr) == (3, b"")


@ALL
def test_a_program_outside_every_grant_gives_127(here: Place, mode: str) -> None:
    outside = here.user.home / "tool"
    outside.write_bytes(b"#!/bin/sh\nexit 3\n")
    outside.chmod(0o755)
    denied = here.run(mode, str(outside))
    granted = here.run(mode, str(outside), options=["--read-file", str(outside)])
    outside.unlink()
    assert denied.returncode == 127
    why = "it is not granted.\nhint: --read-file {}"
    assert denied.stderr.decode() == not_started(mode, outside, "Permission denied", why)
    assert granted.returncode == 3


MISSING = {
    "name": ("no-such-program", "not found on PATH"),
    "path": ("./no-such-program", "no such file"),
    "dot": (".", "not found on PATH"),
    "directory": ("/", "it is a directory"),
}


@all_crossed("case", MISSING)
def test_a_program_that_is_not_there_gives_1(here: Place, mode: str, case: tuple[str, str]) -> None:
    name, where = case
    missing = here.run(mode, name)
    assert missing.returncode == 1
    assert missing.stderr.decode() == f"nono: Command execution failed: {name}: {where}\n"


@ALL
def test_an_empty_word_is_a_mistake_and_no_program(here: Place, mode: str) -> None:
    unset = here.run(mode, "")
    assert unset.returncode == 2
    assert unset.stderr.decode().startswith("nono: COMMAND: its first word is empty.\n")


@ALL
@pytest.mark.parametrize("bits", [0o755, 0o644])
def test_a_program_that_only_the_persons_shell_finds_is_told_with_its_directory(
    here: Place, mode: str, bits: int
) -> None:
    """As in a job of cron, or a command given to ssh. What may not be executed is no program."""
    tool = here.user.home / ".local/bin/a-tool"
    tool.parent.mkdir(parents=True)
    tool.write_bytes(b"#!/bin/sh\nexit 3\n")
    tool.chmod(bits)
    for path in (tool, tool.parent, tool.parent.parent):
        here.user.give(path)
    missing = here.run(mode, "a-tool").stderr.decode()
    assert missing.startswith("nono: Command execution failed: a-tool: not found on PATH\n")
    hint = f'which is not on PATH here: env PATH={tool.parent}:"$PATH" nono ...\n'
    assert missing.endswith(hint) is (bits == 0o755)


@ALL
def test_a_file_without_the_x_bit_gives_1(here: Place, mode: str) -> None:
    script = here.project / "script"
    script.write_bytes(b"#!/bin/sh\nexit 3\n")
    script.chmod(0o644)
    missing = here.run(mode, "./script")
    script.unlink()
    assert (missing.returncode, missing.stdout) == (1, b"")
    assert b"it is not executable\nhint: chmod +x ./script" in missing.stderr


@pytest.mark.parametrize(
    ("mode", "options"), [(ALONE, ["--block-net"]), (PROXIED, []), (WRAPPED, ["--block-net"])]
)
def test_a_sandbox_that_cannot_be_applied_is_exit_code_126(
    here: Place, mode: str, options: list[str]
) -> None:
    """A datagram socket on 0 could be addressed anywhere; a stream cannot."""
    for kind, code in ((socket.SOCK_DGRAM, 126), (socket.SOCK_STREAM, 0)):
        with socket.socket(socket.AF_INET, kind) as stream:
            result = here.run(mode, "sh", "-c", "echo started", options=options, stdin=stream.fileno())
        assert result.returncode == code, result.stderr
        assert result.stdout == (b"" if code else b"started\n")
        assert (b"datagram or raw socket" in result.stderr) == bool(code)


@ALL
def test_a_working_directory_that_cannot_be_entered_gives_126(here: Place, mode: str) -> None:
    closed = here.project / "closed"
    closed.mkdir()
    here.user.give(closed)
    closed.chmod(0o600)
    refused = here.run(mode, "sh", "-c", "echo started", options=["--workdir", str(closed)])
    closed.chmod(0o700)
    entered = here.run(mode, "sh", "-c", "echo started", options=["--workdir", str(closed)])
    closed.rmdir()
    assert (refused.returncode, refused.stdout) == (126, b"")
    assert len(refused.stderr.splitlines()) == 1
    assert b"Permission denied" in refused.stderr
    assert str(closed).encode() in refused.stderr
    assert (entered.returncode, entered.stdout) == (0, b"started\n")


@RUNS
def test_a_launcher_that_was_killed_before_its_command_gives_126(here: Place, mode: str) -> None:
    said, say = os.pipe()
    with open(said, "rb", buffering=0) as reader, open(say, "wb", buffering=0) as writer:
        # Nothing fits into nono's stderr any more, so that it stops at its banner, before the launch.
        os.set_blocking(say, False)
        filled = 0
        while (count := writer.write(b"." * 65536)) is not None:
            filled += count
        os.set_blocking(say, True)
        argv = [word for word in here.argv(mode, ["sh", "-c", "echo started"]) if word != "-s"]
        process = subprocess.Popen(
            argv, env=here.user.environment(), cwd=here.project, stdout=subprocess.PIPE, stderr=writer
        )
        with process:
            writer.close()
            assert wait_until(lambda: children(process.pid))
            (launcher,) = children(process.pid)
            os.kill(launcher, signal.SIGKILL)
            os.set_blocking(said, True)
            stderr = reader.read(filled)
            while piece := reader.read(65536):
                stderr += piece
            assert process.stdout is not None
            assert process.stdout.read() == b""
            assert process.wait() == 126
    last = stderr.lstrip(b".").decode().splitlines()[-1]
    assert last.startswith("nono: the process that was to become the command ended before it started")


@pytest.mark.needs("namespaces")
@RUNS
def test_the_supervisor_cannot_be_looked_into_while_the_command_can(here: Place, mode: str) -> None:
    argv = here.argv(mode, ["sh", "-c", "echo started; read -r line"])
    environment = here.user.environment()
    with subprocess.Popen(
        argv, env=environment, cwd=here.project, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"started\n"
        init, command = sorted(children(process.pid))
        # proc_pid_environ(5): the files of a process that is not dumpable belong to root.
        owners = [Path(f"/proc/{pid}/environ").stat().st_uid for pid in (process.pid, init, command)]
        process.communicate(b"\n")
    assert owners == [0, 0, here.user.uid]


@pytest.mark.needs("namespaces")
@RUNS
def test_the_supervisor_leaves_no_core_file(here: Place, mode: str) -> None:
    argv = here.argv(mode, ["sh", "-c", "echo started; read -r line"])
    environment = here.user.environment()
    with subprocess.Popen(
        argv, env=environment, cwd=here.project, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"started\n"
        limits = Path(f"/proc/{process.pid}/limits").read_text()
        process.communicate(b"\n")
    line = next(line for line in limits.splitlines() if line.startswith("Max core file size"))
    assert line.split()[4:6] == ["0", "0"]


# Signals


@runs_crossed("name", named("SIGHUP", "SIGINT", "SIGQUIT", "SIGTERM", "SIGUSR1", "SIGUSR2"))
def test_a_signal_sent_to_nono_reaches_the_command(here: Place, mode: str, name: str) -> None:
    with here.started(mode, *PYTHON, WAIT_FOR_SIGNAL) as process:
        ready(process)
        process.send_signal(signal.Signals[name])
        stdout, stderr = process.communicate()
    assert (stdout.decode(), stderr) == (f"{name}\n", b"")
    assert process.returncode == 7


@runs_crossed("name", named("SIGHUP", "SIGINT", "SIGQUIT", "SIGTERM", "SIGUSR1"))
def test_a_signal_that_ends_the_command_is_in_the_exit_code(here: Place, mode: str, name: str) -> None:
    number = signal.Signals[name]
    with here.started(mode, "sh", "-c", "echo ready; exec sleep 60") as process:
        ready(process)
        process.send_signal(number)
        assert process.wait() == 128 + number


@RUNS
def test_a_command_that_stopped_itself_is_continued_through_nono(here: Place, mode: str) -> None:
    with here.started(mode, "sh", "-c", "echo ready; kill -STOP $$; echo back; exit 7") as process:
        ready(process)
        assert wait_until(lambda: _has_stopped(process.pid))
        process.send_signal(signal.SIGCONT)
        assert (process.communicate(), process.returncode) == ((b"back\n", b""), 7)


def _has_stopped(supervisor: int) -> bool:
    everything = all_processes()
    return any(everything[pid].is_stopped for pid in below(supervisor, everything))


@RUNS
def test_a_killed_supervisor_takes_its_command_along(here: Place, mode: str) -> None:
    with here.started(mode, "sh", "-c", "echo ready; exec sleep 60") as process:
        ready(process)
        process.kill()
        process.wait()
        assert wait_until(lambda: not here.processes())


@ALL
def test_no_signal_is_ignored_or_blocked_in_the_command(here: Place, mode: str) -> None:
    status = here.run(mode, "cat", "/proc/self/status").stdout.decode().splitlines()
    state = dict(line.split(":\t", 1) for line in status if ":\t" in line)
    assert {name: int(state[name], 16) & ~OF_LIBC for name in ("SigIgn", "SigBlk", "SigCgt")} == {
        "SigIgn": 0,
        "SigBlk": 0,
        "SigCgt": 0,
    }


@all_crossed("name", named("SIGHUP", "SIGINT", "SIGUSR1"))
def test_what_the_caller_ignores_the_command_ignores(here: Place, mode: str, name: str) -> None:
    """As nohup(1) does, and a shell for the commands it puts into the background."""
    number = signal.Signals[name]
    report = shutil.which("cat") or "cat"
    argv = here.argv(mode, [report, "/proc/self/status"])
    ignoring = ["sh", "-c", f'trap "" {number.value}; exec "$@"', "sh", *argv]
    status = subprocess.run(
        ignoring, env=here.user.environment(), cwd=here.project, capture_output=True, check=True
    ).stdout.decode()
    ignored = next(int(line.split()[1], 16) for line in status.splitlines() if line.startswith("SigIgn"))
    assert ignored & ~OF_LIBC == 1 << (number - 1)


@ALL
def test_a_caller_that_ignores_its_children_keeps_none_of_the_command_s_from_it(
    here: Place, mode: str
) -> None:
    """Some daemons ignore SIGCHLD, and a program cannot wait for its children then."""
    argv = here.argv(mode, ["sh", "-c", "grep SigIgn /proc/self/status; exit 7"])
    ignoring = ["env", "--ignore-signal=CHLD", *argv]
    ended = subprocess.run(ignoring, env=here.user.environment(), cwd=here.project, capture_output=True)
    assert (ended.returncode, ended.stderr) == (7, b"")
    assert int(ended.stdout.split()[1], 16) & ~OF_LIBC == 0


@ALL
def test_a_reader_that_is_gone_ends_the_writer_silently(here: Place, mode: str) -> None:
    result = here.run(mode, "sh", "-c", "yes | head -n 1")
    assert (result.returncode, result.stdout, result.stderr) == (0, b"y\n", b"")


# Streams, arguments and environment


COPY_TWICE = """
import sys
everything = sys.stdin.buffer.read()
sys.stdout.buffer.write(everything)
sys.stderr.buffer.write(everything)
"""


@ALL
def test_a_mebibyte_passes_through_the_standard_streams_unchanged(here: Place, mode: str) -> None:
    everything = bytes(range(256)) * 4096
    result = here.run(mode, *PYTHON, COPY_TWICE, input=everything)
    assert result.returncode == 0
    assert result.stdout == everything
    assert result.stderr == everything


@ALL
def test_a_pipe_can_be_opened_once_more_by_its_name_in_dev(here: Place, mode: str) -> None:
    """As many scripts do; the pipe is the user's, or opening it would be refused by its mode."""
    held = [*here.nono(mode), "sh", "-c", "echo out > /dev/stdout; echo err > /dev/stderr"]
    result = subprocess.run(
        here.user.command(["sh", "-c", '"$@" 2>&1 | cat', "sh", *held]),
        env=here.user.environment(),
        cwd=here.project,
        capture_output=True,
        check=True,
    )
    assert result.stdout == b"out\nerr\n"


@all_crossed("closed", {"stdin": [0], "stdout": [1], "all": [0, 1, 2]})
def test_a_closed_standard_stream_is_dev_null_in_the_command(
    here: Place, mode: str, closed: list[int]
) -> None:
    where = here.project / "where"
    script = f"for n in 0 1 2; do readlink /proc/self/fd/$n; done > {where}"
    redirections = " ".join(f"{number}>&-" for number in closed)
    argv = here.argv(mode, ["sh", "-c", script])
    result = subprocess.run(
        ["sh", "-c", f'exec "$@" {redirections}', "sh", *argv],
        env=here.user.environment(),
        cwd=here.project,
        stdin=subprocess.DEVNULL if 0 in closed else subprocess.PIPE,
        capture_output=True,
        check=False,
    )
    seen = where.read_text().splitlines()
    where.unlink()
    assert result.returncode == 0, result.stderr
    # readlink's own 1 is the file that this is read from.
    assert [seen[n] == "/dev/null" for n in (0, 2)] == [n in closed for n in (0, 2)]


def said_to(here: Place, mode: str, stderr: str, *options: str) -> subprocess.CompletedProcess[bytes]:
    """Run, without --silent, a command that prints a line and ends with 3."""
    argv = [each for each in here.argv(mode, ["sh", "-c", "echo ran; exit 3"], *options) if each != "-s"]
    return subprocess.run(
        ["sh", "-c", f'exec "$@" {stderr}', "sh", *argv],
        env=here.user.environment(),
        cwd=here.project,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
    )


@ALL
def test_what_nono_cannot_say_on_a_full_disk_ends_no_command(here: Place, mode: str) -> None:
    result = said_to(here, mode, "2>/dev/full")
    assert (result.returncode, result.stdout, result.stderr) == (3, b"ran\n", b"")
    assert b"  Capabilities:" in said_to(here, mode, "").stderr


@RUNS
def test_json_that_nono_cannot_write_leaves_the_exit_code_to_the_command(here: Place, mode: str) -> None:
    result = said_to(here, mode, "2>/dev/full", "--diagnostics-json")
    assert (result.returncode, result.stdout) == (3, b"ran\n")
    assert b'"exit_code": 3' in said_to(here, mode, "", "--diagnostics-json").stderr


@ALL
def test_a_refusal_that_cannot_be_said_is_one_all_the_same(here: Place, mode: str) -> None:
    result = said_to(here, mode, "2>/dev/full", "--allow=/nowhere")
    assert (result.returncode, result.stdout) == (1, b"")


@ALL
def test_the_command_has_no_descriptor_but_the_standard_ones(here: Place, mode: str) -> None:
    extra = os.open("/etc/passwd", os.O_RDONLY)
    high = fcntl.fcntl(extra, fcntl.F_DUPFD, 500)
    try:
        argv = here.argv(mode, [INTERPRETER, "-I", "-S", REPORT])
        how = {"env": here.user.environment(), "cwd": here.project, "pass_fds": (extra, high)}
        held = subprocess.run(argv, capture_output=True, check=True, **how)  # type: ignore[call-overload]  # a test's shorthand
        bare = here.user.command([INTERPRETER, "-I", "-S", REPORT])
        free = subprocess.run(bare, capture_output=True, check=True, **how)  # type: ignore[call-overload]  # as above
    finally:
        os.close(extra)
        os.close(high)
    assert json.loads(held.stdout)["descriptors"] == [0, 1, 2]
    assert json.loads(free.stdout)["descriptors"] == [0, 1, 2, extra, high]


ARGUMENTS = [b"", b"two words", b" ", b"--", b"-s", b"--silent", b"new\nline", b"'\"$HOME`*", b"\xff\xfe\x80"]


@ALL
def test_arguments_arrive_as_they_were_given(here: Place, mode: str) -> None:
    script = 'for each; do printf "%s\\0" "$each"; done'
    result = here.run(mode, "sh", "-c", script, "sh", *ARGUMENTS)
    assert result.stdout.split(b"\0")[:-1] == ARGUMENTS, result.stderr


@ALL
def test_a_command_sees_its_name_as_it_was_typed(here: Place, mode: str) -> None:
    assert here.run(mode, "cat", "/proc/self/cmdline").stdout == b"cat\0/proc/self/cmdline\0"


ADDED = {
    ALONE: {"PWD", "NONO_CAP_FILE", "MOZ_ASSUME_USER_NS", "FAKEROOTDONTTRYCHOWN"},
    WRAPPED: {"PWD", "MOZ_ASSUME_USER_NS", "FAKEROOTDONTTRYCHOWN"},
    PROXIED: {
        *("PWD", "NONO_CAP_FILE", "MOZ_ASSUME_USER_NS", "FAKEROOTDONTTRYCHOWN"),
        *("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy", "ALL_PROXY", "all_proxy"),
        *("NO_PROXY", "no_proxy", "NONO_NO_PROXY", "NONO_PROXY_TOKEN"),
        *("NODE_USE_ENV_PROXY", "YARN_HTTPS_PROXY"),
        *("GIT_SSH_COMMAND", "JAVA_TOOL_OPTIONS"),
    },
}


@ALL
def test_only_what_is_documented_differs_from_the_callers_environment(here: Place, mode: str) -> None:
    if mode == PROXIED:
        require("listener", here.user.uid)  # Java's proxy is not told where it would have to show a token
    given = {"PLAIN": "a=b\nc", "EMPTY": "", "LD_PRELOAD": "", "BASH_ENV": "/nonexistent"}
    result = here.run(mode, "env", "-0", environment=given)
    seen = dict(line.split("=", 1) for line in result.stdout.decode().split("\0")[:-1])
    withheld = {"LD_PRELOAD", "BASH_ENV"}
    expected = {name: text for name, text in here.user.environment(given).items() if name not in withheld}
    expected.pop("TMPDIR")
    if mode == PROXIED:  # other runs reach the sockets of the session there
        expected.pop("XDG_RUNTIME_DIR")
        assert seen.pop("XDG_RUNTIME_DIR") == seen["TMPDIR"]
    # Caches and state are the project's: each tool's that keeps some, below a directory of nono's.
    caches = {name for name, text in seen.items() if "/.cache/nono/caches/" in text}
    assert {"XDG_CACHE_HOME", "XDG_STATE_HOME", "npm_config_cache", "GOCACHE"} <= caches
    seen = {name: text for name, text in seen.items() if name not in caches}
    del expected["XDG_CACHE_HOME"], expected["XDG_STATE_HOME"]
    assert {name: seen.get(name) for name in expected} == expected
    # The caller's can be written only; the run has one of its own, beside the caches where nobody is left to
    # remove it.
    assert ("TMPDIR" in caches) == (mode == WRAPPED)
    assert mode == WRAPPED or seen.pop("TMPDIR").startswith("/tmp/nono-")
    by_tcp = {"RES_OPTIONS"} if mode == PROXIED and not has_datagrams(here.user.uid) else set()
    owner = int(here.run(mode, "stat", "--format=%u", "/").stdout)
    by_strangers = set() if owner in (0, here.user.uid) else {"NX_DAEMON"}
    assert set(seen) - set(expected) == ADDED[mode] | by_tcp | by_strangers


@ALL
def test_the_working_directory_is_the_callers_or_the_given_one(here: Place, mode: str) -> None:
    inner = here.project / "inner"
    inner.mkdir()
    here.user.give(inner)
    (here.project / "link").symlink_to("inner")
    show = ("sh", "-c", 'pwd -P; printf "%s\\n" "$PWD"')
    started = here.run(mode, *show, environment={"PWD": "/"}).stdout.decode().splitlines()
    outside = here.run(mode, *show, cwd=here.user.home)
    linked = here.run(mode, *show, cwd=inner, environment={"PWD": str(here.project / "link")})
    moved = here.run(mode, *show, options=["--workdir", "inner"])
    (here.project / "link").unlink()
    inner.rmdir()
    assert started == [str(here.project)] * 2
    assert outside.stdout.decode().splitlines() == [str(here.user.home)] * 2
    assert linked.stdout.decode().splitlines() == [str(inner), str(here.project / "link")]
    assert moved.stdout.decode().splitlines() == [str(inner)] * 2


@ALL
def test_workdir_keeps_the_directory_it_leaves_in_oldpwd(here: Place, mode: str) -> None:
    inner = here.project / "inner"
    inner.mkdir()
    here.user.give(inner)
    profile = here.project / "environment.json"
    show = ("sh", "-c", 'printf "%s\\n" "$PWD" "$OLDPWD"')

    def seen(pwd: str, *options: str, **environment: object) -> list[str]:
        profile.write_text(json.dumps({"environment": environment}))
        given = {"PWD": pwd, "OLDPWD": "/earlier"}
        flags = ["--profile", str(profile), *options]
        return here.run(mode, *show, options=flags, environment=given).stdout.decode().splitlines()

    here_now, moves = str(here.project), ("--workdir", "inner")
    assert seen(here_now, *moves) == [str(inner), here_now]
    assert seen("/nowhere", *moves) == [str(inner), "/earlier"]  # anybody may have set it
    assert seen(here_now) == [here_now, "/earlier"]
    assert seen(here_now, *moves, set_vars={"OLDPWD": "/set"}) == [str(inner), "/set"]
    assert seen(here_now, *moves, deny_vars=["OLDPWD"]) == [str(inner), ""]
    profile.unlink()
    inner.rmdir()


TWICE = """
import ctypes, os, sys
environ = [b"%s=%s" % pair for pair in os.environb.items()]
environ += [b"TWICE=first", b"TWICE=second", b"NO_VALUE"]
libc = ctypes.CDLL(None)
array = lambda texts: (ctypes.c_char_p * (len(texts) + 1))(*texts)
libc.execve(os.fsencode(sys.argv[1]), array([os.fsencode(each) for each in sys.argv[1:]]), array(environ))
"""


@ALL
def test_no_variable_arrives_twice(here: Place, mode: str) -> None:
    argv = here.argv(mode, ["env", "-0"])
    given = here.user.environment()
    result = subprocess.run(
        [INTERPRETER, "-I", "-c", TWICE, shutil.which(argv[0]) or argv[0], *argv[1:]],
        env=given, cwd=here.project, capture_output=True, check=True,
    )  # fmt: skip
    entries = result.stdout.split(b"\0")[:-1]
    assert [entry for entry in entries if entry.startswith(b"TWICE=")] == [b"TWICE=first"]
    names = [entry.partition(b"=")[0] for entry in entries]
    assert len(names) == len(set(names))
    assert b"NO_VALUE" not in names


@ALL
def test_only_a_verbose_run_lists_what_is_not_inherited(here: Place, mode: str) -> None:
    given = here.user.environment({"LD_PRELOAD": "", "EDITOR": "/nowhere/vi", "PLAIN": "1"})

    def said_by(*options: str) -> str:
        argv = [word for word in here.argv(mode, ["true"], *options) if word != "-s"]
        return subprocess.run(argv, env=given, cwd=here.project, capture_output=True, text=True).stderr

    said = said_by("-v")
    lines = [line for line in said.splitlines() if line.startswith("  not inherited (")]
    assert any("programs load or run" in line and line.endswith(": LD_PRELOAD") for line in lines)
    assert any("of the host" in line and "EDITOR" in line for line in lines)
    assert not any("PLAIN" in line for line in lines)
    assert "not inherited" not in said_by()
    assert "Capabilities:" in said_by()


@ALL
def test_git_opens_the_editor_of_the_caller(here: Place, mode: str) -> None:
    """And the pager, from PATH and by a path in the project; none that the run may not execute."""
    editor, hidden = here.project / "editor", here.user.home / "hidden-editor"
    for path in (editor, hidden):
        path.write_text('#!/bin/sh\necho edited > "$1"\n')
        path.chmod(0o755)
        here.user.give(path)
    commit = (
        "git init -q repo; git -C repo -c user.name=a -c user.email=a@b commit -q --allow-empty; git -C repo"
    )
    script = f"{commit} log -1 --format=%s; rm -r repo; git var GIT_PAGER; echo ${{VISUAL-none}}"
    given = {"EDITOR": str(editor), "PAGER": "cat", "VISUAL": str(hidden)}
    seen = here.run(mode, "sh", "-c", script, environment={**given, "TERM": "dumb"})
    assert seen.stdout.decode().splitlines() == ["edited", "cat", "none"]
    editor.unlink()
    hidden.unlink()


# What a process has from its starter

KERNELS_OWN = {"NoNewPrivs", "Seccomp"}


def with_changed_limits(argv: list[str | bytes]) -> list[str | bytes]:
    """Return argv under a umask, a priority and limits that are nobody's default."""
    return ["sh", "-c", 'umask 027; ulimit -Sn 321; ulimit -Sc 0; exec nice -n 2 "$@"', "sh", *argv]


@ALL
def test_the_command_inherits_what_it_would_without_nono(here: Place, mode: str) -> None:
    def report(argv: list[str | bytes]) -> dict[str, Any]:
        changed = with_changed_limits(argv)
        result = subprocess.run(
            changed, env=here.user.environment(), cwd=here.project, capture_output=True, check=True
        )
        seen: dict[str, Any] = json.loads(result.stdout)
        return {name: value for name, value in seen.items() if name not in KERNELS_OWN}

    command = [INTERPRETER, "-I", "-S", REPORT]
    held = report(here.argv(mode, command))
    bare = report([*here.user.command(command)])
    nice = held.pop("nice"), bare.pop("nice")
    outside = held.pop("group"), held.pop("session")
    is_outside = mode == WRAPPED or lacking("namespaces", here.user.uid)
    assert outside == ((bare["group"], bare["session"]) if is_outside else (0, 0))  # no number inside
    assert bare.pop("group") == os.getpgrp()
    assert bare.pop("session") == os.getsid(0)
    assert held == bare
    assert (held["umask"], nice[1]) == (0o027, min(2 + os.getpriority(os.PRIO_PROCESS, 0), 19))
    # Whom a supervisor answers is nicer than it.
    assert nice[0] == min(nice[1] + (15 if mode == PROXIED else 0), 19)


@pytest.mark.parametrize(
    "options",
    [
        ["--allow-domain", "x.example"],
        pytest.param(["--capability-elevation"], marks=pytest.mark.needs("listener")),
    ],
)
def test_a_command_that_is_served_is_as_nice_as_can_be_at_most(here: Place, options: list[str]) -> None:
    argv = ["nice", "-n", "12", *here.argv(ALONE, ["nice"], *options)]
    environ = here.user.environment()
    result = subprocess.run(argv, env=environ, cwd=here.project, capture_output=True, check=True)
    assert result.stdout == b"19\n"


@ALL
def test_the_core_limit_that_nono_sets_itself_is_not_the_commands(here: Place, mode: str) -> None:
    hard = resource.getrlimit(resource.RLIMIT_CORE)[1]
    if hard == 0:
        pytest.skip("core dumps are forbidden here")
    result = subprocess.run(
        ["sh", "-c", 'ulimit -Sc 1; exec "$@"', "sh", *here.argv(mode, ["sh", "-c", "ulimit -c"])],
        env=here.user.environment(),
        cwd=here.project,
        capture_output=True,
        check=True,
    )
    assert result.stdout == b"1\n"


# Terminals


@ALL
def test_on_a_terminal_every_standard_stream_is_one(here: Place, mode: str) -> None:
    argv = here.argv(mode, ["sh", "-c", "for n in 0 1 2; do test -t $n && echo yes; done; : > /dev/tty"])
    with terminal(argv, here.user.environment(), here.project) as person:
        assert person.end() == 0
    assert person.shown == b"yes\r\n" * 3


@RUNS
@pytest.mark.parametrize(
    ("key", "name"), [(b"\x03", "SIGINT"), (b"\x1c", "SIGQUIT")], ids=["ctrl-c", "ctrl-\\"]
)
def test_an_interrupting_key_becomes_the_exit_code_of_its_signal(
    here: Place, mode: str, key: bytes, name: str
) -> None:
    argv = here.argv(mode, ["sh", "-c", "ulimit -c 0; echo ready; exec sleep 60"])
    with terminal(argv, here.user.environment(), here.project) as person:
        person.wait_for(b"ready")
        person.type(key)
        assert person.end() == 128 + signal.Signals[name]
    assert b"Traceback" not in person.shown


INTERRUPTED_ONCE = """
import signal
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
print("ready", flush=True)
first = signal.sigwaitinfo({signal.SIGINT})
second = signal.sigtimedwait({signal.SIGINT}, 0.3)
print("from", first.si_pid, "again" if second else "once")
"""


@RUNS
def test_an_interrupt_from_the_terminal_comes_once(here: Place, mode: str) -> None:
    argv = here.argv(mode, [*PYTHON, INTERRUPTED_ONCE])
    with terminal(argv, here.user.environment(), here.project) as person:
        person.wait_for(b"ready")
        person.type(b"\x03")
        assert person.end() == 0
    assert b"from 0 once\r\n" in person.shown


RESIZED = """
import os, signal
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGWINCH})
print("ready", flush=True)
signal.sigwait({signal.SIGWINCH})
print(*os.get_terminal_size(0))
"""


@ALL
def test_the_command_hears_of_a_new_window_size(here: Place, mode: str) -> None:
    argv = here.argv(mode, [*PYTHON, RESIZED])
    with terminal(argv, here.user.environment(), here.project) as person:
        person.wait_for(b"ready")
        person.resize(33, 77)
        assert person.end() == 0
    assert b"77 33\r\n" in person.shown


# Processes


@pytest.mark.needs("namespaces")
@RUNS
def test_orphans_are_reaped_while_the_command_runs(here: Place, mode: str) -> None:
    script = "for n in 1 2 3 4 5 6 7 8; do (true & ) ; done; echo ready; read line"
    with here.started(mode, "sh", "-c", script) as process:
        ready(process)
        init, _ = sorted(children(process.pid))
        assert wait_until(lambda: children(init) == [])
        assert len(children(process.pid)) == 2
        process.communicate(b"\n")
    assert process.returncode == 0


@runs_crossed("daemon", {"child": "sleep 60 &", "daemon": "(setsid sleep 60 &);"})
def test_what_the_command_left_running_ends_with_the_run(here: Place, mode: str, daemon: str) -> None:
    script = f"{daemon} exit 5"
    result = here.run(mode, "sh", "-c", script.replace("sleep 60", "sleep 60 > /dev/null 2>&1"))
    assert result.returncode == 5
    assert here.processes() == []


@ALL
def test_runs_at_the_same_time_do_not_disturb_each_other(here: Place, mode: str) -> None:
    def run(number: int) -> tuple[int, bytes, bytes]:
        script = f"cat; exit {100 + number}"
        result = here.run(mode, "sh", "-c", script, input=f"{number}\n".encode())
        return result.returncode, result.stdout, result.stderr

    with ThreadPoolExecutor(10) as pool:
        ended = list(pool.map(run, range(10)))
    assert ended == [(100 + number, f"{number}\n".encode(), b"") for number in range(10)]
    logs = list(here.audit.glob("*/audit-events.ndjson")) if here.audit.exists() else []
    assert len(logs) == (0 if mode == WRAPPED else 10)


# Where nono keeps its files


def close_state(place: Place) -> Path:
    state = place.user.home / ".local"
    state.mkdir()
    state.chmod(0o555)
    return state


@RUNS
def test_a_run_that_cannot_be_recorded_is_not_started(here: Place, mode: str) -> None:
    state = close_state(here)
    if os.geteuid() == here.user.uid:
        state.chmod(0o500)
    refused = here.run(mode, "sh", "-c", "echo started")
    unrecorded = here.run(mode, "sh", "-c", "echo started", options=["--no-audit"])
    state.chmod(0o755)
    assert (refused.returncode, refused.stdout) == (1, b"")
    first, second = refused.stderr.decode().splitlines()
    assert first.startswith("nono: the audit log cannot be opened: ")
    assert "--no-audit" in second
    assert (unrecorded.returncode, unrecorded.stdout, unrecorded.stderr) == (0, b"started\n", b"")
    assert list(state.iterdir()) == []


@pytest.mark.parametrize("below", [".", "audit"])
def test_a_state_that_others_may_write_is_told_the_mode_that_helps(here: Place, below: str) -> None:
    assert here.run(ALONE, "true").returncode == 0
    directory = (here.user.home / ".local/state/nono" / below).resolve()
    directory.chmod(0o777)
    refused = here.run(ALONE, "true")
    directory.chmod(0o700)
    assert refused.stderr.decode() == (
        f"nono: the audit log cannot be opened: {directory}: other users may write to the directory\n"
        f"hint: chmod 700 {directory}\n"
    )
    assert here.run(ALONE, "true").returncode == 0


@pytest.mark.alone
def test_a_run_that_cannot_be_recorded_does_not_wait_for_its_ca(here: Place) -> None:
    state = close_state(here)
    if os.geteuid() == here.user.uid:
        state.chmod(0o500)
    key = {"OPENAI_API_KEY": "a-key-that-nobody-has"}
    took_s = []
    for _ in range(3):  # the machine may stand still during one
        begun_s = time.monotonic()
        refused = here.run(ALONE, "true", options=["--credential", "openai"], environment=key)
        took_s.append(time.monotonic() - begun_s)
        assert b"the audit log cannot be opened" in refused.stderr
    state.chmod(0o755)
    assert min(took_s) < ORPHAN_GRACE_S


@ALL
def test_a_read_only_home_is_enough_when_state_is_elsewhere(here: Place, mode: str) -> None:
    state = here.user.home / "tmp/state"
    here.user.home.chmod(0o555)
    result = here.run(mode, "sh", "-c", "echo started", environment={"XDG_STATE_HOME": str(state)})
    here.user.home.chmod(0o700)
    recorded = state.exists()
    shutil.rmtree(state, ignore_errors=True)
    assert (result.returncode, result.stdout, result.stderr) == (0, b"started\n", b"")
    assert recorded == (mode != WRAPPED)


@ALL
def test_a_home_that_does_not_exist_is_no_obstacle(here: Place, mode: str) -> None:
    gone = str(here.user.home / "gone")
    result = here.run(mode, "sh", "-c", "echo started", environment={"HOME": gone})
    assert (result.returncode, result.stdout, result.stderr) == (0, b"started\n", b"")


def account_home(uid: int) -> str | None:
    """Return the home that the accounts of this host name; None if the user has no account."""
    try:
        return pwd.getpwuid(uid).pw_dir
    except KeyError:
        return None


@all_crossed("home", {"empty": "", "relative": "relative/home"})
def test_without_a_home_nothing_starts(here: Place, mode: str, home: str) -> None:
    result = here.run(mode, "sh", "-c", "echo started", environment={"HOME": home})
    assert (result.returncode, result.stdout) == (1, b"")
    assert result.stderr.decode() == (
        "nono: Environment variable 'HOME' validation failed: it must be set to an absolute path.\n"
        f"hint: export HOME={account_home(here.user.uid) or 'DIRECTORY'}\n"
    )


@RUNS
def test_no_audit_leaves_no_trace_of_the_run(here: Place, mode: str) -> None:
    assert here.run(mode, "true", options=["--no-audit"]).returncode == 0
    assert not here.audit.exists()
    assert here.run(mode, "true").returncode == 0
    assert len(list(here.audit.glob("*/"))) == 1


ENDINGS: dict[str, Callable[[Place, str], object]] = {
    "ended": lambda here, mode: here.run(mode, "true"),
    "not found": lambda here, mode: here.run(mode, "no-such-program"),
    "not executed": lambda here, mode: here.run(mode, str(here.user.home / "run")),
}


@all_crossed("ending", ENDINGS)
def test_nothing_is_left_behind_in_the_temporary_directories(
    here: Place, mode: str, ending: Callable[[Place, str], object]
) -> None:
    ending(here, mode)
    assert list((here.user.home / "tmp").iterdir()) == []
    assert list((here.user.home / "run").iterdir()) == []
