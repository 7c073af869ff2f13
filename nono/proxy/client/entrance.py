"""Decide whether a new client connection is served, and keep those of strangers apart."""

from __future__ import annotations

import asyncio
from typing import Protocol

from nono.proxy.config import Address, Admits, DestinationOf, IsOurs, Recognises
from nono.proxy.http import refusal
from nono.proxy.http.refusal import Cut, Refusal
from nono.proxy.transport.connection_set import ConnectionSet

STRANGERS_MAX = 64  # without a token or phantom so far; beyond that, the oldest is closed
STRANGER_S = 5.0  # time to show it
_BURST_MAX = 256  # strangers in one turn of the loop that have all sent something
_ANSWERED_MAX = 32  # other users' connections answered at a time; the rest are cut
_OVERLOAD_ALLOWANCE = 64  # connections beyond the limit that are answered; the rest are cut


class Visitor(Protocol):
    """A connection that asks to be admitted."""

    @property
    def has_unread(self) -> bool:
        """True if bytes have arrived that were not read yet."""
        ...

    @property
    def is_gone(self) -> bool:
        """True if the client has ended or reset the connection, or its half of it."""
        ...

    def abort(self) -> None: ...


class Entrance:
    """Admits connections.

    connections: All open ones.
    limit: How many may be served at a time; 0: any number. Strangers do not count.
    admits: Returns True for a connection that the command made. None: that is unknown.
    recognises: Returns True for a connection that the command made and whose address nobody has taken over
      since. None: connections cannot be identified that precisely.
    is_ours: Asked if `admits` is None. Returns True for a connection of a program of our user, and False for
      another user's, which is refused. All others are strangers until they have shown a token or phantom.
      None: nobody is a stranger.
    destination_of: Returns where the command meant to connect, for a connection that was led here. None:
      nothing is.
    """

    def __init__(
        self,
        connections: ConnectionSet,
        limit: int,
        admits: Admits | None,
        is_ours: IsOurs | None,
        recognises: Recognises | None,
        destination_of: DestinationOf | None = None,
    ) -> None:
        self._connections = connections
        self._limit = limit
        self._admits = admits
        self._recognises = recognises
        self._destination_of = destination_of
        self._is_ours = None if admits is not None else is_ours
        self._strangers: dict[Visitor, asyncio.TimerHandle] = {}  # oldest first

    @property
    def _known(self) -> int:
        return len(self._connections) - len(self._strangers)

    def enter(self, visitor: Visitor, peer: Address, local: Address) -> Refusal | Cut | None:
        """Return how to answer a new connection before it is read; None: serve it."""
        ours = True if self._is_ours is None else self._is_ours(peer, local)
        if not ours:
            # The kernel does not know the owner of a closed socket: a connection closed at once could be
            # anybody's.
            if ours is None and visitor.is_gone:
                return Cut()
            self._add_stranger(visitor)
            if ours is False:
                is_crowded = len(self._strangers) > _ANSWERED_MAX
                return Cut() if is_crowded else refusal.another_user()
            return None
        open_now = self._known  # this one included
        if self._limit and open_now > self._limit + _OVERLOAD_ALLOWANCE:
            return Cut()
        if self._admits is not None and not self._admits(peer):
            # Answering occupies a slot for a while, and other users could occupy all of them.
            return Cut() if 0 < self._limit < 2 * open_now else refusal.not_admitted()
        return self._refused_if_full()

    def destination_of(self, peer: Address, local: Address) -> Address | None:
        """Return the host and port that the command meant; None: the proxy. Call before enter()."""
        return None if self._destination_of is None else self._destination_of(peer, local)

    def recognises(self, peer: Address, local: Address) -> bool:
        """Return True if the command made this connection for certain."""
        return self._recognises is not None and self._recognises(peer, local)

    def show(self, visitor: Visitor) -> Refusal | None:
        """Note that a connection has shown a token or phantom.

        Returns a refusal if there is no room for it.
        """
        return self._refused_if_full() if self.leave(visitor) else None

    def leave(self, visitor: Visitor) -> bool:
        """Forget a connection. Returns True if it was a stranger."""
        timer = self._strangers.pop(visitor, None)
        if timer is None:
            return False
        timer.cancel()
        return True

    def _refused_if_full(self) -> Refusal | None:
        is_full = self._limit and self._known > self._limit
        return refusal.too_many_connections(self._limit) if is_full else None

    def _add_stranger(self, visitor: Visitor) -> None:
        if len(self._strangers) >= STRANGERS_MAX:
            # A connection with unread bytes may be about to show a token: clients arrive in bursts, all
            # accepted in one turn.
            silent = next((each for each in self._strangers if not each.has_unread), None)
            if silent is None and len(self._strangers) >= _BURST_MAX:
                silent = next(iter(self._strangers))
            if silent is not None:
                self._cut(silent)
        later = asyncio.get_running_loop().call_later(STRANGER_S, self._cut, visitor)
        self._strangers[visitor] = later

    def _cut(self, visitor: Visitor) -> None:
        if self.leave(visitor):
            visitor.abort()
