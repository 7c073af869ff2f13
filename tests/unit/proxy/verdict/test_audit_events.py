"""What the audit log gets of a request."""

from __future__ import annotations

from typing import Any

import pytest

from nono.proxy.http.refusal import Refusal
from nono.proxy.verdict.audit_events import allowed, denied
from nono.proxy.verdict.verdict import Entry

ENTRY = Entry("reverse", "api.test", 8443, "POST", "/v1/items")


@pytest.mark.parametrize(
    ("entry", "port"),
    [
        pytest.param(ENTRY, 8443, id="a host"),
        pytest.param(ENTRY._replace(mode="connect_intercept", route_id="api"), 8443, id="its host"),
        pytest.param(ENTRY._replace(target="api", route_id="api"), 0, id="a service"),
    ],
)
def test_only_a_service_is_refused_without_a_port(entry: Entry, port: int) -> None:
    written: Any = denied(entry, Refusal(403, "no", "api.test"))
    assert written["event"]["port"] == port


@pytest.mark.parametrize(
    ("category", "outcome"), [("authentication_failed", "failed"), ("endpoint_policy", None)], ids=str
)
def test_only_a_refused_key_is_recorded_as_failed(category: Any, outcome: str | None) -> None:
    written: Any = denied(ENTRY, Refusal(401, "no", "api.test", category=category))
    assert written["event"].get("auth_outcome") == outcome


@pytest.mark.parametrize("rule", ["endpoint_policy.allow[GET /v1/**]", None])
def test_an_allowed_request_is_recorded_with_the_rule_that_did(rule: str | None) -> None:
    written: Any = allowed(ENTRY._replace(rule=rule))
    assert (written["event"]["decision"], written["event"].get("rule")) == ("allow", rule)
    assert ("rule" in written["event"]) == (rule is not None)


@pytest.mark.parametrize(("mechanism", "outcome"), [("phantom_header", "succeeded"), (None, None)])
def test_an_allowed_request_has_authenticated_itself_only_if_it_had_to(
    mechanism: Any, outcome: str | None
) -> None:
    written: Any = allowed(ENTRY._replace(mechanism=mechanism))
    assert (written["event"].get("auth_mechanism"), written["event"].get("auth_outcome")) == (
        mechanism,
        outcome,
    )
