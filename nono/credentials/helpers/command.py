"""Run a credential helper: no shell, a clean environment, a time limit and bounded output.

Everything a helper prints is treated as a secret, on standard error too: it leaves this module inside a
``Secret``, or scrubbed.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Mapping, Sequence

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
from nono.credentials.helpers.started import STDOUT_BYTES_MAX, HelperProcess, Stream, started
from nono.secret import Secret

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
        with started(argv, environ, stdin) as process:
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
        with started(argv, environ, stdin) as process:
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


async def _end(process: HelperProcess) -> None:
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


def _outcome(process: HelperProcess, report: bytes | None, limit_s: float) -> Outcome:
    if process.stdout.is_too_long:
        return TooLarge(STDOUT_BYTES_MAX)
    if report is None:
        return TimedOut(limit_s, process.stdout.length)
    return _judge(report, process.stdout, process.stderr)


def _judge(report: bytes, stdout: Stream, stderr: Stream) -> Outcome:
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
