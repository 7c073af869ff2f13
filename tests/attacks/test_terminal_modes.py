"""What the command does to the terminal it was given neither stops nono nor outlives the run."""

from __future__ import annotations

import errno
import fcntl
import os
import select
import shlex
import signal
import struct
import subprocess
import termios
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress

import pytest

from support.elevation import elevated, python
from support.nono_run import NONO, PROGRAM_GRANTS, NonoRun
from support.terminal import Terminal, terminal

pytestmark = pytest.mark.any_user  # root may do no less to its terminal, and the filter says no to both

TITLE = b"NONO DIAGNOSTIC"
BEHIND_S = 2.0
# A group of its own in the foreground, as a shell makes for its jobs.
ALONE = "import os, signal, sys, termios; signal.signal(signal.SIGTTOU, signal.SIG_IGN); "
IN_FRONT = "os.setpgid(0, 0); os.tcsetpgrp(0, os.getpid()); "
TOSTOP = "a = termios.tcgetattr(0); a[3] |= termios.TOSTOP; termios.tcsetattr(0, termios.TCSANOW, a); "
SUSPEND = "termios.tcflow(0, termios.TCOOFF); "
EXCLUSIVE = "import fcntl; fcntl.ioctl(0, termios.TIOCEXCL); "
RAW = "a = termios.tcgetattr(0); a[3] = 0; a[1] = 0; termios.tcsetattr(0, termios.TCSANOW, a); "
# Waits until the output is stopped, by "x".
STOPPED_BY_X = (
    "import select; a = termios.tcgetattr(0); a[0] |= termios.IXON;"
    "a[6][termios.VSTOP], a[6][termios.VSTART] = b'x', b'\\x01'; termios.tcsetattr(0, termios.TCSANOW, a);"
    "os.write(2, b'type'); [None for _ in iter(lambda: select.select([], [0], [], 0)[1], [])]; "
)
# Of the caller's own open file description, without its flag for large files.
STREAM = (
    "import fcntl, os, signal; signal.signal(signal.SIGIO, signal.SIG_IGN);"
    "fcntl.fcntl(0, fcntl.F_SETFL, fcntl.fcntl(0, fcntl.F_GETFL) | os.O_NONBLOCK);"
    "fcntl.fcntl(0, fcntl.F_SETSIG, signal.SIGURG)"
)
TELL_STREAM = (
    "import fcntl, os; flags = fcntl.fcntl(0, fcntl.F_GETFL);"
    "print('stream:', flags & os.O_NONBLOCK, flags & os.O_ASYNC, fcntl.fcntl(0, fcntl.F_GETSIG))"
)
TIOCGEXCL = 0x80045440  # asm-generic/ioctls.h
TIOCSETD, TIOCGETD = 0x5423, 0x5424
N_NULL = 27  # <linux/tty.h>: reads nothing and writes nothing
KDSKBMODE, KDSETMODE, PIO_FONTX = 0x4B45, 0x4B3A, 0x4B6C  # <linux/kd.h>
VT_SETMODE = 0x5602  # <linux/vt.h>
# Ends with the error that a request comes to.
ASKS = """
import ctypes, os, sys
libc = ctypes.CDLL(None, use_errno=True)
refused = libc.ioctl(0, ctypes.c_ulong(int(sys.argv[1])), (ctypes.c_int * 16)(int(sys.argv[2])))
os._exit(ctypes.get_errno() if refused else 0)
"""


@contextmanager
def shown_to(sandbox: NonoRun, argv: Sequence[str]) -> Iterator[tuple[Terminal, int]]:
    """Yield a person in front of argv, and a descriptor of the terminal that outlives it."""
    environment = sandbox.user.environment({"LC_ALL": "C", "NONO_NO_SAVE_PROMPT": "1"})
    with terminal(argv, environment, sandbox.project) as person:
        kept = person.other_end()
        try:
            yield person, kept
        finally:
            os.close(kept)


def is_exclusive(descriptor: int) -> bool:
    return bool(struct.unpack("i", fcntl.ioctl(descriptor, TIOCGEXCL, bytes(4)))[0])


@pytest.mark.parametrize(
    "does",
    [
        pytest.param(IN_FRONT + TOSTOP, id="TOSTOP"),
        pytest.param(SUSPEND, id="TCOOFF"),
        pytest.param(IN_FRONT + TOSTOP + SUSPEND, id="both"),
    ],
)
def test_nono_says_what_it_has_to_say_afterwards(does: str, sandbox: NonoRun) -> None:
    argv = elevated(sandbox, python(f"{ALONE}{does}os.kill(os.getpid(), 9)"), elevates=False)
    with shown_to(sandbox, argv) as (person, _):
        assert person.end() == 137
    assert TITLE in person.shown


