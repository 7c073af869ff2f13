"""The bytes of each kind of event that other programs read: names, order and spelling are hashed."""

from __future__ import annotations

import pytest

from nono.audit import event
from nono.audit.chain import encode_event
from nono.audit.event import Event, Unasked, UnaskedDecision

AT = "2026-01-02T03:04:05+00:00"
AT_MS = 1767323045006
ASKED: Event = {
    "capability_type": "capability",
    "request_id": "r1",
    "path": "/x",
    "access": "Write",
    "reason": "w",
}


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(event, "rfc3339", lambda: AT)
    monkeypatch.setattr(event, "unix_ms", lambda: AT_MS)


def events() -> dict[str, tuple[Event, str]]:
    timestamp = '"timestamp":{"secs_since_epoch":1767323045,"nanos_since_epoch":6000000}'
    asked = f'"request":{encode_event(ASKED).decode()}'
    return {
        "session_started": (
            event.session_started(["sh", "-c", "echo ä/\x7f\x01"]),
            f'{{"type":"session_started","started":"{AT}","command":["sh","-c","echo ä/\x7f\\u0001"]}}',
        ),
        "session_started with redaction": (
            event.session_started(["true"], {"added_flags": ["--pin"]}),
            f'{{"type":"session_started","started":"{AT}","command":["true"],'
            '"redaction_policy":{"added_flags":["--pin"]}}',
        ),
        "session_ended": (
            event.session_ended(3),
            f'{{"type":"session_ended","ended":"{AT}","exit_code":3}}',
        ),
        "capability_decision granted": (
            event.capability_decision(ASKED, "Granted", "terminal", 7),
            f'{{"type":"capability_decision","entry":{{{timestamp},{asked},"decision":"Granted",'
            '"backend":"terminal","duration_ms":7}}',
        ),
        "capability_decision denied": (
            event.capability_decision(ASKED, {"Denied": {"reason": "no"}}, "terminal", 7),
            f'{{"type":"capability_decision","entry":{{{timestamp},{asked},"decision":{{"Denied":'
            '{"reason":"no"}},"backend":"terminal","duration_ms":7}}',
        ),
        "capability_decision of a path that is not UTF-8": (
            UnaskedDecision(Unasked("/\udcff", "Read", "no")),
            f'{{"type":"capability_decision","entry":{{{timestamp},"request":{{"capability_type":"capability",'
            '"request_id":"","path":"/\\\\xff","access":"Read","reason":"the command opens a file beyond its '
            'grants"},"decision":{"Denied":{"reason":"no"}},"backend":"policy","duration_ms":0}}',
        ),
        "network": (
            event.network(mode="connect", decision="allow", target="a.test", port=443),
            f'{{"type":"network","event":{{"timestamp_unix_ms":{AT_MS},"mode":"connect","decision":"allow",'
            '"target":"a.test","port":443,"method":null,"path":null,"status":null,"reason":null}}',
        ),
        "network in full": (
            event.network(
                mode="reverse",
                decision="deny",
                target="openai",
                port=443,
                method="POST",
                path="/v1",
                status=403,
                reason="no",
                route_id="openai",
                auth_mechanism="phantom_header",
                auth_outcome="failed",
                managed_credential_active=False,
                injection_mode="header",
                denial_category="endpoint_policy",
                approval_backend="terminal",
                upstream="api.openai.com:443",
            ),
            f'{{"type":"network","event":{{"timestamp_unix_ms":{AT_MS},"mode":"reverse","decision":"deny",'
            '"route_id":"openai","auth_mechanism":"phantom_header","auth_outcome":"failed",'
            '"managed_credential_active":false,"injection_mode":"header","denial_category":"endpoint_policy",'
            '"approval_backend":"terminal","target":"openai","upstream":"api.openai.com:443","port":443,'
            '"method":"POST","path":"/v1","status":403,"reason":"no"}}',
        ),
    }


@pytest.mark.parametrize("kind", events())
def test_an_event_has_the_published_bytes(kind: str) -> None:
    made, expected = events()[kind]
    assert encode_event(made).decode() == expected
