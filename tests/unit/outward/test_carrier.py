"""The process beside a run, as its supervisor sees it: through its channel, the log and what leaves."""

from __future__ import annotations

import errno
import json
import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import pytest

from nono.audit import event
from nono.audit.ledger import AuditLog
from nono.kernel import inotify
from nono.outward import carrier as module
from nono.outward import events, spool
from nono.outward.carrier import Carrier
from nono.outward.orders import Orders
from nono.outward.otlp import Sender
from nono.outward.shipment import Pumped, Shipment
from support.outward.collector import Collector, collector
from support.outward.timestamps import Authority
from support.ports import unused_port
from unit.outward.conftest import SESSION


@contextmanager
def carrying(log: AuditLog, orders: Orders) -> Iterator[socket.socket]:
    """Yield a carrier at work; leaving the block ends the run, and waits for it."""
    root = os.open(Path(log.path).parent.parent, os.O_RDONLY)
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    ours.settimeout(20)
    thread = threading.Thread(target=Carrier(orders, root, SESSION, theirs, dict(os.environ)).live)
    thread.start()
    try:
        yield ours
    finally:
        ours.shutdown(socket.SHUT_WR)
        thread.join(20)
        assert not thread.is_alive()
        theirs.close()
        ours.close()
        os.close(root)


def said(channel: socket.socket) -> dict[str, Any]:
    message: dict[str, Any] = json.loads(channel.recv(1 << 16))
    return message


def test_the_head_is_anchored_as_the_log_grows(log: AuditLog, clock: Authority) -> None:
    orders = Orders((f"rfc3161:{clock.url}",), anchor_every_s=0.05)
    with carrying(log, orders) as channel:
        for records in (1, 2, 3):
            assert said(channel)["head"]["records"] == records
            log.record(event.limit_reached("memory", records))
    kept = sorted(path.name for path in (Path(log.path).parent / "anchors").iterdir())
    assert [name for name in kept if name.endswith(".tsr")] == [f"0000000{n}.1.tsr" for n in (1, 2, 3, 4)]


def test_a_head_that_is_anchored_is_not_anchored_again(log: AuditLog, clock: Authority) -> None:
    before = clock.asked
    with carrying(log, Orders((f"rfc3161:{clock.url}",), anchor_every_s=0.02)) as channel:
        assert said(channel)["head"]["records"] == 1
        channel.settimeout(0.2)
        with pytest.raises(TimeoutError):
            channel.recv(1)
    assert clock.asked - before == 1


def test_records_are_sent_as_they_are_written(log: AuditLog, sink: Collector) -> None:
    with carrying(log, Orders(otlp=sink.url)):
        for count in (1, 2, 3):
            sink.wait(lambda count=count: len(sink.records) == count)  # type: ignore[misc] # bound at once
            log.record(event.limit_reached("memory", count))
    assert sink.numbers() == [0, 1, 2, 3]


def test_records_are_sent_where_the_kernel_reports_no_writes(
    log: AuditLog, sink: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(queue: int, descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "fs.inotify.max_user_watches")

    monkeypatch.setattr(inotify, "watch_file", refuse)
    monkeypatch.setattr(module, "LOOK_EVERY_S", 0.05)
    with carrying(log, Orders(otlp=sink.url)):
        sink.wait(lambda: len(sink.records) == 1)
        log.record(event.limit_reached("memory", 1))
        sink.wait(lambda: len(sink.records) == 2)


def test_a_run_that_is_over_leaves_no_descriptor_open(log: AuditLog, sink: Collector) -> None:
    def carry() -> None:
        with carrying(log, Orders(otlp=sink.url)) as channel:
            channel.shutdown(socket.SHUT_WR)
            assert said(channel) == {"over": True}

    carry()  # what is imported and kept for the next run is open from here on
    before = {*os.listdir("/proc/self/fd")}
    carry()
    assert {*os.listdir("/proc/self/fd")} <= before


def test_a_collector_that_comes_back_gets_what_it_missed(
    log: AuditLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "RETRY_S", 0.1)
    port = unused_port()
    with carrying(log, Orders(otlp=f"http://127.0.0.1:{port}")) as channel:
        assert (missed := said(channel))["not_sent"] == f"http://127.0.0.1:{port}"
        assert missed["records"] == 0
        log.record(event.limit_reached("memory", 1))
        with collector(port) as back:
            back.wait(lambda: back.numbers() == [0, 1])


class Shipped:
    """A shipment that goes as it is told."""

    cursor = spool.Cursor("http://a.example")

    def __init__(self, *ways: Pumped | OSError) -> None:
        self._ways = [*ways]

    def pump(self, sender: Sender, *, is_over: bool = False) -> Pumped:
        way = self._ways.pop(0)
        if isinstance(way, OSError):
            raise way
        return way


def test_a_collector_that_takes_nothing_is_told_of_once_until_it_has_taken_something() -> None:
    """Each telling is a record of that very log, which would be sent as well."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    ours.setblocking(False)
    carrier = Carrier(Orders(), -1, SESSION, theirs, {})
    own = Shipped(Pumped("away"), Pumped("away"), OSError(errno.ENOSPC, "full"), Pumped(), Pumped("away"))
    with ours, theirs:
        went = [carrier._pump(cast(Sender, None), cast(Shipment, own)) for _ in range(5)]
        told = [said(ours) for _ in range(2)]
        with pytest.raises(BlockingIOError):
            ours.recv(1)
    assert went == [False, False, False, True, False]
    assert told == [{"not_sent": "http://a.example", "records": 0, "why": "away"}] * 2


def test_a_token_that_cannot_be_kept_is_no_anchor(log: AuditLog, clock: Authority) -> None:
    in_the_way = Path(log.path).with_name("anchors")
    in_the_way.touch()
    with carrying(log, Orders((f"rfc3161:{clock.url}",), anchor_every_s=0.05)) as channel:
        assert "Not a directory" in said(channel)["why"]
        in_the_way.unlink()
        while "anchored" not in (message := said(channel)):
            assert "not_anchored" in message


def test_a_log_that_is_cut_meanwhile_is_reported(log: AuditLog, clock: Authority) -> None:
    log.record(event.limit_reached("memory", 1))
    with carrying(log, Orders((f"rfc3161:{clock.url}",), anchor_every_s=0.05)) as channel:
        assert said(channel)["head"]["records"] == 2
        os.truncate(log.path, 10)
        assert said(channel) == {"damaged": "the log was cut within its first 2 records"}


def test_the_record_of_a_damage_is_not_told_of_as_another(
    log: AuditLog, sink: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "GATHER_S", 0.01)
    with carrying(log, Orders(otlp=sink.url)) as channel:
        sink.wait(lambda: len(sink.records) == 1)
        os.truncate(log.path, 10)
        damage = said(channel)["damaged"]
        log.record(events.audit_altered(damage))
        channel.settimeout(0.2)
        with pytest.raises(TimeoutError):
            channel.recv(1)


def test_the_rest_is_anchored_and_sent_when_the_run_is_over(
    log: AuditLog, clock: Authority, sink: Collector
) -> None:
    with carrying(log, Orders((f"rfc3161:{clock.url}",), otlp=sink.url)) as channel:
        assert said(channel)["head"]["records"] == 1
        log.record(event.session_ended(0))
        channel.shutdown(socket.SHUT_WR)
        assert said(channel)["head"]["records"] == 2
        assert said(channel) == {"over": True}
    assert sink.numbers() == [0, 1]
