"""Let only one run at a time renew the logins of a provider."""

from __future__ import annotations

import fcntl
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from nono.credentials.values.errors import CredentialUnavailable
from nono.private_dir import open_private_dir

WAIT_S = 60.0  # longer than one renewal may take, and shorter than clients wait
_PAUSE_S = 0.02


@asynccontextmanager
async def renewal_lock(directory: str, provider: str) -> AsyncIterator[None]:
    """Hold the lock of `provider`, which all runs of this user share. The kernel frees it with its process.

    Raises CredentialUnavailable if it is not free within WAIT_S, or if `directory` is not private.
    """
    # Imported here, as below: a command waits for this module, and has started by then.
    from urllib.parse import quote

    import anyio

    try:
        lock_fd = _open(directory, f"{quote(provider, safe='')}.renewal")
    except OSError as error:
        raise CredentialUnavailable(f"{directory}: {error.strerror}") from None
    try:
        try:
            with anyio.fail_after(WAIT_S):
                await _take(lock_fd)
        except TimeoutError:
            raise CredentialUnavailable(
                f"another run has been renewing the login of {provider} for {WAIT_S:g} s"
            ) from None
        yield
    finally:
        os.close(lock_fd)


async def _take(lock_fd: int) -> None:
    import anyio

    # Polled: a thread that blocks in flock(2) could not be cancelled, and would take the lock later.
    while True:
        try:
            fcntl.flock(lock_fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            await anyio.sleep(_PAUSE_S)
        else:
            return


def _open(directory: str, name: str) -> int:
    directory_fd = open_private_dir(directory, create=True)
    try:
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        return os.open(name, flags, 0o600, dir_fd=directory_fd)
    finally:
        os.close(directory_fd)
