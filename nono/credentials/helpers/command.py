"""Run a credential helper: no shell, a clean environment, a time limit and bounded output.

Everything a helper prints is treated as a secret, on standard error too: it leaves this module inside a
``Secret``, or scrubbed.
"""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from time import monotonic

from nono.credentials.helpers import runner
from nono.credentials.helpers.outcome import (
    Failed,
    Lost,
    NotStarted,
    Outcome,
    Succeeded,
    TimedOut,
    TooLarge,
    scrub,
)
from nono.credentials.helpers.program import DEFAULT_PATH, trusted_directories
from nono.kernel import process as own_process
from nono.secret import Secret

STDOUT_BYTES_MAX = 64 * 1024
STDERR_BYTES_MAX = 4 * 1024
_ENDING_S = 2.0  # for the intermediate process to kill the helper and report it
_LAST_RESORTS = (signal.SIGCONT, signal.SIGKILL)

# The variables by which a program finds its user's files, language, agents and windows. All others are
# removed, among them proxy variables (they may point at nono's own proxy), LD_* and other services' keys.
_INHERITED = frozenset(
    {"HOME", "USER", "LOGNAME", "LANG", "LANGUAGE", "TERM", "TZ", "TMPDIR", "DBUS_SESSION_BUS_ADDRESS"}
    | {"GNUPGHOME", "GPG_TTY", "DISPLAY", "WAYLAND_DISPLAY", "XAUTHORITY", "SSH_AUTH_SOCK"}
)
_INHERITED_PREFIXES = ("LC_", "XDG_")


def helper_environment(environ: Mapping[str, str], *tool_names: str) -> dict[str, str]:
    """Return the part of `environ` that a helper inherits.

    PATH keeps only the directories that ``program`` trusts, because a helper that is a script runs other
    programs by name.

    tool_names: The helper's own variables; a name that ends in '_' is a prefix.
    """
    prefixes = _INHERITED_PREFIXES + tuple(name for name in tool_names if name.endswith("_"))
    names = _INHERITED | set(tool_names)
    kept = {name: value for name, value in environ.items() if name in names or name.startswith(prefixes)}
    kept["PATH"] = os.pathsep.join(trusted_directories(environ)) or DEFAULT_PATH
    return kept


def run_helper_and_wait(
    argv: Sequence[str], environ: Mapping[str, str], *, timeout_s: float, stdin: bytes | None = None
) -> Outcome:
    """Do the same as run_helper(), but block, because importing an event loop would delay a start."""
    try:
        with _started(argv, environ, stdin) as process:
            try:
                report = process.report_within(timeout_s)
            finally:
                process.let_go()
                for last_resort in _LAST_RESORTS:
                    if process.ends_within(_ENDING_S):
                        break
                    process.between.send_signal(last_resort)
            return _outcome(process, report, timeout_s)
    except (OSError, ValueError) as error:
        return _not_started(error)


async def run_helper(
    argv: Sequence[str], environ: Mapping[str, str], *, timeout_s: float, stdin: bytes | None = None
) -> Outcome:
    """Run `argv` in ``/`` with this environment, and collect its output. argv[0] is an absolute path.

    stdin: None means /dev/null.
    The helper and its process group are dead when this returns or is cancelled. A process that left the
    group, such as a gpg-agent or another daemon, is not waited for and lives on.
    """
    # Imported here, for the same reason.
    import anyio

    try:
        with _started(argv, environ, stdin) as process:
            report: bytes | None = None
            try:
                with anyio.move_on_after(timeout_s):
                    while (report := process.said()) is None:
                        await anyio.wait_readable(process.epoll)
            finally:
                process.let_go()
                await _end(process)
            return _outcome(process, report, timeout_s)
    except (OSError, ValueError) as error:
        return _not_started(error)


async def _end(process: _Process) -> None:
    """Wait until it has ended, even if cancelled; signal it if something stopped it."""
    import anyio

    for last_resort in _LAST_RESORTS:
        with anyio.move_on_after(_ENDING_S, shield=True):
            while not process.has_ended():
                await anyio.wait_readable(process.report)
        if process.has_ended():
            break
        process.between.send_signal(last_resort)


def _not_started(error: OSError | ValueError) -> NotStarted:
    if isinstance(error, OSError):
        return NotStarted(error.strerror or "cannot be executed")
    # A NUL, or a lone surrogate, in an argument or a variable; the text would quote it.
    return NotStarted("an argument or a variable cannot be spelled in bytes")


class _Stream:
    """One output of the helper: the part that is kept, and the length of the whole."""

    def __init__(self, fd: int, limit_bytes: int) -> None:
        os.set_blocking(fd, False)
        self.fd = fd
        self._limit_bytes = limit_bytes
        self.kept = bytearray()
        self.length = 0

    @property
    def is_too_long(self) -> bool:
        return self.length > self._limit_bytes

    def take(self) -> bool:
        """Read the available bytes and drop the excess. Returns False at end of file."""
        while True:
            try:
                piece = os.read(self.fd, 65536)
            except BlockingIOError:
                return True
            self.length += len(piece)
            self.kept += piece[: self._limit_bytes - len(self.kept)]
            if not piece or self.is_too_long:
                return bool(piece)


