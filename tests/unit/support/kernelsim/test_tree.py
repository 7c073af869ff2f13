"""How a tree of processes fares under the simulator: as if it were not there."""

from __future__ import annotations

import errno
import os
import pty
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from support.kernelsim.caller import PRELUDE, Caller
from support.kernelsim.calls import landlock_abi
from support.kernelsim.kernel import Kernel

pytestmark = pytest.mark.skipif(landlock_abi() < 3, reason="the host's Landlock is too old to be told apart")

LISTENER = Kernel(notify_busy=True, landlock_abi=2)
PTRACE = Kernel(landlock_abi=2)
NONE = Kernel()
EACH_BACKEND = pytest.mark.parametrize("kernel", [LISTENER, PTRACE, NONE], ids=["listener", "ptrace", "none"])
BOTH_BACKENDS = pytest.mark.parametrize("kernel", [LISTENER, PTRACE], ids=["listener", "ptrace"])
AS_ANYBODY = pytest.mark.parametrize("caller", ["ordinary"], indirect=True)  # it is the same for root


@contextmanager
def started(argv: list[str], caller: Caller) -> Iterator[subprocess.Popen[str]]:
    """Yield a running command with pipes; it is killed, if it still runs, and reaped at the end."""
    with subprocess.Popen(
        argv,
        env=caller.environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def alive(pid: int) -> bool:
    """Return True if the process exists; a zombie does."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def ended(pid: int, timeout_s: float = 10.0) -> bool:
    """Return True once a process that need not be our child has ended; False if that takes too long."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        return bool(select.select([descriptor], [], [], timeout_s)[0])
    finally:
        os.close(descriptor)


# --- the end ----------------------------------------------------------------------------------------------


@AS_ANYBODY
@EACH_BACKEND
@pytest.mark.parametrize("code", [0, 1, 126, 255])
def test_the_exit_code_is_that_of_the_command(caller: Caller, kernel: Kernel, code: int) -> None:
    assert caller.run(caller.command(kernel, ["sh", "-c", f"exit {code}"])).returncode == code


@AS_ANYBODY
@EACH_BACKEND
@pytest.mark.parametrize("name", ["TERM", "KILL", "SEGV", "ABRT", "INT", "USR1"])
def test_the_simulator_dies_of_the_signal_that_killed_the_command(
    caller: Caller, kernel: Kernel, name: str
) -> None:
    done = caller.run(caller.command(kernel, ["sh", "-c", f"ulimit -c 0; kill -{name} $$"]))
    assert done.returncode == -getattr(signal, f"SIG{name}")


@AS_ANYBODY
@EACH_BACKEND
@pytest.mark.parametrize(
    ("argv", "code"), [(["no-such-command"], 127), (["/proc"], 126)], ids=["absent", "directory"]
)
def test_a_command_that_cannot_be_executed_is_126_or_127(
    caller: Caller, kernel: Kernel, argv: list[str], code: int
) -> None:
    done = caller.run(caller.command(kernel, argv))
    assert done.returncode == code
    assert argv[0] in done.stderr


# --- descriptors ------------------------------------------------------------------------------------------


@AS_ANYBODY
@EACH_BACKEND
def test_stdin_and_stdout_are_the_commands(caller: Caller, kernel: Kernel) -> None:
    with started(caller.command(kernel, ["cat"]), caller) as process:
        assert process.communicate("to and fro\n", timeout=10) == ("to and fro\n", "")


@AS_ANYBODY
@EACH_BACKEND
def test_a_reader_sees_the_end_of_stdout_while_the_command_runs_on(caller: Caller, kernel: Kernel) -> None:
    with started(caller.command(kernel, ["sh", "-c", "exec >&-; read line; exit 5"]), caller) as process:
        assert line(process) == ""
        assert process.poll() is None
        process.communicate("go\n", timeout=10)
        assert process.returncode == 5


@EACH_BACKEND
def test_the_command_inherits_only_the_given_descriptors(caller: Caller, kernel: Kernel) -> None:
    # Without ctypes, whose libffi may hold its own file open.
    code = "import os; print([fd for fd in range(3, 1024) if os.path.exists(f'/proc/self/fd/{fd}')])"
    argv = caller.command(kernel, [sys.executable, "-I", "-S", "-c", code])
    read_end, write_end = os.pipe()
    try:
        done = subprocess.run(
            argv, env=caller.environment, pass_fds=[read_end], capture_output=True, text=True, check=True
        )
    finally:
        os.close(read_end)
        os.close(write_end)
    assert done.stdout == f"[{read_end}]\n"


@EACH_BACKEND
def test_signal_dispositions_and_mask_are_those_of_a_fresh_program(caller: Caller, kernel: Kernel) -> None:
    argv = ["grep", "-E", "^Sig(Blk|Ign):", "/proc/self/status"]
    assert caller.run(caller.command(kernel, argv)).stdout == caller.run(argv).stdout


# --- trees ------------------------------------------------------------------------------------------------


@BOTH_BACKENDS
@pytest.mark.parametrize(
    "code",
    [
        pytest.param("t = threading.Thread(target=lambda: print(abi())); t.start(); t.join()", id="thread"),
        pytest.param(
            "pid = os.fork()\nif pid == 0:\n    print(abi(), flush=True); os._exit(0)\nos.waitpid(pid, 0)",
            id="fork",
        ),
        pytest.param(
            "import subprocess\n"
            "subprocess.run([sys.executable, '-I', '-S', '-c', "
            "'import ctypes; print(ctypes.CDLL(None).syscall(444, None, 0, 1))'], check=True)",
            id="vfork-and-exec",
        ),
        pytest.param(
            "argv = [sys.executable, '-I', '-S', '-c', "
            "'import ctypes; print(ctypes.CDLL(None).syscall(444, None, 0, 1))']\n"
            "threading.Thread(target=os.execv, args=(argv[0], argv)).start()\n"
            "signal.pause()",
            id="exec-from-a-thread",
        ),
        pytest.param(
            "def count():\n"
            "    for _ in range(50):\n"
            "        seen.add(abi())\n"
            "seen = set()\n"
            "threads = [threading.Thread(target=count) for _ in range(8)]\n"
            "[t.start() for t in threads]; [t.join() for t in threads]\n"
            "print(*seen)",
            id="eight-threads-at-once",
        ),
    ],
)
def test_every_task_of_the_tree_sees_the_simulated_kernel(caller: Caller, kernel: Kernel, code: str) -> None:
    assert caller.answer(kernel, code) == "2"


@BOTH_BACKENDS
def test_a_restarting_signal_does_not_cut_a_consulted_call_short(caller: Caller, kernel: Kernel) -> None:
    code = """
signal.signal(signal.SIGALRM, lambda *_: None)
signal.siginterrupt(signal.SIGALRM, False)
signal.setitimer(signal.ITIMER_REAL, 0.0005, 0.0005)
answers = {abi() for _ in range(500)}
signal.setitimer(signal.ITIMER_REAL, 0)
print(answers)
"""
    assert caller.answer(kernel, code) == "{2}"


def test_a_listener_of_the_commands_own_is_served_beside_the_tracer(caller: Caller) -> None:
    assert caller.answer(PTRACE, "print(abi())") == "2"
    inner = Kernel(notify_busy=True, landlock_abi=1)
    argv = [sys.executable, "-I", "-S", "-c", PRELUDE + "print(abi())"]
    done = caller.run(caller.command(PTRACE, inner.command(argv)))
    assert (done.stdout, done.stderr) == ("1\n", "")


# --- signals ----------------------------------------------------------------------------------------------

COUNT_SIGNALS = """
import select
got = []
def note(number, frame):
    got.append(signal.Signals(number).name)
    os.write(1, b"caught\\n")
for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGTSTP, signal.SIGRTMIN):
    signal.signal(number, note)
woken, wakes = os.pipe()
os.set_blocking(wakes, False)
signal.set_wakeup_fd(wakes)
os.write(1, b"ready\\n")
# Python notes a signal that comes just before a read once that has ended.
while 0 not in select.select([0, woken], [], [])[0]:
    os.read(woken, 1)
sys.stdin.readline()
print("in all", *got, ".", flush=True)
"""


@AS_ANYBODY
@EACH_BACKEND
@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT", "SIGHUP", "SIGUSR1", "SIGTSTP", "SIGRTMIN"])
def test_a_signal_sent_to_the_simulator_reaches_the_command_once(
    caller: Caller, kernel: Kernel, name: str
) -> None:
    with started(caller.probe(kernel, COUNT_SIGNALS), caller) as process:
        assert line(process) == "ready"
        process.send_signal(signal.Signals[name])
        assert line(process) == "caught"
        assert process.communicate("go\n", timeout=10) == (f"in all {name} .\n", "")


@AS_ANYBODY
@EACH_BACKEND
def test_an_unhandled_signal_sent_to_the_simulator_ends_both(caller: Caller, kernel: Kernel) -> None:
    with started(caller.command(kernel, ["sh", "-c", "echo $$; exec sleep 60"]), caller) as process:
        pid = int(line(process))
        process.terminate()
        assert process.wait(timeout=10) == -signal.SIGTERM
        assert not alive(pid)


# --- job control ------------------------------------------------------------------------------------------

SESSION = "import os, sys; os.login_tty(0); os.execv(sys.argv[1], sys.argv[1:])"

# The part of a shell that matters: one foreground job, told of its stop, and continued.
SHELL = """
import os, signal, sys
os.login_tty(0)
signal.signal(signal.SIGTTOU, signal.SIG_IGN)
job = os.fork()
if job == 0:
    os.setpgid(0, 0)
    os.tcsetpgrp(0, os.getpid())
    signal.signal(signal.SIGTTOU, signal.SIG_DFL)
    os.execv(sys.argv[1], sys.argv[1:])
_, status = os.waitpid(job, os.WUNTRACED)
print("job stopped" if os.WIFSTOPPED(status) else "job ended", flush=True)
os.killpg(job, signal.SIGCONT)
print("job exited", os.waitstatus_to_exitcode(os.waitpid(job, os.WUNTRACED)[1]), flush=True)
"""


@contextmanager
def on_a_terminal(leader: str, argv: list[str], caller: Caller) -> Iterator[int]:
    """Yield the master of a terminal whose session runs `leader` (Python) with `argv`, and ends with it."""
    master, slave = pty.openpty()
    try:
        with subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", leader, *argv],
            env=caller.environment,
            stdin=slave,
            stdout=slave,
            stderr=slave,
        ) as process:
            os.close(slave)
            try:
                yield master
            finally:
                process.kill()
    finally:
        os.close(master)


