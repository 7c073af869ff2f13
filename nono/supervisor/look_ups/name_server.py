"""Answer the DNS queries of the command, which go no further than the supervisor."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial

from nono.audit.event import Event
from nono.supervisor.verdict.audit_events import refused_look_up
from nono.supervisor.verdict.dns_message import QUERY_BYTES_MAX, Query, answer, parse_query
from nono.supervisor.verdict.virtual_addresses import Answered, VirtualAddresses

# Takes an answer, and a function that sends it, which is called when the answer is true.
WhenReady = Callable[[Answered, Callable[[], None]], None]


class LookUps:
    """Answers queries by the names of one run, and records the names that may not be reached."""

    def __init__(self, names: VirtualAddresses, record: Callable[[Event], None]) -> None:
        self._names = names
        self._record = record

    def answer(self, message: bytes) -> bytes | None:
        """Return the answer to a message; None if it is no query, and gets none."""
        judged = self.judge(message)
        if judged is None:
            return None
        query, answered = judged
        return answer(query, answered.code, answered.address)

    def judge(self, message: bytes) -> tuple[Query, Answered] | None:
        """Return a query and what is answered to it; None if the message is no query."""
        query = parse_query(message)
        if query is None:
            return None
        answered = self._names.look_up(query)
        if answered.refused is not None:
            with suppress(OSError):  # a refusal that cannot be recorded is a refusal all the same
                self._record(refused_look_up(answered.refused))
        return query, answered


def at_once(_: Answered, send: Callable[[], None]) -> None:
    send()


class NameServer:
    """Serves UDP sockets on the loop, one query in each turn, until close()."""

    def __init__(
        self, descriptors: Sequence[int], look_ups: LookUps, when_ready: WhenReady = at_once
    ) -> None:
        """Start. Call on the loop. descriptors: Sockets that are bound and do not block; taken over."""
        self._look_ups = look_ups
        self._when_ready = when_ready
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
        judged = self._look_ups.judge(message)
        if judged is not None:
            query, answered = judged
            said = answer(query, answered.code, answered.address)
            self._when_ready(answered, partial(_send, served, said, client))


def _send(served: socket.socket, said: bytes, client: tuple[str, int]) -> None:
    with suppress(OSError):  # closed meanwhile, or the client is gone
        served.sendto(said, client)
