"""Answer the DNS queries of the command, which go no further than a network in which nobody else is."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Sequence
from contextlib import suppress

from nono.supervisor.verdict.dns_message import QUERY_BYTES_MAX, answer, parse_query
from nono.supervisor.verdict.virtual_addresses import Refused, VirtualAddresses


class NameServer:
    """Serves its sockets on the loop, one query in each turn, until close()."""

    def __init__(
        self, descriptors: Sequence[int], names: VirtualAddresses, refused: Callable[[Refused], None]
    ) -> None:
        """Start. Call on the loop.

        descriptors: UDP sockets that are bound and do not block; taken over.
        refused: Records a name that may not be reached.
        """
        self._names = names
        self._refused = refused
        self._sockets = [socket.socket(fileno=each) for each in descriptors]
        for each in self._sockets:
            asyncio.get_running_loop().add_reader(each.fileno(), self._on_readable, each)

    def close(self) -> None:
        """Close the sockets. Whoever asks afterwards finds nobody there."""
        for each in self._sockets:
            asyncio.get_running_loop().remove_reader(each.fileno())
            each.close()
        self._sockets.clear()

    def _on_readable(self, served: socket.socket) -> None:
        try:
            message, client = served.recvfrom(QUERY_BYTES_MAX)
        except OSError:  # the client of the last answer had closed its socket
            return
        query = parse_query(message)
        if query is None:
            return
        answered = self._names.look_up(query)
        if answered.refused is not None:
            self._refused(answered.refused)
        with suppress(OSError):
            served.sendto(answer(query, answered.code, answered.address), client)