def read_until(master: int, text: str, timeout_s: float = 10.0) -> str:
    seen = ""
    while text not in seen:
        assert select.select([master], [], [], timeout_s)[0], f"no {text!r} after {seen!r}"
        seen += os.read(master, 4096).decode()
    return seen


@AS_ANYBODY
@EACH_BACKEND
def test_an_interrupt_typed_at_the_terminal_reaches_the_command_once(caller: Caller, kernel: Kernel) -> None:
    with on_a_terminal(SESSION, caller.probe(kernel, COUNT_SIGNALS), caller) as master:
        read_until(master, "ready")
        os.write(master, b"\x03")
        read_until(master, "caught")
        os.write(master, b"go\n")
        assert "in all SIGINT ." in read_until(master, ".")


@AS_ANYBODY
@EACH_BACKEND
def test_a_job_stopped_at_the_terminal_can_be_continued(caller: Caller, kernel: Kernel) -> None:
    code = "print('started', flush=True); sys.stdin.readline(); abi(); sys.exit(9)"
    with on_a_terminal(SHELL, caller.probe(kernel, code), caller) as master:
        read_until(master, "started")
        os.write(master, b"\x1a")
        read_until(master, "job stopped")
        os.write(master, b"go\n")
        assert "job exited 9" in read_until(master, "9")


