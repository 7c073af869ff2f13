"""Do the child's half of a start: apply the kernel's restrictions and become CMD."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Sequence
from typing import TYPE_CHECKING, NoReturn

from support.kernelsim.calls import PR_SET_PDEATHSIG, architecture, install_filter, install_listener, prctl
from support.kernelsim.filter import RET_TRACE, RET_USER_NOTIF, outer_filter
from support.kernelsim.standin import say

if TYPE_CHECKING:
    from support.kernelsim.kernel import Kernel

type SignalMask = set[int | signal.Signals]

EXIT_SIMULATOR_FAILED = 125
EXIT_NOT_EXECUTABLE = 126
EXIT_NOT_FOUND = 127


def confine(kernel: Kernel, channel: socket.socket) -> None:
    """Apply the restrictions and wait to be attended. Ends the process if it cannot be.

    `channel` carries one byte and, with --notify-busy, the listener to the simulator, and one byte back: go.
    """
    is_confined = False
    try:
        with channel:
            _restrict(kernel, channel)
        is_confined = True
    except OSError as error:
        say(error.strerror or str(error))
    finally:
        if not is_confined:
            os._exit(EXIT_SIMULATOR_FAILED)


def execute(argv: Sequence[str], mask: SignalMask) -> NoReturn:
    """Become CMD. `mask` is its signal mask."""
    code = EXIT_NOT_EXECUTABLE
    try:
        _restore_signals(mask)
        os.execvp(argv[0], list(argv))
    except FileNotFoundError as error:
        code = EXIT_NOT_FOUND
        say(f"{argv[0]}: {error.strerror}")
    except OSError as error:
        say(f"{argv[0]}: {error.strerror or error}")
    finally:
        os._exit(code)


def _restrict(kernel: Kernel, channel: socket.socket) -> None:
    if kernel.wsl2 and kernel.release:
        from support.kernelsim.wsl2 import dress_as_wsl2  # few kernels need it and its imports

        dress_as_wsl2(kernel.release)
    prctl(PR_SET_PDEATHSIG, signal.SIGKILL)  # dies with the simulator; last, because changing ids clears it
    program = outer_filter(
        architecture(),
        kernel.consulted,
        RET_USER_NOTIF if kernel.notify_busy else RET_TRACE,
        refuse_user_namespaces=kernel.no_userns,
    )
    if kernel.notify_busy:
        listener = install_listener(program)
        socket.send_fds(channel, [b"r"], [listener])
        os.close(listener)
    else:
        channel.send(b"r")
    if channel.recv(1) != b"g":  # nobody will answer
        os._exit(EXIT_SIMULATOR_FAILED)
    if not kernel.notify_busy and (kernel.consulted or kernel.no_userns):
        install_filter(program)


def _restore_signals(mask: SignalMask) -> None:
    """Undo what Python did to the dispositions, then let pending signals arrive."""
    for number in (signal.SIGPIPE, signal.SIGXFSZ):
        signal.signal(number, signal.SIG_DFL)
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, mask)
