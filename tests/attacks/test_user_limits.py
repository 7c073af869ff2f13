"""A command that takes what its user may have of processes or of epoll watches does not end a supervisor."""

from __future__ import annotations

import fcntl
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from nono.supervisor import abort
from nono.supervisor.watches import LIMITS
from support.nono_run import SANDBOX_POLICIES, TIMEOUT_S, NonoRun, program
from support.servers.http1 import Received, upstream
from support.sessions.control import ask_all, key_of
from support.sessions.records import leftovers, record_of

MAX_USER_WATCHES = Path("/proc/sys/fs/epoll/max_user_watches")
FEW_WATCHES = 50_000  # many more than anything that goes on beside needs

LOWERED = pytest.mark.needs("sysctls", suite=True)

# Room for a few more threads than the user has, those that /proc does not show in a container as well.
LIMIT = """
import os, resource, sys
from contextlib import suppress
there = 0
for pid in filter(str.isdecimal, os.listdir("/proc")):
    with suppress(OSError):
        if os.stat(f"/proc/{pid}").st_uid == os.getuid():
            there += len(os.listdir(f"/proc/{pid}/task"))
most = resource.getrlimit(resource.RLIMIT_NPROC)[1]
while True:
    resource.setrlimit(resource.RLIMIT_NPROC, (there, most))
    try:
        pid = os.fork()
    except BlockingIOError:
        there += 8
        continue
    if pid == 0:
        os._exit(0)
    os.waitpid(pid, 0)
    break
resource.setrlimit(resource.RLIMIT_NPROC, (there + 40, there + 40))
os.execv(sys.argv[1], sys.argv[1:])
"""
LIMITED = (sys.executable, "-I", "-S", "-c", LIMIT)
POLICIES = pytest.mark.parametrize("policy", [each for each in SANDBOX_POLICIES if each != "netns"])


@pytest.mark.alone  # all processes of the user count, those of other tests too
@POLICIES
@pytest.mark.parametrize("sandbox", ["user"], indirect=True)  # the limit is none for root
@pytest.mark.parametrize("taken", ["processes", "nothing"])
def test_a_name_is_looked_up_when_no_process_can_be_made(taken: str, policy: str, sandbox: NonoRun) -> None:
    with upstream() as server:
        host = f"localhost:{server.port}"
        run = sandbox.run(
            program("processes.take_all", taken, host),
            profile={"network": {"allow_domain": [host]}},
            flags=[f"--sandbox-policy={policy}"],
            wrapper=LIMITED,
            timeout_s=40,
        )
    assert run.stdout.split() == [taken, "200", "200"], (run.exit_code, run.stderr)
    assert run.events[-1]["type"] == "session_ended"


def answer_much(request: Received) -> None:
    with suppress(OSError):
        request.connection.respond(body=bytes(64 << 20))


@contextmanager
def few_watches() -> Iterator[None]:
    """Lower the number of epoll watches of each user until the block is left: millions take seconds.

    The limit is the machine's: another suite waits here, or it would take it back too early.
    """
    with MAX_USER_WATCHES.open() as limit:
        fcntl.flock(limit, fcntl.LOCK_EX)
        before = limit.read()
        MAX_USER_WATCHES.write_text(str(FEW_WATCHES))
        try:
            yield
        finally:
            MAX_USER_WATCHES.write_text(before)


def asked(nono: subprocess.Popen[str], target: str) -> str:
    """Return what processes.ask answers to one request."""
    assert nono.stdin is not None
    assert nono.stdout is not None
    nono.stdin.write(f"{target}\n")
    nono.stdin.flush()
    return nono.stdout.readline()


@contextmanager
def all_watches_taken(sandbox: NonoRun) -> Iterator[None]:
    """Take all watches by another program of the user, until the block is left."""
    with few_watches(), sandbox.started(program("processes.take_all", "watches"), sandboxed=False) as taker:
        assert taker.stdout is not None
        assert taker.stdout.readline() == "watches\n"
        yield