@AS_ANYBODY
@EACH_BACKEND
def test_without_a_terminal_the_simulator_outlasts_a_stop_that_others_end(
    caller: Caller, kernel: Kernel
) -> None:
    code = """
print("started", flush=True)
stopped = os.fork()
if stopped == 0:
    os.kill(os.getppid(), signal.SIGSTOP)
    while open(f"/proc/{os.getppid()}/stat").read().rpartition(")")[2].split()[0] not in "Tt":
        pass
    abi()  # still answered
    os.kill(os.getppid(), signal.SIGCONT)
    os._exit(0)
os.waitpid(stopped, 0)
sys.exit(6)
"""
    leader = "import os, sys; os.setsid(); os.execv(sys.argv[1], sys.argv[1:])"
    done = caller.run([sys.executable, "-I", "-S", "-c", leader, *caller.probe(kernel, code)])
    assert (done.returncode, done.stderr) == (6, "")


# --- what is left behind ----------------------------------------------------------------------------------

# A process that outlives CMD, in a session of its own: says its pid once CMD is gone, waits for a line, then
# says what Landlock answers it.
ORPHAN = """
cmd = os.pidfd_open(os.getpid())
if os.fork():
    os._exit(7)
os.setsid()
import select
select.select([cmd], [], [])
print(os.getpid(), flush=True)
sys.stdin.readline()
print(abi(), flush=True)
"""


