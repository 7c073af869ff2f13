"""An OpenTelemetry collector on loopback that parses what it receives with the SDK's own messages."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import (
    ExportLogsServiceRequest,
    ExportLogsServiceResponse,
)

from support.outward.serving import PostHandler, serving

Attributes = dict[str, Any]


class Collector:
    """What has arrived, each record by its attributes, body and name, and what is answered."""

    def __init__(self) -> None:
        self.records: list[Attributes] = []
        self.headers: list[dict[str, str]] = []
        self.requests = 0
        self.answer: Callable[[list[Attributes]], int] = lambda records: (
            200
        )  # status; other than 200: not taken
        self.rejects = 0  # number of records of the next request to reject, as a partial success
        self.retry_after_s: int | None = None  # which every answer says
        self.loses_answers = False  # takes the records and closes the connection
        self.url = ""
        self._changed = threading.Condition()

    def take(self, content: bytes, headers: dict[str, str]) -> tuple[int, bytes] | None:
        request = ExportLogsServiceRequest.FromString(content)
        found = [
            {
                **{each.key: _value(each.value) for each in record.attributes},
                "body": record.body.string_value,
                "event_name": record.event_name,
                "time_ms": record.time_unix_nano // 1_000_000,
            }
            for logs in request.resource_logs
            for scope in logs.scope_logs
            for record in scope.log_records
        ]
        with self._changed:
            self.requests += 1
            self.headers.append(headers)
            status = self.answer(found)
            if status == 200:
                self.records += found
            self._changed.notify_all()
            response = ExportLogsServiceResponse()
            response.partial_success.rejected_log_records, self.rejects = self.rejects, 0
            return None if self.loses_answers else (status, response.SerializeToString())

    def wait(self, holds: Callable[[], bool]) -> None:
        """Wait until the condition holds. AssertionError after 20 s."""
        with self._changed:
            assert self._changed.wait_for(holds, 20), (
                f"{len(self.records)} records in {self.requests} requests"
            )

    def numbers(self, session_id: str | None = None) -> list[int]:
        return [
            each["nono.audit.sequence"]
            for each in self.records
            if session_id in (None, each["nono.session.id"])
        ]


def _value(value: Any) -> Any:
    return getattr(value, value.WhichOneof("value") or "string_value")


@contextmanager
def collector(port: int = 0) -> Iterator[Collector]:
    """Serve until the block is left."""
    served = Collector()

    class Handler(PostHandler):
        def post(self, content: bytes) -> None:
            answer = served.take(content, dict(self.headers)) if self.path == "/v1/logs" else (404, b"")
            if answer is None:
                self.close_connection = True
                return
            with suppress(OSError):  # the sender was killed or has stopped waiting
                kind = "application/x-protobuf"
                self.answer(answer[0], kind, answer[1], retry_after_s=served.retry_after_s)

    with serving(Handler, port) as served.url:
        yield served
