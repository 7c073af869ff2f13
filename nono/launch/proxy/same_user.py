"""Tell the proxy which connections come from programs of our own user (ADR 34)."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import closing, contextmanager

from nono.kernel.sock_diag import SocketOwners
from nono.policy.hosts.upstream import is_loopback
from nono.proxy.config import Address, IsOurs

_OVERFLOW_UID = 65534  # for users that do not exist in our user namespace


@contextmanager
def same_user(address: str) -> Iterator[IsOurs]:
    """Yield a predicate for (client, listener); None if the kernel does not answer, as in some containers.

    address: The proxy's. A proxy that listens for other machines serves other users too.

    Root, who may do everything anyway, for example through sudo, is neither ours nor refused. A user
    namespace makes no difference, because the kernel translates user ids into ours.
    """
    try:
        owners = SocketOwners() if is_loopback(address) else None
    except OSError:
        owners = None
    if owners is None:
        yield lambda client, listener: None
        return
    us = os.geteuid()

    def is_ours(client: Address, listener: Address) -> bool | None:
        uid = owners.uid(client, listener)
        if uid == us and uid != _OVERFLOW_UID:
            return True
        return None if uid in (None, 0, us) else False

    with closing(owners):
        yield is_ours
