"""Remember the local addresses that the supervisor connected to the proxy for its command."""

from __future__ import annotations

from collections import OrderedDict

PeerAddress = tuple[str, int]
Destination = tuple[str, int]  # a host and its port

# Connections that the proxy has not accepted yet. Beyond this number the oldest is forgotten and its peer
# refused, which only happens if the command fills the accept queue.
PENDING_MAX = 4096
_UNKNOWN = object()


class PeerRegistry:
    """Holds each address from register() until take(), once per connection.

    While the adjudicator works, only sandboxed processes have connections here. A connection that was reset
    before it was accepted leaves its address behind; a process that takes over that port still needs a token
    or a phantom, because its socket has another cookie.
    """

    def __init__(self) -> None:
        # Not a dict: finding its oldest entry walks over all entries deleted before.
        self._pending: OrderedDict[PeerAddress, Destination | None] = OrderedDict()
        self._cookies: OrderedDict[PeerAddress, int] = OrderedDict()

    def register(self, peer: PeerAddress, cookie: int, destination: Destination | None = None) -> None:
        """Remember a connection.

        cookie: The command's socket's (SO_COOKIE), 0 if there is none.
        destination: Where the command meant to connect, if not to the proxy.
        """
        self._cookies.pop(peer, None)
        self._cookies[peer] = cookie
        if len(self._cookies) > PENDING_MAX:
            self._cookies.popitem(last=False)
        self._pending[peer] = destination
        if len(self._pending) > PENDING_MAX:
            self._pending.popitem(last=False)

    def destination(self, peer: PeerAddress) -> Destination | None:
        """Return where a registered connection was meant to lead; None if to the proxy, or unknown."""
        return self._pending.get(peer)

    def take(self, peer: PeerAddress) -> bool:
        """Return True if this peer is the command's, and forget it."""
        return self._pending.pop(peer, _UNKNOWN) is not _UNKNOWN

    def cookie(self, peer: PeerAddress) -> int:
        """Return the cookie of the command's socket that last had this address, or 0."""
        return self._cookies.get(peer, 0)