@pytest.mark.parametrize("end", ["os._exit(3)", "os.kill(os.getpid(), 9)"], ids=["it exits", "it is killed"])
@pytest.mark.parametrize("does", [IN_FRONT + TOSTOP, EXCLUSIVE, RAW, IN_FRONT + RAW + EXCLUSIVE + SUSPEND])
def test_the_terminal_is_as_it_was(does: str, end: str, sandbox: NonoRun) -> None:
    argv = elevated(sandbox, python(f"{ALONE}{does}{end}"), elevates=False)
    with shown_to(sandbox, argv) as (person, kept):
        before = termios.tcgetattr(kept)
        person.end()
        assert (termios.tcgetattr(kept), is_exclusive(kept)) == (before, False)


@pytest.mark.parametrize("output", ["/dev/null", "output"])
def test_so_it_is_where_the_output_goes_to_a_file(output: str, sandbox: NonoRun) -> None:
    """Found by the hunt: nono left what TIOCSSOFTCAR had set."""
    run = shlex.join(elevated(sandbox, python(f"{ALONE}{RAW}os._exit(3)"), elevates=False))
    with shown_to(sandbox, ["/bin/sh", "-c", f"{run} >{output}"]) as (person, kept):
        before = termios.tcgetattr(kept)
        assert person.end() == 3
        assert termios.tcgetattr(kept) == before


@pytest.mark.parametrize("output", [">/dev/null", "| cat"])
def test_a_key_of_the_commands_choice_holds_no_output_up_afterwards(output: str, sandbox: NonoRun) -> None:
    """Found by hand: a person typed it, knew no key that starts the output again, and nono never ended."""
    run = shlex.join(
        elevated(sandbox, python(f"{ALONE}{STOPPED_BY_X}os.kill(os.getpid(), 9)"), elevates=False)
    )
    with shown_to(sandbox, ["/bin/sh", "-c", f"{run} {output}"]) as (person, kept):
        before = flow_keys(kept)
        person.wait_for(b"type")
        person.type(b"x")
        person.end()
        assert flow_keys(kept) == before
    assert TITLE in person.shown


def test_without_nono_the_key_goes_on_holding_it_up(sandbox: NonoRun) -> None:
    with shown_to(sandbox, sandbox.user.command(python(f"{ALONE}{STOPPED_BY_X}os._exit(3)"))) as (
        person,
        kept,
    ):
        person.wait_for(b"type")
        person.type(b"x")
        assert person.end() == 3
        assert not select.select([], [kept], [], 0)[1]
        termios.tcflush(kept, termios.TCOFLUSH)


def test_what_a_person_holds_up_is_held_until_they_let_go(sandbox: NonoRun) -> None:
    waits = STOPPED_BY_X.replace("b'x'", "b'\\x13'").replace("b'\\x01'", "b'\\x11'")
    run = shlex.join(elevated(sandbox, python(f"{ALONE}{waits}os.kill(os.getpid(), 9)"), elevates=False))
    with shown_to(sandbox, ["/bin/sh", "-c", f"{run} >/dev/null"]) as (person, kept):
        person.wait_for(b"type")
        person.type(b"\x13")
        with pytest.raises(subprocess.TimeoutExpired):
            person.end(2.0)
        assert not select.select([], [kept], [], 0)[1]
        person.type(b"\x11")
        assert person.end() == 137
    assert TITLE in person.shown


def flow_keys(descriptor: int) -> list[bytes]:
    keys = termios.tcgetattr(descriptor)[6]
    return [keys[termios.VSTART], keys[termios.VSTOP]]


def line_discipline(descriptor: int) -> int:
    (number,) = struct.unpack("i", fcntl.ioctl(descriptor, TIOCGETD, bytes(4)))
    return int(number)


@pytest.mark.parametrize("request_number", [TIOCSETD, KDSKBMODE, KDSETMODE, PIO_FONTX, VT_SETMODE])
def test_the_terminal_is_not_made_useless(request_number: int, sandbox: NonoRun) -> None:
    """Found by hand: a command left a terminal that showed nothing, and a console whose keyboard was off."""
    asks = python(ASKS, str(request_number), str(N_NULL))
    wrap = [*NONO, "wrap", "--silent", f"--allow={sandbox.project}", *PROGRAM_GRANTS, "--", *asks]
    for nono in (elevated(sandbox, asks, elevates=False), sandbox.user.command(wrap)):
        with shown_to(sandbox, ["/bin/sh", "-c", f"{shlex.join(nono)} >/dev/null"]) as (person, kept):
            assert person.end() == errno.EPERM
            assert line_discipline(kept) == 0


@pytest.mark.parametrize("request_number", [KDSKBMODE, KDSETMODE, PIO_FONTX, VT_SETMODE])
def test_a_pseudoterminal_knows_none_of_the_consoles_requests(request_number: int, sandbox: NonoRun) -> None:
    argv = sandbox.user.command(python(ASKS, str(request_number), "0"))
    with shown_to(sandbox, argv) as (person, _):
        assert person.end() == errno.ENOTTY


