"""Run the process beside a run that asks anchors and sends the log to a collector.

It reads the log as any other reader would, so its waiting never delays the run. The end of its channel means
that no record will follow, and also arrives when the supervisor is killed: then the rest of the log is
anchored and sent.
"""

from __future__ import annotations

import json
import os
import select
import socket
import time
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from typing import Any

from nono.disk.descriptor import DIRECTORY_FLAGS, is_readable
from nono.kernel import inotify
from nono.outward.anchoring import Anchoring, asked_anchors
from nono.outward.orders import Orders
from nono.outward.otlp import Sender
from nono.outward.shipment import Pumped, Shipment, left_over, shipment
from nono.outward.tail import BrokenChainError, Tail

ANCHOR_TIMEOUT_S = 10.0
SEND_TIMEOUT_S = 5.0
LAST_TIMEOUT_S = 3.0  # for each destination, once the run is over and somebody waits
LAST_HOPE_S = 1.0  # for a collector that was unreachable just before
RETRY_S, RETRY_MAX_S = 2.0, 60.0
GATHER_S = 0.2  # records that arrive within this time are sent together
LOOK_EVERY_S = 1.0  # where the kernel does not report writes


class Carrier:
    """The main loop of the process."""

    def __init__(
        self,
        orders: Orders,
        root: int,
        session_id: str,
        channel: socket.socket,
        environ: Mapping[str, str],
    ) -> None:
        """root: Descriptor of the directory that holds all sessions. environ: Where keys are found."""
        self._environ = environ
        self._orders = orders
        self._root = root
        self._session_id = session_id
        self._channel = channel
        self._host = os.uname().nodename
        self._poll = select.poll()
        self._poll.register(channel, select.POLLIN)
        self._queue: int | None = None
        self._is_over = False
        self._anchor_at = float("inf")
        self._send_at = float("inf")
        self._retry_s = RETRY_S
        self._owes_others = True
        self._is_failing = False  # the collector took nothing last time
        self._is_damage_told = False

    def live(self) -> None:
        """Send and anchor until the run is over."""
        with ExitStack() as stack:
            session = os.open(self._session_id, DIRECTORY_FLAGS, dir_fd=self._root)
            stack.callback(os.close, session)
            tail = stack.enter_context(Tail(session))
            asked = asked_anchors(self._orders.anchors, self._environ)
            anchoring = Anchoring(session, self._session_id, tail, asked, self._say)
            self._anchor(anchoring, ANCHOR_TIMEOUT_S)
            own = sender = None
            if self._orders.otlp is not None:
                self._watch(tail, stack)
                sender = Sender(self._orders.otlp, SEND_TIMEOUT_S)
                own = stack.enter_context(shipment(session, self._session_id, self._host, self._orders.otlp))
                self._send_at = time.monotonic()
            while not self._is_over:
                if time.monotonic() >= self._anchor_at:
                    self._anchor(anchoring, ANCHOR_TIMEOUT_S)
                if sender is not None and own is not None and time.monotonic() >= self._send_at:
                    self._send(sender, own)
                self._wait()
            self._anchor(anchoring, LAST_TIMEOUT_S)
            if own is not None and self._orders.otlp is not None:
                sender = Sender(self._orders.otlp, LAST_HOPE_S if self._is_failing else LAST_TIMEOUT_S)
                if self._pump(sender, own, is_over=True) and self._owes_others:
                    self._send_others(sender, until=time.monotonic() + LAST_TIMEOUT_S)
        self._say({"over": True})

    def _watch(self, tail: Tail, stack: ExitStack) -> None:
        """Have the kernel report writes to the log, if this user may have another queue and watch."""
        with suppress(OSError):
            queue = inotify.new_queue()
            stack.callback(os.close, queue)
            inotify.watch_file(queue, tail.fileno())
            self._poll.register(queue, select.POLLIN)
            self._queue = queue

    def _wait(self) -> None:
        """Wait until the run is over or something is due."""
        due = min(self._anchor_at, self._send_at)
        if self._queue is None and self._orders.otlp is not None:
            due = min(due, time.monotonic() + LOOK_EVERY_S)
        left_s = max(due - time.monotonic(), 0.0)
        for descriptor, _ in self._poll.poll(None if left_s == float("inf") else left_s * 1000):
            if descriptor == self._channel.fileno():
                self._is_over = True
        if self._queue is not None:
            is_longer = any(True for _ in inotify.changed_names(self._queue))
        else:
            is_longer = self._orders.otlp is not None
        if is_longer and self._send_at == float("inf"):
            self._send_at = time.monotonic() + GATHER_S

    def _anchor(self, anchoring: Anchoring, timeout_s: float) -> None:
        try:
            anchoring.anchor(timeout_s)
        except BrokenChainError as error:
            self._tell_damage(str(error))
        if self._orders.anchors:
            self._anchor_at = time.monotonic() + self._orders.anchor_every_s

    def _send(self, sender: Sender, own: Shipment) -> None:
        if self._pump(sender, own):
            self._send_at, self._retry_s = float("inf"), RETRY_S
            if self._owes_others:
                self._owes_others = self._send_others(sender)
        else:
            self._send_at = time.monotonic() + self._retry_s
            self._retry_s = min(self._retry_s * 2, RETRY_MAX_S)

    def _pump(self, sender: Sender, own: Shipment, *, is_over: bool = False) -> bool:
        """Send what is there. Returns False, after reporting why, if the collector must be tried again."""
        try:
            pumped = own.pump(sender, is_over=is_over)
        except OSError as error:
            pumped = Pumped(str(error))
        if pumped.problem is None:
            self._is_failing = False
        elif not pumped.is_whole:
            self._tell_damage(pumped.problem)
        elif not self._is_failing:
            self._is_failing = True
            self._say({"not_sent": own.cursor.endpoint, "records": own.cursor.sent, "why": pumped.problem})
        return not self._is_failing

    def _send_others(self, sender: Sender, until: float | None = None) -> bool:
        """Send what earlier sessions left unsent. Returns True if some of it is still left.

        until: When to give up; None: when this run is over.
        """
        assert self._orders.otlp is not None  # without it there is no sender
        for name in left_over(self._root, self._orders.otlp):
            if name == self._session_id:
                continue
            if time.monotonic() > until if until else is_readable(self._channel):
                return True
            with suppress(OSError), ExitStack() as stack:
                session = os.open(name, DIRECTORY_FLAGS, dir_fd=self._root)
                stack.callback(os.close, session)
                other = stack.enter_context(shipment(session, name, self._host, self._orders.otlp))
                # A session with a damaged log does not stop the others.
                if other is not None and other.finish(sender) is not None and other.is_held_up:
                    return True
        return False

    def _tell_damage(self, why: str) -> None:
        """Tell it once: the supervisor records it in that very log, which would be read and told of again."""
        if not self._is_damage_told:
            self._is_damage_told = True
            self._say({"damaged": why})

    def _say(self, message: dict[str, Any]) -> None:
        with suppress(OSError):  # the supervisor is gone
            self._channel.send(json.dumps(message).encode("utf-8", "backslashreplace"))
