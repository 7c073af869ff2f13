"""A protocol that another one takes over from, and that passes on what it is told too late."""

from __future__ import annotations

import asyncio
from weakref import ReferenceType, ref


class Replaceable(asyncio.Protocol):
    """A protocol that may have a successor. A connection_lost() of a subclass calls the one here.

    Over TLS the loop chooses whom it will tell of the end a turn before it does: a successor of that turn
    would never hear of it, and count as an open connection for ever.
    """

    # Weak: a successor may hold this protocol, and is held by the transport as long as it has to be told.
    _successor: ReferenceType[asyncio.Protocol] | None = None

    def replace(self, successor: asyncio.Protocol, transport: asyncio.Transport) -> None:
        """Make `successor` the protocol of `transport`, and tell it of an end that is on its way."""
        transport.set_protocol(successor)
        self.pass_on_to(successor)

    def pass_on_to(self, successor: asyncio.Protocol) -> None:
        """Tell `successor`, which is the transport's protocol by now, of an end that is on its way."""
        self._successor = ref(successor)

    def connection_lost(self, exc: Exception | None) -> None:
        successor = self._successor() if self._successor is not None else None
        if successor is not None:
            successor.connection_lost(exc)
