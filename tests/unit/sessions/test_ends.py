"""nono.sessions.ends: why a command ended, and who ended it."""

from __future__ import annotations

from signal import SIGHUP, SIGINT, SIGKILL, SIGPIPE, SIGSEGV, SIGTERM, SIGXCPU, SIGXFSZ

import pytest

from nono.sessions.ends import FOREIGN, Seen, Sender, end_of
from nono.sessions.record import End

TERMINAL = Sender(0)
SHELL = Sender(5, 1000, "bash", leads_session=True)
OTHER = Sender(6, 1000, "kill")


@pytest.mark.parametrize(
    ("seen", "end"),
    [
        pytest.param(Seen(3, None, {}), End("exit", None, "the command itself"), id="it exits"),
        pytest.param(
            Seen(143, SIGTERM, {SIGTERM: OTHER}),
            End("signal", "SIGTERM", "kill (pid 6, uid 1000)"),
            id="a signal passed on",
        ),
        pytest.param(
            Seen(130, SIGINT, {SIGINT: TERMINAL}), End("signal", "SIGINT", "the terminal"), id="Ctrl-C"
        ),
        pytest.param(
            Seen(130, None, {SIGINT: TERMINAL}),
            End("signal", "SIGINT", "the terminal"),
            id="its exit code says the signal",
        ),
        pytest.param(Seen(130, None, {}), End("exit", None, "the command itself"), id="no such signal came"),
        pytest.param(
            Seen(0, None, {SIGINT: TERMINAL}), End("exit", None, "the command itself"), id="it went on"
        ),
        pytest.param(
            Seen(143, SIGTERM, {SIGINT: OTHER}),
            End("signal", "SIGTERM", None),
            id="another signal came",
        ),
        pytest.param(
            Seen(143, SIGTERM, {SIGTERM: Sender(FOREIGN)}),
            End("signal", "SIGTERM", "a process of another PID namespace"),
            id="the sender has no number here",
        ),
        pytest.param(
            Seen(129, SIGHUP, {SIGHUP: TERMINAL}),
            End("terminal_closed", "SIGHUP", "the terminal"),
            id="the terminal hangs up",
        ),
        pytest.param(
            Seen(1, None, {SIGHUP: SHELL}),
            End("terminal_closed", None, "bash (pid 5, uid 1000)"),
            id="its shell says so",
        ),
        pytest.param(
            Seen(129, SIGHUP, {SIGHUP: OTHER}),
            End("signal", "SIGHUP", "kill (pid 6, uid 1000)"),
            id="somebody sends SIGHUP",
        ),
        pytest.param(
            Seen(137, SIGKILL, {}, is_out_of_limit=True),
            End("limit", "SIGKILL", "the kernel", "memory"),
            id="limit",
        ),
        pytest.param(
            Seen(2, None, {}, is_short_of_processes=True),
            End("exit", None, "the command itself", "processes"),
            id="limit of processes",
        ),
        pytest.param(
            Seen(152, SIGXCPU, {}), End("limit", "SIGXCPU", "the kernel", "CPU time"), id="limit of CPU time"
        ),
        pytest.param(
            Seen(153, SIGXFSZ, {}),
            End("limit", "SIGXFSZ", "the kernel", "the size of a file"),
            id="limit of the size of a file",
        ),
        pytest.param(
            Seen(152, SIGXCPU, {SIGXCPU: OTHER}),
            End("signal", "SIGXCPU", "kill (pid 6, uid 1000)"),
            id="somebody sends SIGXCPU",
        ),
        pytest.param(
            Seen(141, SIGPIPE, {}),
            End("signal", "SIGPIPE", "the kernel", "nobody reads its output any more"),
            id="its reader is gone",
        ),
        pytest.param(
            Seen(137, SIGKILL, {}, is_out_of_memory=True),
            End("out_of_memory", "SIGKILL", "the kernel"),
            id="memory",
        ),
        pytest.param(
            Seen(139, SIGSEGV, {}, is_out_of_memory=True),
            End("signal", "SIGSEGV", "the command itself"),
            id="a fault while others had no memory",
        ),
        pytest.param(Seen(137, SIGKILL, {}), End("signal", "SIGKILL", None), id="nobody knows who"),
        pytest.param(
            Seen(139, SIGSEGV, {}), End("signal", "SIGSEGV", "the command itself"), id="a fault of its own"
        ),
        pytest.param(
            Seen(143, SIGTERM, {SIGTERM: OTHER}, stopped_by="nono stop (pid 6, uid 1000)"),
            End("stop", "SIGTERM", "nono stop (pid 6, uid 1000)"),
            id="nono stop",
        ),
    ],
)
def test_an_end_has_a_reason_with_an_author(seen: Seen, end: End) -> None:
    assert end_of(seen) == end
