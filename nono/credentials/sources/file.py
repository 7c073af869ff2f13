"""Read credentials from files, checking the descriptor that is then read."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable

from nono.credentials.values.content import MAX_SECRET_BYTES, secret_from_bytes
from nono.credentials.values.errors import CredentialNotFound, CredentialUnavailable
from nono.credentials.values.reference import FileReference
from nono.disk.descriptor import read_at_most
from nono.secret import Secret


def read(reference: FileReference, warn: Callable[[str], None]) -> Secret:
    """Return the one line in a file. `warn`: called with a sentence if other users can read the file too.

    Symbolic links are followed: Kubernetes and systemd publish secrets through them. That is safe because a
    user who could plant a link in that directory could as well plant a file, and because owner and mode are
    checked on the opened file. Raises CredentialNotFound if the file is missing or empty,
    CredentialUnavailable if it cannot be read, is not a regular file, is longer than 64 KiB, belongs to a
    third user, is writable by others, or does not hold one line of UTF-8 text.
    """
    shown = reference.redacted()
    fd = _open(reference)
    try:
        status = os.fstat(fd)
        _refuse_unsafe(status, reference)
        content = read_at_most(fd, MAX_SECRET_BYTES + 1)
    except OSError as error:
        raise CredentialUnavailable(f"{shown}: cannot be read: {error.strerror}") from None
    finally:
        os.close(fd)
    if status.st_mode & 0o044:
        warn(f"{shown}: other users can read this file; run: chmod go= FILE")
    return secret_from_bytes(content, shown)


def _open(reference: FileReference) -> int:
    # O_NONBLOCK: opening a FIFO must not wait for a writer. O_NOCTTY: nor must a terminal be adopted.
    try:
        return os.open(reference.path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError):
        raise CredentialNotFound(f"{reference.redacted()}: no such file") from None
    except (OSError, UnicodeEncodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "the path cannot be spelled in bytes"
        raise CredentialUnavailable(f"{reference.redacted()}: cannot be opened: {reason}") from None


def _refuse_unsafe(status: os.stat_result, reference: FileReference) -> None:
    shown = reference.redacted()
    if not stat.S_ISREG(status.st_mode):
        raise CredentialUnavailable(f"{shown}: not a regular file")
    if status.st_uid not in (0, os.geteuid()):
        raise CredentialUnavailable(
            f"{shown}: the file belongs to uid {status.st_uid}, who could replace the key",
            hint="keep credentials in a file of your own",
        )
    if status.st_mode & 0o022:
        raise CredentialUnavailable(
            f"{shown}: other users can write to this file",
            hint="look at its content, then run: chmod go= FILE",
        )
