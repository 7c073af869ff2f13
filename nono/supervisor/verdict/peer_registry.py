"""Remembers which local addresses the supervisor connected to the proxy for its child."""

from __future__ import annotations

from collections import OrderedDict

PeerAddress = tuple[str, int]

# Connections that the proxy has not accepted yet. Beyond it the oldest is forgotten and its peer refused,
# which a child can only bring upon itself by filling the accept queue.
PENDING_MAX = 4096


class PeerRegistry:
    """An address is registered once per connection and taken once, by whoever accepts it.

    With the adjudicator at work these are the sandboxed processes' connections. One that was reset before it
    was accepted leaves its address behind; whoever takes over that port still needs a token or a phantom.
    """

    def __init__(self) -> None:
        # Not a dict: the oldest of thousands is found there by walking over all that were forgotten before.
        self._pending: OrderedDict[PeerAddress, None] = OrderedDict()

    def register(self, peer: PeerAddress) -> None:
        self._pending[peer] = None
        if len(self._pending) > PENDING_MAX:
            self._pending.popitem(last=False)

    def take(self, peer: PeerAddress) -> bool:
        """Whether this peer is the child's; it is forgotten by the question."""
        return self._pending.pop(peer, False) is None
