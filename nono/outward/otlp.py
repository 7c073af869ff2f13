"""Send records to a collector as OpenTelemetry logs, with the exporter of the official SDK.

The SDK is imported when it is needed, because it is an optional extra. Its own variables, such as
OTEL_EXPORTER_OTLP_HEADERS, provide the login.
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from enum import Enum
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from nono import __version__
from nono.amounts import several
from nono.named_tuple import NamedTuple

if TYPE_CHECKING:
    from opentelemetry.sdk._logs import ReadableLogRecord
    from opentelemetry.sdk.resources import Resource
    from requests import Response

    from nono.outward.ocsf.parts import Document

_PATH = "/v1/logs"
_SCOPE = "nono.audit"
_UNFIT = frozenset((400, 413, 422))  # the records are at fault; other errors may pass, even a failed login
_SEVERITIES = {1: 9, 2: 10, 3: 13, 4: 17}  # INFO, INFO2, WARN, ERROR


class Answer(Enum):
    TAKEN = "taken"
    LATER = "later"
    REFUSED = "refused"  # these records, permanently


class Sent(NamedTuple):
    """The result of sending records to a collector."""

    answer: Answer
    why: str = ""
    rejected: int = 0  # accepted, then dropped by the collector


def endpoint_of(url: str) -> str:
    """Return the URL for logs: a collector's bare URL gets the usual path."""
    return url.rstrip("/") + _PATH if urlsplit(url).path in ("", "/") else url


def resource(host: str) -> Resource:
    from opentelemetry.sdk.resources import Resource

    # Not Resource.create(): that would add the user's variables, which describe other programs.
    return Resource({"service.name": "nono", "service.version": __version__, "host.name": host})


def log_record(document: Document, of: Resource, gaps: int) -> ReadableLogRecord:
    """Return one record of a log: the whole document, and its place in the chain as attributes.

    gaps: How many earlier records the collector has refused permanently.
    """
    from opentelemetry._logs import LogRecord, SeverityNumber
    from opentelemetry.sdk._logs import ReadableLogRecord
    from opentelemetry.sdk.util.instrumentation import InstrumentationScope

    place, metadata = document["unmapped"]["nono"], document["metadata"]
    attributes: dict[str, Any] = {
        "log.record.uid": metadata["uid"],
        "nono.session.id": place["session"],
        "nono.audit.sequence": place["sequence"],
        "nono.audit.prev_chain": place["prev_chain"] or "",
        "nono.audit.leaf_hash": place["leaf_hash"],
        "nono.audit.chain_hash": place["chain_hash"],
        "nono.audit.gaps": gaps,
        "ocsf.version": metadata["version"],
        "ocsf.class_uid": document["class_uid"],
        "ocsf.type_uid": document["type_uid"],
        "ocsf.raw": json.dumps(document, separators=(",", ":"), ensure_ascii=False),
    }
    record = LogRecord(
        timestamp=document["time"] * 1_000_000,
        observed_timestamp=time.time_ns(),
        severity_number=SeverityNumber(_SEVERITIES[document["severity_id"]]),
        body=document["message"],
        attributes=attributes,
        event_name=f"{_SCOPE}.{metadata['event_code']}",
    )
    return ReadableLogRecord(record, of, InstrumentationScope(_SCOPE, __version__))


class Sender:
    """The connection to one collector."""

    def __init__(self, url: str, timeout_s: float) -> None:
        import logging

        import requests
        from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter

        logging.getLogger("opentelemetry").disabled = True  # the caller reports what this would print
        logging.getLogger("opentelemetry.exporter.otlp.proto.http._log_exporter").disabled = True
        self._session = requests.Session()
        # The exporter itself only tells whether it succeeded.
        self._session.hooks["response"] = [self._answered]
        self._answers: list[Response] = []
        self._exporter = OTLPLogExporter(endpoint_of(url), timeout=timeout_s, session=self._session)

    def _answered(self, response: Response, **_: object) -> None:
        self._answers.append(response)

    def send(self, records: Sequence[ReadableLogRecord]) -> Sent:
        """Send some records in one request. A collector's failure raises nothing."""
        from opentelemetry.sdk._logs.export import LogRecordExportResult

        self._answers.clear()
        is_sent = self._exporter.export(records) is LogRecordExportResult.SUCCESS
        if not self._answers:
            return Sent(Answer.LATER, "it cannot be reached")
        answer = self._answers[-1]
        if is_sent and answer.status_code < 300:
            rejected = _rejected(answer.content)
            return Sent(
                Answer.TAKEN, f"it has dropped {several(rejected, 'record')}" if rejected else "", rejected
            )
        why = f"it has answered {answer.status_code} {answer.reason}"
        return Sent(Answer.REFUSED if answer.status_code in _UNFIT else Answer.LATER, why)

    def close(self) -> None:
        self._session.close()


def _rejected(content: bytes) -> int:
    from google.protobuf.message import DecodeError
    from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceResponse

    try:
        rejected: int = ExportLogsServiceResponse.FromString(content).partial_success.rejected_log_records
    except DecodeError:
        return 0
    return max(rejected, 0)


def json_line(document: Document, of: Resource) -> str:
    """Return one record as a line of an OTLP JSON file."""
    from google.protobuf.json_format import MessageToDict
    from opentelemetry.exporter.otlp.proto.common._log_encoder import encode_logs

    request = encode_logs([log_record(document, of, 0)])
    # OTLP's JSON encodes enumerations as numbers (OTLP 1.x, "JSON Protobuf Encoding").
    return json.dumps(
        MessageToDict(request, use_integers_for_enums=True), separators=(",", ":"), ensure_ascii=False
    )
