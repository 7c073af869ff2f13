"""Keep the set of open connections of one kind, so that none outlives the proxy."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Protocol, runtime_checkable

Peer = tuple[str, int]


class Connection(Protocol):
    def abort(self) -> None: ...


@runtime_checkable
class WindsDown(Protocol):
    """A connection that can finish its current work before it closes."""

    def wind_down(self) -> None: ...


@runtime_checkable
class Rejudged(Protocol):
    """An open connection whose host may be refused later."""

    def cut_if_refused(self) -> bool:
        """Judge by the current rules. Returns True if the connection was cut."""
        ...


@runtime_checkable
class Reaching(Protocol):
    """An open connection to a host, whose address may be refused later."""

    @property
    def peer(self) -> Peer | None:
        """Its address and port; None if it is closed, or has none."""
        ...

    def cut(self, reason: str) -> None:
        """Cut it, and what it serves, because the rules refuse its address now."""
        ...

    def abort(self) -> None: ...


class ConnectionSet:
    """A set that connections enter in connection_made and leave in connection_lost."""

    def __init__(self) -> None:
        self.members: set[Connection] = set()
        self.closing = False  # connections accepted from now on are cut
        self.emptied: Callable[[], None] | None = None  # called when the last connection has gone

    def __len__(self) -> int:
        return len(self.members)

    def add(self, member: Connection) -> None:
        self.members.add(member)

    def discard(self, member: Connection) -> None:
        self.members.discard(member)
        if not self.members and self.emptied is not None:
            self.emptied()

    def abort(self) -> None:
        """Cut every connection; each leaves the set when the loop calls its connection_lost."""
        for member in [*self.members]:
            member.abort()


def peer_of(transport: asyncio.Transport | None) -> Peer | None:
    """Return the address and port at the other end of an open IP connection."""
    if transport is None or transport.is_closing():
        return None
    name = transport.get_extra_info("peername")
    return (name[0], name[1]) if isinstance(name, tuple) else None
