"""List the sessions in their present state, and remove what killed supervisors left."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Mapping
from contextlib import suppress
from posixpath import join

from nono.errors import NonoError
from nono.paths import is_session_id
from nono.printable import shell_word
from nono.sessions.judge import Here, judged
from nono.sessions.processes import boot_id, killed_for_memory, pid_namespace, process_stat
from nono.sessions.record import Record, is_of_session, parse
from nono.sessions.registry import ASKS, CAST, KEY, OLDER_CAST, SOCKET, STOP, SUFFIX, Registry, directory_of

_TEMPORARY = "/tmp/nono-{}"  # as made by nono.launch.around.temporary_directory


def open_registry(environ: Mapping[str, str]) -> Registry | None:
    """Open the registry for a command about sessions; None if none exists. Raises NonoError."""
    path = directory_of(environ)
    try:
        return Registry(environ, create=False)
    except FileNotFoundError:
        return None
    except OSError as error:
        word = shell_word(path)
        is_ours = error.errno not in (errno.ELOOP, errno.ENOTDIR) and _is_ours(path)
        hint = f"chmod 700 {word}" if is_ours else f"mv {word} {word}.old; the next run makes one"
        raise NonoError(f"the sessions cannot be read: {path}: {error.strerror}", hint=hint) from error


def _is_ours(path: str) -> bool:
    """Return False if somebody else's rights decide, as after `sudo`: its mode is not ours to change."""
    try:
        return os.lstat(path).st_uid == os.geteuid()
    except OSError:
        return True


def records(registry: Registry) -> list[Record]:
    """Return every session in its present state, newest first; damaged records are skipped.

    If a supervisor could not write the end of its session, this writes it and removes what was left.
    """
    found = []
    here = _here()
    for name in os.listdir(registry.fd):
        session_id, suffix = name[: -len(SUFFIX)], name[-len(SUFFIX) :]
        if suffix != SUFFIX or not is_session_id(session_id):
            continue
        record = _parsed(registry, name)
        if record is None or record.session_id != session_id:
            continue
        now = judged(record, process_stat(record.supervisor_pid), here)
        if now.is_ended and not record.is_ended:
            # Read again: its supervisor may have written the end just before it exited.
            record = _parsed(registry, name) or record
            now = judged(record, None, here)
            if not record.is_ended:
                with suppress(OSError):  # the next reader finds the same
                    sweep(registry, now)
                    registry.write(now)
        found.append(now)
    return sorted(found, key=lambda record: (record.started_unix_ms, record.session_id), reverse=True)


def _here() -> Here:
    return Here(os.uname().nodename, boot_id(), pid_namespace(), killed_for_memory())


def look(registry: Registry, session_id: str) -> Record | None:
    """Return one session in its present state; None if it was removed. Changes nothing."""
    record = _parsed(registry, session_id + SUFFIX)
    here = _here()
    return None if record is None else judged(record, process_stat(record.supervisor_pid), here)


def is_supervised(record: Record) -> bool:
    """Return True if the supervisor of a session is alive here, whatever its record says.

    After the command has ended, hooks still run and the audit log is concluded.
    """
    here, supervisor = _here(), process_stat(record.supervisor_pid)
    is_here = (record.host, record.boot, record.pid_namespace) == (here.host, here.boot, here.pid_namespace)
    return (
        is_here
        and supervisor is not None
        and supervisor.is_alive
        and supervisor.started_ticks == record.started_epoch
    )


def _parsed(registry: Registry, name: str) -> Record | None:
    content = registry.read(name)
    try:
        return None if content is None else parse(content)
    except ValueError:
        return None


def damaged(registry: Registry) -> list[list[str]]:
    """Return the files of each session whose record holds nothing of it, as after a full disk.

    Skips a record that is another user's, others' to read or too long: whose it is cannot be told.
    """
    found = []
    names = set(os.listdir(registry.fd))
    for name in sorted(names):
        session_id = name.removesuffix(SUFFIX)
        if session_id == name or not is_session_id(session_id):
            continue
        content = registry.read(name)
        if content is not None and not is_of_session(content, session_id):
            beside = (session_id + suffix for suffix in (CAST, OLDER_CAST))
            found.append([name, *names.intersection(beside)])
    return found


def sweep(registry: Registry, record: Record) -> None:
    """Remove what a killed supervisor has left. Raises OSError."""
    for suffix in (SOCKET, KEY, STOP, ASKS):
        registry.remove(record.session_id + suffix)
    bundle = f"intercept-{record.supervisor_pid}-{record.session_id}"
    of_hook = join(registry.path, record.session_id)
    for path in (join(registry.path, bundle), of_hook, _TEMPORARY.format(record.session_id)):
        remove_own(path)


def remove_own(path: str) -> None:
    """Remove a file or directory of this user if possible; never another user's, nor through a link."""
    with suppress(OSError):
        found = os.lstat(path)
        if found.st_uid != os.geteuid() or stat.S_ISLNK(found.st_mode):
            return
        if not stat.S_ISDIR(found.st_mode):
            os.unlink(path)
            return
        # Imported here: few sessions leave a directory.
        from nono.disk.tree import remove_tree

        remove_tree(path)


def forget(registry: Registry, record: Record) -> None:
    """Remove every file of a session that has ended. Raises OSError."""
    sweep(registry, record)
    for suffix in (CAST, OLDER_CAST, SUFFIX):
        registry.remove(record.session_id + suffix)
