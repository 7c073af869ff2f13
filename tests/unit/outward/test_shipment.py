"""The records of a log on their way to a real collector, which is away, dies, refuses and loses answers."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from nono.audit import event
from nono.audit.ledger import AuditLog
from nono.outward import shipment as shipping
from nono.outward import spool
from nono.outward.otlp import Sender
from nono.outward.shipment import Shipment, left_over, shipment
from support.outward.collector import Collector, collector
from support.outward.serving import PostHandler, serving
from support.ports import unused_port
from unit.outward.conftest import SESSION

TESTS = Path(__file__).parents[2]
LATER_S = 60  # said by a collector: longer than a sender waits, so it gives up at once
KILLS_EACH = 4  # most of them while there is something to send
LOGS = 125 if os.environ.get("NONO_TEST_LONG") else 1


def record(log: AuditLog, count: int) -> None:
    for number in range(count):
        log.record(event.limit_reached("processes", number))


@contextmanager
def shipped(log: AuditLog, url: str) -> Iterator[Shipment]:
    session = os.open(Path(log.path).parent, os.O_RDONLY)
    try:
        with shipment(session, SESSION, "host", url) as own:
            assert own is not None
            yield own
    finally:
        os.close(session)


def cursor(log: AuditLog, url: str) -> spool.Cursor:
    session = os.open(Path(log.path).parent, os.O_RDONLY)
    try:
        found = spool.read(session, url)
    finally:
        os.close(session)
    assert found is not None
    return found


def test_each_record_arrives_whole_in_its_place_of_the_chain(log: AuditLog, sink: Collector) -> None:
    record(log, 2)
    with shipped(log, sink.url) as own:
        assert own.pump(Sender(sink.url, 5)).problem is None
    lines = [json.loads(line) for line in Path(log.path).read_text().splitlines()]
    assert sink.numbers() == [0, 1, 2]
    for line, arrived in zip(lines, sink.records, strict=True):
        assert json.loads(json.loads(arrived["ocsf.raw"])["raw_data"]) == line["event"]
        assert arrived["nono.audit.chain_hash"] == line["chain_hash"]
        assert arrived["nono.audit.leaf_hash"] == line["leaf_hash"]
        assert arrived["log.record.uid"] == f"{SESSION}/{line['sequence']}"


def test_records_that_a_collector_missed_are_sent_later(log: AuditLog, sink: Collector) -> None:
    sink.answer, sink.retry_after_s = lambda records: 503, LATER_S
    with shipped(log, sink.url) as own:
        assert own.pump(Sender(sink.url, 5)).problem == "it has answered 503 Service Unavailable"
        record(log, 3)
        sink.answer = lambda records: 200
        assert own.pump(Sender(sink.url, 5)).problem is None
    assert sink.numbers() == [0, 1, 2, 3]


def test_a_collector_that_is_away_holds_nothing_up(log: AuditLog) -> None:
    with shipped(log, url := f"http://127.0.0.1:{unused_port()}") as own:
        began = time.monotonic()
        assert own.pump(Sender(url, 0.5)).problem == "it cannot be reached"
        assert time.monotonic() - began < 3
    assert cursor(log, url).sent == 0


@pytest.mark.parametrize("status", [302, 307])
def test_a_redirect_sends_neither_records_nor_the_login_elsewhere(
    log: AuditLog, sink: Collector, monkeypatch: pytest.MonkeyPatch, status: int
) -> None:
    """A page to log in at, behind a 302, would answer 200 for records that nobody keeps."""
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "x-api-key=canary")
    met = list[str]()

    class Page(PostHandler):
        def post(self, content: bytes) -> None:
            met.append(self.headers["x-api-key"])
            self.answer(200, "text/html", b"log in")

        def do_GET(self) -> None:  # noqa: N802  # the name that the library calls
            self.post(b"")

    class Front(PostHandler):
        def post(self, content: bytes) -> None:
            self.send_response(status)
            self.send_header("Location", page)
            self.send_header("Content-Length", "0")
            self.end_headers()

    with serving(Page) as page, serving(Front) as front, shipped(log, front) as own:
        assert str(own.pump(Sender(front, 5)).problem).startswith(f"it has answered {status}")
    assert met == []
    assert cursor(log, front).sent == 0
    with shipped(log, sink.url) as own:
        assert own.pump(Sender(sink.url, 5)).problem is None
    assert sink.headers[0]["x-api-key"] == "canary"


def test_a_log_longer_than_a_batch_is_sent_in_several(
    log: AuditLog, sink: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shipping, "BATCH_MAX", 4)
    record(log, 10)
    with shipped(log, sink.url) as own:
        own.pump(Sender(sink.url, 5))
    assert (sink.numbers(), sink.requests) == ([*range(11)], 3)


def test_a_later_process_goes_on_where_one_has_left_off(log: AuditLog, sink: Collector) -> None:
    for _ in range(3):
        with shipped(log, sink.url) as own:
            own.pump(Sender(sink.url, 5))
        record(log, 2)
    assert sink.numbers() == [0, 1, 2, 3, 4]


def test_what_was_taken_without_an_answer_is_sent_again_under_its_id(log: AuditLog, sink: Collector) -> None:
    sink.loses_answers = True
    with shipped(log, sink.url) as own:
        assert own.pump(Sender(sink.url, 0.5)).problem == "it cannot be reached"
        sink.loses_answers = False
        own.pump(Sender(sink.url, 5))
    assert set(sink.numbers()) == {0}
    assert len({each["log.record.uid"] for each in sink.records}) == 1
    assert len({each["nono.audit.chain_hash"] for each in sink.records}) == 1


def test_a_record_that_is_refused_for_good_is_counted_as_a_gap(log: AuditLog, sink: Collector) -> None:
    record(log, 6)
    sink.answer = lambda records: 400 if any(each["nono.audit.sequence"] == 3 for each in records) else 200
    with shipped(log, sink.url) as own:
        assert own.pump(Sender(sink.url, 5)).problem is None
        record(log, 1)
        own.pump(Sender(sink.url, 5))
    assert sink.numbers() == [0, 1, 2, 4, 5, 6, 7]
    assert (cursor(log, sink.url).gaps, sink.records[-1]["nono.audit.gaps"]) == (1, 1)


def test_records_that_a_collector_drops_are_counted_as_gaps(log: AuditLog, sink: Collector) -> None:
    record(log, 3)
    sink.rejects = 2
    with shipped(log, sink.url) as own:
        own.pump(Sender(sink.url, 5))
    assert (cursor(log, sink.url).sent, cursor(log, sink.url).gaps) == (4, 2)


@pytest.mark.parametrize("status", [302, 401, 404, 500])
def test_a_wrong_address_or_login_loses_nothing(log: AuditLog, sink: Collector, status: int) -> None:
    sink.answer, sink.retry_after_s = lambda records: status, LATER_S
    with shipped(log, sink.url) as own:
        problem = own.pump(Sender(sink.url, 5)).problem
    assert problem is not None
    assert str(status) in problem
    assert cursor(log, sink.url)[1:] == (0, 0, False)


def test_a_log_that_was_changed_is_not_sent_beyond_the_change(log: AuditLog, sink: Collector) -> None:
    record(log, 4)
    path = Path(log.path)
    path.write_bytes(path.read_bytes().replace(b'"times\\":2', b'"times\\":9'))
    with shipped(log, sink.url) as own:
        pumped = own.pump(Sender(sink.url, 5), is_over=True)
    assert (pumped.problem, pumped.is_whole) == (
        "record 3 has an event that differs from the one that was hashed",
        False,
    )
    assert (sink.numbers(), cursor(log, sink.url).is_complete) == ([0, 1, 2], False)


def test_a_log_that_is_cut_while_it_is_read_is_caught(log: AuditLog, sink: Collector) -> None:
    record(log, 4)
    with shipped(log, sink.url) as own:
        own.pump(Sender(sink.url, 5))
        os.truncate(log.path, os.path.getsize(log.path) // 2)
        assert own.pump(Sender(sink.url, 5)).problem == "the log was cut within its first 5 records"


def test_a_record_that_is_being_written_waits_until_it_is_whole(log: AuditLog, sink: Collector) -> None:
    record(log, 1)
    path = Path(log.path)
    whole = path.read_bytes()
    path.write_bytes(whole[:-9])
    with shipped(log, sink.url) as own:
        assert own.pump(Sender(sink.url, 5)).problem is None
        assert sink.numbers() == [0]
        with path.open("ab") as file:
            file.write(whole[-9:])
        own.pump(Sender(sink.url, 5))
    assert sink.numbers() == [0, 1]


def test_a_cursor_that_cannot_be_written_loses_no_record(log: AuditLog, sink: Collector) -> None:
    in_the_way = Path(log.path).with_name(f".{spool.file_of(sink.url)}.tmp")
    in_the_way.mkdir()
    with shipped(log, sink.url) as own:
        with pytest.raises(IsADirectoryError):
            own.pump(Sender(sink.url, 5))
        in_the_way.rmdir()
        record(log, 1)
        assert own.pump(Sender(sink.url, 5)).problem is None
    assert sorted(set(sink.numbers())) == [0, 1]
    assert cursor(log, sink.url).sent == 2


def test_two_processes_do_not_send_one_session_at_once(log: AuditLog, sink: Collector) -> None:
    session = os.open(Path(log.path).parent, os.O_RDONLY)
    with shipped(log, sink.url), shipment(session, SESSION, "host", sink.url) as other:
        assert other is None
    os.close(session)


def test_two_collectors_each_get_all_of_it(log: AuditLog, sink: Collector) -> None:
    with collector() as other:
        for each in (sink, other, sink, other):
            with shipped(log, each.url) as own:
                own.pump(Sender(each.url, 5))
            record(log, 1)
        assert (sink.numbers(), other.numbers()) == ([0, 1, 2], [0, 1, 2, 3])


def test_a_session_that_was_not_sent_whole_is_found_later(log: AuditLog, sink: Collector) -> None:
    root = os.open(Path(log.path).parent.parent, os.O_RDONLY)
    with shipped(log, sink.url):
        pass
    assert [*left_over(root, sink.url)] == [SESSION]
    assert [*left_over(root, "http://another")] == []
    with shipped(log, sink.url) as own:
        own.pump(Sender(sink.url, 5), is_over=True)
    assert [*left_over(root, sink.url)] == []
    os.close(root)


@pytest.mark.parametrize(
    "text", ["", "{", '{"endpoint":1}', '{"endpoint":"u","sent":-1,"gaps":0,"is_complete":false}']
)
def test_a_damaged_cursor_sends_all_again(log: AuditLog, sink: Collector, text: str) -> None:
    (Path(log.path).parent / spool.file_of(sink.url)).write_text(text)
    with shipped(log, sink.url) as own:
        own.pump(Sender(sink.url, 5))
    assert sink.numbers() == [0]


@pytest.mark.parametrize(
    ("silent_s", "is_complete"), [(shipping.SILENT_S - 600, False), (shipping.SILENT_S + 600, True)]
)
def test_a_session_that_has_not_said_its_end_is_complete_once_it_was_silent_for_a_day(
    log: AuditLog, sink: Collector, silent_s: float, is_complete: bool
) -> None:
    then = time.time() - silent_s
    with shipped(log, sink.url) as own:
        os.utime(log.path, (then, then))
        assert own.finish(Sender(sink.url, 5)) is None
    assert (cursor(log, sink.url).is_complete, sink.numbers()) == (is_complete, [0])


def test_killing_the_sender_anywhere_loses_no_record(tmp_path: Path, sink: Collector) -> None:
    for number in range(LOGS):
        with AuditLog(str(tmp_path), f"log-{number}") as log:
            record(log, 121)
    sender = [sys.executable, "-m", "support.outward.killed_sender"]
    argv = [*sender, str(tmp_path / "audit"), sink.url, str(KILLS_EACH)]
    subprocess.run(argv, env={**os.environ, "PYTHONPATH": str(TESTS)}, check=True, timeout=600)
    for number in range(LOGS):
        assert sorted(set(sink.numbers(f"log-{number}"))) == [*range(121)]
    # One that was sent twice bears the same id.
    ids = {(each["log.record.uid"], each["nono.audit.chain_hash"]) for each in sink.records}
    assert len(ids) == 121 * LOGS