def lingering(kernel: Kernel) -> Kernel:
    return kernel._replace(linger=True)


@EACH_BACKEND
def test_what_the_command_left_running_is_gone_when_the_simulator_ends(
    caller: Caller, kernel: Kernel
) -> None:
    code = "setsid sleep 60 <&- >&- 2>&- & (sleep 60 & sleep 60) <&- >&- 2>&- & echo $!; exit 3"
    done = caller.run(caller.command(kernel, ["sh", "-c", code]))
    assert done.returncode == 3
    assert not alive(int(done.stdout))


@BOTH_BACKENDS
def test_lingering_it_serves_what_the_command_left_running(caller: Caller, kernel: Kernel) -> None:
    with started(caller.probe(lingering(kernel), ORPHAN), caller) as process:
        assert alive(int(line(process)))
        assert process.poll() is None
        assert process.communicate("go\n", timeout=10) == ("2\n", "")
        assert process.returncode == 7


@EACH_BACKEND
def test_lingering_ends_when_it_is_told_to(caller: Caller, kernel: Kernel) -> None:
    with started(caller.probe(lingering(kernel), ORPHAN), caller) as process:
        orphan = int(line(process))
        process.terminate()
        assert process.wait(timeout=10) == 7
        assert not alive(orphan)


@EACH_BACKEND
def test_the_command_ends_when_the_simulator_is_killed(caller: Caller, kernel: Kernel) -> None:
    with started(caller.command(kernel, ["sh", "-c", "echo $$; exec sleep 60"]), caller) as process:
        pid = int(line(process))
        process.kill()
        assert ended(pid)


def test_the_whole_traced_tree_ends_when_the_simulator_is_killed(caller: Caller) -> None:
    with started(caller.probe(lingering(PTRACE), ORPHAN), caller) as process:
        orphan = int(line(process))
        process.kill()
        assert ended(orphan)


def test_a_call_that_nobody_can_answer_any_more_is_enosys(caller: Caller) -> None:
    with started(caller.probe(lingering(LISTENER), ORPHAN), caller) as process:
        orphan = int(line(process))
        process.kill()
        process.wait(timeout=10)
        assert process.communicate("go\n", timeout=10)[0] == f"{-errno.ENOSYS}\n"
        assert ended(orphan)
