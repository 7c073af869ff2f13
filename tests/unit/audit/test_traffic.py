"""nono.audit.traffic: what a run is worth a report for."""

from __future__ import annotations

import pytest

from nono.audit.event import Event, Failure, network
from nono.audit.outcomes import RequestsEnded
from nono.audit.traffic import Traffic


class Ended:
    """How a request ended."""

    number, host, port, by_proxy, sent, received, duration_ms, reason = 1, "a.test", 443, False, 1, 1, 1, None

    def __init__(self, status: int | None, failure: Failure | None) -> None:
        self.status, self.failure = status, failure


@pytest.mark.parametrize(
    ("event", "has_requests"),
    [
        (RequestsEnded([Ended(200, None)]), True),
        (RequestsEnded([Ended(None, "refused")]), True),
        (
            network(
                mode="connect", decision="deny", target="b.test", port=443, denial_category="host_denied"
            ),
            False,
        ),
    ],
)
def test_a_run_has_requests_once_one_has_ended(event: Event, has_requests: bool) -> None:
    traffic = Traffic()
    assert not traffic.has_requests
    traffic.note(event)
    assert traffic.has_requests is has_requests