def test_without_nono_the_line_discipline_stays(sandbox: NonoRun) -> None:
    with shown_to(sandbox, sandbox.user.command(python(ASKS, str(TIOCSETD), str(N_NULL)))) as (person, kept):
        if person.end() == errno.EINVAL:
            pytest.skip("this kernel has no N_NULL")
        assert line_discipline(kept) == N_NULL


@pytest.mark.parametrize("nobody_reads", [True, False], ids=["to a file", "to a pipe"])
def test_a_stream_that_the_caller_shares_is_as_it_was(nobody_reads: bool, sandbox: NonoRun) -> None:
    """Found by hand: a script's next read came to EAGAIN, and a signal."""
    run = shlex.join(elevated(sandbox, python(STREAM), elevates=False))
    tell = shlex.join(python(TELL_STREAM))
    output = ">/dev/null" if nobody_reads else "| cat"
    with shown_to(sandbox, ["/bin/sh", "-c", f"{run} {output}; {tell}"]) as (person, _):
        assert person.end() == 0
    assert b"stream: 0 0 0" in person.shown


def test_without_nono_the_stream_stays_so(sandbox: NonoRun) -> None:
    line = f"{shlex.join(python(STREAM))} >/dev/null; {shlex.join(python(TELL_STREAM))}"
    with shown_to(sandbox, sandbox.user.command(["/bin/sh", "-c", line])) as (person, _):
        assert person.end() == 0
    assert b"stream: %d 0 %d" % (os.O_NONBLOCK, signal.SIGURG) in person.shown


def test_the_foreground_comes_back_where_a_program_reads_the_output(sandbox: NonoRun) -> None:
    """A script reads from the terminal afterwards, and would be stopped."""
    run = shlex.join(elevated(sandbox, python(f"{ALONE}{IN_FRONT}"), elevates=False))
    tell = shlex.join(python("import os; print('in front:', os.tcgetpgrp(0) == os.getpgrp())"))
    with shown_to(sandbox, ["/bin/sh", "-c", f"{run} | cat; {tell}"]) as (person, _):
        assert person.end() == 0
    assert b"in front: True" in person.shown


def test_a_terminal_that_is_not_the_controlling_one_is_as_it_was(sandbox: NonoRun) -> None:
    """As below `su -c`, which makes a session without one."""
    run = shlex.join(elevated(sandbox, python(f"{ALONE}{RAW}os._exit(3)"), elevates=False))
    with shown_to(sandbox, ["/bin/sh", "-c", f"setsid --wait {run} >/dev/null"]) as (person, kept):
        before = termios.tcgetattr(kept)
        assert person.end() == 3
        assert termios.tcgetattr(kept) == before


def test_without_nono_all_of_that_stays(sandbox: NonoRun) -> None:
    argv = sandbox.user.command(python(f"{ALONE}{RAW}{EXCLUSIVE}os._exit(3)"))
    with shown_to(sandbox, argv) as (person, kept):
        before = termios.tcgetattr(kept)
        assert person.end() == 3
        assert (termios.tcgetattr(kept) == before, is_exclusive(kept)) == (False, True)
        fcntl.ioctl(kept, termios.TIOCNXCL)


def test_modes_set_by_whoever_reads_the_output_stay(sandbox: NonoRun) -> None:
    """As a pager's, which goes on when nono has ended."""
    run = shlex.join(elevated(sandbox, ["true"], elevates=False))
    reads = (
        "import os, sys, termios; t = os.open('/dev/tty', os.O_RDWR); a = termios.tcgetattr(t); a[3] = 0;"
        "termios.tcsetattr(t, termios.TCSANOW, a); sys.stdin.read(); print('left:', termios.tcgetattr(t)[3])"
    )
    pager = shlex.join(python(reads))
    with shown_to(sandbox, ["/bin/sh", "-c", f"{run} 2>&1 | {pager}"]) as (person, _):
        assert person.end() == 0
    assert b"left: 0" in person.shown


def test_nono_says_all_it_has_to_say_to_a_stream_that_does_not_block(sandbox: NonoRun) -> None:
    """Whoever reads it is behind: what did not fit was lost without a word."""
    fills = (
        "import fcntl, os; fcntl.fcntl(2, fcntl.F_SETFL, fcntl.fcntl(2, fcntl.F_GETFL) | os.O_NONBLOCK)\n"
        "try:\n"
        "    while True:\n"
        "        os.write(2, b'x')\n"
        "except BlockingIOError:\n"
        "    pass\n"
        "os.kill(os.getpid(), 9)\n"
    )
    reader, writer = os.pipe()
    fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, 4096)
    argv = elevated(sandbox, python(fills), elevates=False)
    environment = sandbox.user.environment({"LC_ALL": "C", "NONO_NO_SAVE_PROMPT": "1"})
    with subprocess.Popen(argv, env=environment, cwd=sandbox.project, stderr=writer) as process:
        os.close(writer)
        with suppress(subprocess.TimeoutExpired):
            process.wait(BEHIND_S)  # it waits for the reader
        with open(reader, "rb") as stderr:
            said = stderr.read()
    assert process.returncode == 137
    assert TITLE in said
