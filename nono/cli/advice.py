"""Say what to do about an error whose cause is this machine, or the sandbox around this nono."""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Iterator, Sequence
from contextlib import suppress

from nono import paths
from nono.errors import NonoError
from nono.printable import shell_word

INSIDE = (
    "this is inside a run of nono, whose sandbox has no access to nono's files: leave nono out here, "
    "or run it outside"
)
CONFINED = "a sandbox around this nono keeps it from nono's files: run it outside"
_LOCKS = (
    "the file system of nono's files has no locks, as NFS without its lock service: "
    "export XDG_STATE_HOME=DIRECTORY, one of a local file system"
)
_READ_ONLY = "XDG_STATE_HOME=DIR nono ... keeps keys, records and logins elsewhere"
_NO_CWD = "the current directory was removed: cd to one that exists"
_PROCESSES = "your user may have no more processes here: ulimit -u shows how many"


def for_error(error: NonoError, arguments: Sequence[str] = ()) -> str | None:
    """Return the hint of an error, with the variables that stand for options which it names.

    arguments: What was typed: an option in them has its value from there.
    """
    hint = _for_error(error)
    return "; ".join((*((hint,) if hint else ()), *_variables(error.message, arguments))) or None


def _for_error(error: NonoError) -> str | None:
    """Return the hint of an error, or a better one if the sandbox around this nono is the cause."""
    cause = error.__cause__
    if isinstance(cause, OSError) and cause.errno == errno.ENOLCK:
        return _LOCKS  # a hint about the file's mode or owner would lead astray
    hint = error.hint or _advice(cause) or _elsewhere(error) or _home_of_account(error)
    if not isinstance(cause, PermissionError):
        return hint
    with suppress(NonoError):  # without a home there is no state
        root = paths.state_root(os.environ)
        if root in error.message and os.environ.get(paths.STATE_VARIABLE):
            return INSIDE
        if root in error.message and _is_kept_from(root):
            return CONFINED
        if root in error.message and (other := _home_of_another(root)) is not None:
            return other
    return hint


def _elsewhere(error: NonoError) -> str | None:
    """Return where else nono's state may be, if its file system is read-only, as in a read-only home."""
    cause = error.__cause__
    if not isinstance(cause, OSError) or cause.errno != errno.EROFS:
        return None
    with suppress(NonoError):  # without a home there is no state
        if paths.state_root(os.environ) in error.message:
            return _READ_ONLY
    return None


def _variables(message: str, arguments: Sequence[str]) -> Iterator[str]:
    """Yield the variables that gave an option its value which nobody typed, if `message` names the option."""
    named = dict.fromkeys(re.findall(r"(?<![\w-])--[a-z][a-z-]*", message))
    if not named:
        return
    # Imported here: most messages name no option.
    from nono.cli.args.options import LEGACY_ENVIRONMENT, OPTIONS

    typed = {argument.partition("=")[0] for argument in arguments}
    for option in OPTIONS:
        if option.flags[0] in named and typed.isdisjoint((*option.flags, *option.deprecated)):
            old = (each for each, new in LEGACY_ENVIRONMENT.items() if new == option.env)
            variable = next((each for each in (option.env, *old) if each and os.environ.get(each)), None)
            if variable is not None and variable not in message:
                yield f"{variable} is set, which stands for {option.flags[0]}"


def _home_of_account(error: NonoError) -> str | None:
    """Return how to set HOME, if that is what is wrong, as in a service or a job of cron."""
    if "'HOME'" not in error.message or os.path.isabs(os.environ.get("HOME", "")):
        return None
    return f"export HOME={shell_word(_account_home() or 'DIRECTORY')}"


def _home_of_another(root: str) -> str | None:
    """Return how to set HOME, if nono's state is in another user's, as after `su -m`."""
    home, own = paths.home(os.environ), _account_home()
    try:
        is_other = os.stat(home).st_uid != os.geteuid()
    except OSError:
        return None
    if not is_other or own in (None, home) or not root.startswith(f"{home}/"):
        return None
    return f"HOME is {home}, which is another user's: export HOME={shell_word(str(own))}"


def _account_home() -> str | None:
    """Return the home that the account of this user names; None: it has no account, or names none."""
    # Imported here: HOME is set nearly everywhere.
    import pwd

    try:
        home = pwd.getpwuid(os.geteuid()).pw_dir
    except KeyError:  # a container's user
        return None
    return home if os.path.isabs(home) else None


def _is_kept_from(directory: str) -> bool:
    """Return True if a directory cannot be opened although its mode lets this user.

    `nono wrap` leaves no sign in the environment, and Landlock lets a directory be looked at (stat).
    """
    try:
        found = os.stat(directory)
    except OSError:
        return False
    if found.st_uid != os.geteuid() or found.st_mode & 0o700 != 0o700:
        return False
    try:
        os.close(os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC))
    except PermissionError:
        return True
    return False


def _advice(cause: BaseException | None) -> str | None:
    """Return what to do about a full disk, or a limit for files; None about anything else."""
    code = cause.errno if isinstance(cause, OSError) else None
    if code in (errno.ENOSPC, errno.EDQUOT):
        return "free space there; nono prune and nono rollback cleanup drop what is kept of old runs"
    # As the kernel says it: a file that is too large to be read has the same number, and a text of its own.
    if isinstance(cause, OSError) and code == errno.EFBIG and cause.strerror == os.strerror(code):
        return "no file may be larger here: ulimit -f shows how large"
    return None


def for_call(error: OSError) -> str | None:
    """Return what to do about an error that no command expects: that of a call, or of writing the output."""
    if error.filename:
        return _advice(error)
    if error.errno == errno.ENOENT and not _has_cwd():
        return _NO_CWD
    # As fork(2) says it. Output that would block has the same number, and a text of its own.
    is_fork = error.errno == errno.EAGAIN and error.strerror == os.strerror(errno.EAGAIN)
    return _PROCESSES if is_fork else None


def _has_cwd() -> bool:
    try:
        os.getcwd()
    except OSError:
        return False
    return True
