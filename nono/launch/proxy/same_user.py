"""Tells the proxy which connections programs of our own user make (ADR 34)."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import closing, contextmanager

from nono.kernel.sock_diag import SocketOwners
from nono.policy.hosts.upstream import is_loopback
from nono.proxy.config import Address, IsOurs

_OVERFLOW_UID = 65534  # of everybody who has no user in our user namespace


@contextmanager
def same_user(address: str) -> Iterator[IsOurs]:
    """Yield a predicate for (client, listener): None where the kernel does not say, as in some containers.

    address: The one the proxy listens on. Who listens for other machines serves other users too.

    Root may do everything anyway, and comes from sudo: neither ours nor refused. A user namespace makes no
    difference, because the kernel compares users as ours sees them.
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
