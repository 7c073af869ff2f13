"""Write what proves a session once it has ended: its summary, and its entry in the ledger."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from posixpath import join

from nono.audit.ledger import AuditLog
from nono.audit.proof import ledger
from nono.audit.proof.summary import BUNDLE_FILE, SUMMARY_FILE, Summary, digest_of, document_of, to_json
from nono.disk.descriptor import DIRECTORY_FLAGS
from nono.disk.durable import unfinished
from nono.private_dir import open_private_dir

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def summary_of(log: AuditLog) -> Summary:
    """Return the summary of a log that is complete, with both ends of its session."""
    log.record_unrecorded()
    started, ended = (log.bounds[kind] for kind in ("session_started", "session_ended"))
    command: Any = started["command"]
    exit_code: Any = ended["exit_code"]
    return Summary(
        log.session_id,
        str(started["started"]),
        str(ended["ended"]),
        tuple(command),
        exit_code,
        log.integrity(),
    )


def conclude(
    state_root: str, summary: Summary, *, log: AuditLog | None = None, bundle: bytes | None = None
) -> str | None:
    """Write session.json and the entry in the ledger; all is on stable storage when this returns.

    log: Closed here if it is still open: synced before session.json gets its name, and with fewer syncs.
    bundle: The signature, if the session is signed.

    Returns the result of the ledger's append(). Raises OSError.
    """
    document = document_of(summary)
    with ExitStack() as stack:
        if log is not None:
            stack.callback(log.close)
        root = open_private_dir(join(state_root, "audit"), create=False)
        stack.callback(os.close, root)
        directory = os.open(summary.session_id, DIRECTORY_FLAGS, dir_fd=root)
        stack.callback(os.close, directory)
        if bundle is not None:
            with written_new(directory, BUNDLE_FILE, bundle) as file:
                os.fsync(file)
        with written_new(directory, SUMMARY_FILE, to_json(document)) as file:
            ledger.together(partial(os.fsync, file), *(() if log is None else (log.end,)))
        return ledger.append(root, summary.session_id, digest_of(document), summary.ended, sync=(directory,))


@contextmanager
def written_new(directory: int, name: str, content: bytes) -> Iterator[int]:
    """Write a file that does not exist yet; it gets its name when the block is left without an error.

    Yields its descriptor, to be synced in the block. Raises OSError. The caller syncs the directory.
    """
    if name in os.listdir(directory):
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), name)
    with unfinished(directory, name, syncs=False, is_shared=False) as file:
        file.write(content)
        file.flush()
        yield file.fileno()