class _Process:
    """A running helper, and the intermediate process that reports its end."""

    def __init__(
        self,
        between: subprocess.Popen[bytes],
        stdout: _Stream,
        stderr: _Stream,
        report: int,
        let_go: Callable[[], None],  # closes the leash, which kills the helper
        epoll: select.epoll,
    ) -> None:
        self.between = between
        self.stdout, self.stderr = stdout, stderr
        self.report = report
        self.let_go = let_go
        self.epoll = epoll  # readable when said() has something to do
        self._has_ended = False
        for descriptor in (stdout.fd, stderr.fd, report):
            epoll.register(descriptor, select.EPOLLIN)

    def said(self) -> bytes | None:
        """Read what is available. Returns the report; None if it has not arrived yet.

        The report is b"" if the intermediate process died, or if there is too much output.
        """
        for descriptor, _ in self.epoll.poll(0):
            if descriptor == self.report:
                report = os.read(self.report, 64)
                # The helper is dead, so all its output is in the pipes. EOF may never come, because a daemon
                # may hold them open.
                self.stdout.take()
                self.stderr.take()
                return report
            stream = self.stdout if descriptor == self.stdout.fd else self.stderr
            if not stream.take():
                self.epoll.unregister(descriptor)
        return b"" if self.stdout.is_too_long else None

    def report_within(self, limit_s: float) -> bytes | None:
        """Wait for what said() returns; None after limit_s."""
        deadline = monotonic() + limit_s
        while (report := self.said()) is None and (left_s := deadline - monotonic()) > 0:
            self.epoll.poll(left_s)
        return report

    def has_ended(self) -> bool:
        """Return True once the intermediate process has ended."""
        with suppress(BlockingIOError):
            while not self._has_ended:
                self._has_ended = not os.read(self.report, 64)
        return self._has_ended

    def ends_within(self, limit_s: float) -> bool:
        """Wait until it has ended, which it does at once unless something stopped it."""
        poll = select.poll()
        poll.register(self.report, select.POLLIN)
        deadline = monotonic() + limit_s
        while not self.has_ended() and (left_s := deadline - monotonic()) > 0:
            poll.poll(left_s * 1000)
        return self.has_ended()


def _outcome(process: _Process, report: bytes | None, limit_s: float) -> Outcome:
    if process.stdout.is_too_long:
        return TooLarge(STDOUT_BYTES_MAX)
    if report is None:
        return TimedOut(limit_s, process.stdout.length)
    return _judge(report, process.stdout, process.stderr)


def _judge(report: bytes, stdout: _Stream, stderr: _Stream) -> Outcome:
    match report.split():
        case [b"exit", b"0"]:
            return Succeeded(_secret(stdout.kept), stdout.length)
        case [b"exit", status]:
            scrubbed = scrub(bytes(stderr.kept), bytes(stdout.kept))
            return Failed(int(status), stdout.length, _secret(stderr.kept), scrubbed)
        case [b"errno", number]:
            return NotStarted(os.strerror(int(number)))
    return Lost()


def _secret(content: bytearray) -> Secret:
    return Secret(content.decode("utf-8", "surrogateescape"))


@contextmanager
def _started(argv: Sequence[str], environ: Mapping[str, str], stdin: bytes | None) -> Iterator[_Process]:
    """Start the helper below an intermediate process; all descriptors are closed when the block is left.

    Leave the block only after the report has ended, so that reaping does not wait.
    """
    with ExitStack() as stack:
        leash_end, leash = os.pipe()
        stack.callback(os.close, leash_end)
        held = stack.enter_context(os.fdopen(leash, "wb", buffering=0))
        report, report_end = os.pipe()
        stack.callback(os.close, report)
        report_writer = stack.enter_context(os.fdopen(report_end, "wb", buffering=0))
        os.set_blocking(report, False)
        between = stack.enter_context(
            subprocess.Popen(
                [
                    *(sys.executable, "-I", "-S", runner.__file__),
                    *(str(leash_end), str(report_end)),
                    *argv,
                ],
                stdin=stack.enter_context(_input(stdin)),
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env=dict(environ),
                cwd="/",  # a program may read settings from its cwd, and the agent controls the project
                pass_fds=(leash_end, report_end),
                start_new_session=True,  # Ctrl-C reaches only nono, which then closes the leash
            )
        )
        own_process.restore_open_files(between.pid)  # its interpreter is still starting
        report_writer.close()  # so that the report ends with the intermediate process
        if between.stdout is None or between.stderr is None:
            raise RuntimeError("a pipe that was asked for is not there")
        yield _Process(
            between,
            _Stream(between.stdout.fileno(), STDOUT_BYTES_MAX),
            _Stream(between.stderr.fileno(), STDERR_BYTES_MAX),
            report,
            held.close,
            stack.enter_context(select.epoll()),
        )


@contextmanager
def _input(content: bytes | None) -> Iterator[int]:
    """Yield a descriptor to read `content` from: a memfd, because an unread pipe would fill up."""
    if content is None:
        yield subprocess.DEVNULL
        return
    fd = os.memfd_create("nono-helper-stdin", os.MFD_CLOEXEC)
    try:
        with os.fdopen(os.dup(fd), "wb") as writer:
            writer.write(content)
        os.lseek(fd, 0, os.SEEK_SET)
        yield fd
    finally:
        os.close(fd)
