"""Run the hooks of a session outside the sandbox, before its command starts and after it has ended."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from posixpath import dirname, join, realpath
from typing import Literal

from nono import paths
from nono.audit import event
from nono.audit.redact import redact_text
from nono.credentials.helpers.command import helper_environment
from nono.disk.descriptor import read_at_most
from nono.errors import ConfigError, NonoError
from nono.launch.around.hook_process import Ran, ended
from nono.launch.prepare import Prepared
from nono.launch.session import Session
from nono.launch.trusted.search_path import unwritten
from nono.policy.capability import Grant
from nono.policy.files.grants import at_every_mount
from nono.policy.host_filesystem import HostFilesystem, directories_from, inode, way_to
from nono.policy.schema.profile import SessionHook, SessionHooks
from nono.policy.session_hooks import TIMEOUT_S, Script, hook_variables, unfit
from nono.private_dir import make_private_subdir, open_private_dir

SAID_LINES = 10  # the last lines of a failing hook's output
ENV_BYTES_MAX = 1 << 20
_ENV = "env"

HookType = Literal["before", "after"]


class InterruptedRunError(NonoError):
    """The run was ended before its command was started."""

    def __init__(self, number: int) -> None:
        super().__init__("the run was ended before its command was started.")
        self.exit_code = 128 + number


def refuse_unfit(hooks: SessionHooks, grants: Iterable[Grant]) -> None:
    """Raise ConfigError for a hook that must not run beside a command with these grants."""
    everywhere = [*at_every_mount(grants, HostFilesystem())]
    for name, hook in zip(hooks._fields, hooks, strict=True):
        if hook is None:
            continue
        try:
            reason = unfit(_found(hook.script), everywhere, os.geteuid())
        except OSError as error:
            reason = f"cannot be used: {error.strerror}"
        if reason is not None:
            raise ConfigError(
                f"session_hooks.{name}: {hook.script} {reason}.",
                hint="keep it in a directory of your own, outside the grants, and chmod 700 it",
            )


def _found(path: str) -> Script:
    """Examine a hook. Raises OSError."""
    if not path.startswith("/"):
        raise FileNotFoundError(errno.ENOENT, "its path is not absolute", path)
    canonical, way = realpath(path, strict=True), tuple(way_to(path))
    return Script(canonical, way, inode(canonical), tuple(map(directories_from, map(dirname, way))))


def run_before(prepared: Prepared, session: Session) -> Mapping[str, str]:
    """Run the hook before the command, if there is one. Returns the variables that it adds.

    Raises InterruptedRunError if a signal that ends the run came meanwhile.
    """
    hook = prepared.resolved.session_hooks.before
    if hook is None:
        return {}
    with _variables_file(session) as path:
        ran = _run(hook, "before", prepared, session, {} if path is None else {"NONO_ENV_FILE": path})
        # A hook that was killed may have written half of the file.
        content = b"" if path is None or ran.status is None or ran.status < 0 else _content(path)
    variables = hook_variables(content, prepared.resolved.environment)
    _record(session, "before", hook, ran, [*variables.kept])
    if ran.interrupted_by is not None:
        raise InterruptedRunError(ran.interrupted_by)
    for number in variables.malformed[:SAID_LINES]:
        session.warn(f"session_hooks.before: line {number} of NONO_ENV_FILE is not KEY=VALUE")
    for each in variables.refused[:SAID_LINES]:
        session.warn(f"session_hooks.before: {each.name} is not passed on: {each.reason}")
    return variables.kept


def run_after(prepared: Prepared, session: Session, exit_code: int) -> None:
    """Run the hook after the command, if there is one."""
    hook = prepared.resolved.session_hooks.after
    if hook is not None:
        ran = _run(hook, "after", prepared, session, {"NONO_EXIT_CODE": str(exit_code)})
        _record(session, "after", hook, ran, [])


def _run(
    hook: SessionHook, name: HookType, prepared: Prepared, session: Session, added: Mapping[str, str]
) -> Ran:
    grants = [*at_every_mount(prepared.capabilities.grants, HostFilesystem())]
    inherited = helper_environment(session.environ)
    environment = {
        **inherited,
        "PATH": unwritten(inherited["PATH"], grants),
        "NONO_SESSION_ID": session.run_id,
        "NONO_WORKDIR": prepared.capabilities.workdir,
        "NONO_HOOK_TYPE": name,
        **added,
    }
    try:
        # Examined again, because it must be what it was when the run was prepared.
        script = _found(hook.script)
        reason = unfit(script, grants, os.geteuid())
        timeout_s = hook.timeout_secs or TIMEOUT_S
        ran = Ran(None, 0, reason) if reason else ended(script.path, environment, timeout_s)
    except OSError as error:
        ran = Ran(None, 0, f"cannot be started: {error.strerror}")
    if ran.problem is not None:
        said = "".join(f"\n    {line}" for line in ran.output.splitlines()[-SAID_LINES:])
        session.warn(f"session_hooks.{name}: {hook.script} {ran.problem}{':' if said else ''}{said}")
    return ran


def _record(session: Session, name: HookType, hook: SessionHook, ran: Ran, variables: list[str]) -> None:
    output = redact_text(ran.output, session.redaction) if ran.problem is not None else None
    session.record(
        event.session_hook(name, hook.script, ran.status, ran.duration_ms, ran.problem, variables, output)
    )


@contextmanager
def _variables_file(session: Session) -> Iterator[str | None]:
    """Yield the path of an empty file for variables; overwritten and removed with the block.

    None, after a warning, if there is no place for it.
    """
    root = join(paths.state_root(session.environ), "sessions")
    with ExitStack() as stack:
        try:
            root_fd = open_private_dir(root, create=True)
            stack.callback(os.close, root_fd)
            directory_fd = make_private_subdir(root_fd, session.run_id)
            stack.callback(os.rmdir, session.run_id, dir_fd=root_fd)
            stack.callback(os.close, directory_fd)
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
            os.close(os.open(_ENV, flags, 0o600, dir_fd=directory_fd))
            stack.callback(_remove, directory_fd)
        except OSError as error:
            session.warn(f"session_hooks.before can set no variables: {root}: {error.strerror}")
            yield None
            return
        yield join(root, session.run_id, _ENV)


def _remove(directory_fd: int) -> None:
    """Overwrite and remove the file: it may hold keys."""
    with suppress(OSError):
        flags = os.O_WRONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC  # a FIFO would wait for a reader
        descriptor = os.open(_ENV, flags, dir_fd=directory_fd)
        try:
            os.write(descriptor, bytes(min(os.fstat(descriptor).st_size, ENV_BYTES_MAX)))
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    for name in os.listdir(directory_fd):
        with suppress(OSError):
            os.unlink(name, dir_fd=directory_fd)


def _content(path: str) -> bytes:
    """Return what the hook has written; nothing if that is not our file, or too long."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return b""
    try:
        is_own = stat.S_ISREG(os.fstat(descriptor).st_mode)
        content = read_at_most(descriptor, ENV_BYTES_MAX + 1) if is_own else b""
        return content if len(content) <= ENV_BYTES_MAX else b""
    except OSError:
        return b""
    finally:
        os.close(descriptor)