@LOWERED
@pytest.mark.root
@pytest.mark.alone
@POLICIES
@pytest.mark.parametrize("taken", ["watches", "nothing"])
def test_a_run_goes_on_when_its_command_takes_all_watches(taken: str, policy: str, sandbox: NonoRun) -> None:
    with upstream() as server, few_watches():
        host = f"localhost:{server.port}"
        run = sandbox.run(
            program("processes.take_all", taken, host),
            profile={"network": {"allow_domain": [host]}},
            flags=[f"--sandbox-policy={policy}"],
            timeout_s=40,
        )
    meanwhile = "0" if taken == "watches" else "200"
    assert run.stdout.split() == [taken, meanwhile, "200"], (run.exit_code, run.stderr)
    assert run.events[-1]["type"] == "session_ended"


@LOWERED
@pytest.mark.root
@pytest.mark.alone
@POLICIES
def test_a_run_goes_on_when_another_program_takes_all_watches(policy: str, sandbox: NonoRun) -> None:
    flags = [f"--sandbox-policy={policy}", "--allow-domain=localhost"]
    with upstream() as server, sandbox.started(program("processes.ask"), flags=flags) as nono:
        target = f"localhost:{server.port}"
        assert asked(nono, target) == "200\n"
        with all_watches_taken(sandbox):
            assert asked(nono, target) == "0\n"
        assert asked(nono, target) == "200\n"
        assert nono.stdin is not None
        nono.stdin.close()
        assert nono.wait(TIMEOUT_S) == 0


@LOWERED
@pytest.mark.root
@pytest.mark.alone
@pytest.mark.parametrize("sandbox", ["user"], indirect=True)  # root's are shared with whatever else runs here
def test_who_has_taken_all_watches_ends_no_session_at_its_socket(sandbox: NonoRun) -> None:
    flags = ["--name=web", "--allow-domain=localhost"]
    with upstream() as server, sandbox.started(program("processes.ask"), flags=flags) as nono:
        target = f"localhost:{server.port}"
        assert asked(nono, target) == "200\n"
        name = record_of(sandbox.user, "web")["session_id"]
        request = ("GET", "/v1/session", None, key_of(sandbox, name))
        with (
            all_watches_taken(sandbox),
            pytest.raises(AssertionError, match=r"RemoteDisconnected|ConnectionReset|BrokenPipe"),
        ):
            ask_all(sandbox, name, request)
        ((status, _),) = ask_all(sandbox, name, request)
        assert status == 200
        assert asked(nono, target) == "200\n"


@LOWERED
@pytest.mark.root
@pytest.mark.alone
@POLICIES
def test_a_run_without_any_watch_does_not_start(policy: str, sandbox: NonoRun) -> None:
    with all_watches_taken(sandbox):
        run = sandbox.run(["true"], flags=[f"--sandbox-policy={policy}"])
    assert run.exit_code == 1
    assert f"the event loop cannot watch a descriptor: No space left on device\nhint: {LIMITS}" in run.stderr
    assert run.events[-1]["type"] == "session_ended"
    assert leftovers(sandbox.user) == []


@LOWERED
@pytest.mark.root
@pytest.mark.alone
@pytest.mark.parametrize("sandbox", ["user"], indirect=True)  # root's are shared with whatever else runs here
def test_a_loop_that_comes_too_late_for_a_watch_says_so(sandbox: NonoRun) -> None:
    """As when the command has taken all between the look for free ones and the start of the loop."""
    program = (
        "from nono.errors import NonoError\n"
        "from nono.supervisor import loop\n"
        "loop.try_watches = lambda: None\n"
        "async def nothing(): pass\n"
        "try:\n"
        "    loop.run(nothing)\n"
        "except NonoError as error:\n"
        "    print(error.message)\n"
    )
    with all_watches_taken(sandbox):
        run = sandbox.bare([sys.executable, "-I", "-c", program])
    assert run.stdout == "the event loop cannot watch a descriptor.\n", run.stderr


@LOWERED
@pytest.mark.root
@pytest.mark.alone
@POLICIES
def test_a_run_that_cannot_go_on_ends_in_order(policy: str, sandbox: NonoRun) -> None:
    """libuv gives up the watch of a socket that is not read from, and aborts if it gets no other."""
    with upstream(answer_much) as server, few_watches():
        host = f"localhost:{server.port}"
        run = sandbox.run(
            program("processes.take_all", "paused", host),
            profile={"network": {"allow_domain": [host]}},
            flags=[f"--sandbox-policy={policy}"],
        )
    assert run.exit_code == abort.EXIT_CODE
    assert abort.REASON in run.stderr
    assert run.events[-1]["type"] == "session_ended"
    assert leftovers(sandbox.user) == []
