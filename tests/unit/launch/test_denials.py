"""nono.launch.denials: of all that is recorded, what was denied."""

from __future__ import annotations

import pytest

from nono.audit import event
from nono.audit.credential_events import CaptureRun, credential_capture
from nono.audit.event import SEVERAL, WITHDRAWN, Event
from nono.launch.denials import KEPT_MAX, Denials, Denied, Kind


def noted(*events: Event) -> tuple[Denied, ...]:
    denials = Denials()
    for each in events:
        denials.note(each)
    return denials.listed()


def refused(target: str, **fields: object) -> Event:
    known: dict[str, object] = {"mode": "connect", "decision": "deny", "reason": "no"}
    return event.network(target=target, **(known | fields))  # type: ignore[arg-type]  # the test's own words


def asked_about(path: str, decision: event.CapabilityDecision, backend: str = "terminal") -> Event:
    return event.capability_decision({"path": path, "access": "Write"}, decision, backend, 3)


@pytest.mark.parametrize(
    ("recorded", "denied"),
    [
        (
            refused("x.example", port=443, rule="*.example", origin="-p", hint="drop"),
            Denied(Kind.NETWORK, "x.example", "no", None, 443, rule="*.example", origin="-p", hint="drop"),
        ),
        (
            refused("x", method="GET", path="/a", status=400),
            Denied(Kind.NETWORK, "x", "no", method="GET", path="/a", is_answered=True),
        ),
        (
            refused("unix:/run/x.sock", rule="filesystem.unix_socket"),
            Denied(Kind.SOCKET, "/run/x.sock", "no", rule="filesystem.unix_socket"),
        ),
        (
            refused("x", method="POST", path="/a", approval_backend="terminal", approval_outcome="timeout"),
            Denied(Kind.NETWORK, "x", "no", method="POST", path="/a", by="terminal", timed_out=True),
        ),
        (
            refused("x", decision="approve_error", reason=WITHDRAWN, approval_backend="terminal"),
            Denied(Kind.NETWORK, "x", WITHDRAWN, by="terminal"),
        ),
        (
            event.UnaskedDecision(event.Unasked("/etc/shadow", "Read", "denied by x")),
            Denied(Kind.PATH, "/etc/shadow", "denied by x", access="Read"),
        ),
        (
            asked_about("/a", {"Denied": {"reason": "a person said no"}}),
            Denied(Kind.PATH, "/a", "a person said no", access="Write", by="terminal"),
        ),
        (
            asked_about("/a", "Timeout"),
            Denied(Kind.PATH, "/a", "nobody answered in time", access="Write", by="terminal", timed_out=True),
        ),
    ],
    ids=["host", "answered", "socket", "request", "withdrawn", "unasked", "said no", "timeout"],
)  # fmt: skip
def test_a_denial_is_kept_with_all_that_is_known_of_it(recorded: Event, denied: Denied) -> None:
    assert noted(recorded) == (denied,)


FAILED_CAPTURE = credential_capture(
    action="command_failed",
    name="gcloud",
    command="/usr/bin/gcloud",
    argv=("gcloud",),
    cache_scope="",
    output_format="text",
    stdin_mode="null",
    route_id="vertex",  # also the target, which is no host
    upstream="x.example",
    port=443,
    method="POST",
    path="/a",
    run=CaptureRun(1, 1, problem="it failed (exit status 1)"),
)


@pytest.mark.parametrize(
    "recorded",
    [
        FAILED_CAPTURE,
        event.session_started(["x"]),
        refused("x.example", decision="allow"),
        refused("x.example", decision="approve_granted"),
        refused("x.example", decision="approve_denied", approval_backend="terminal"),
        refused("x.example", decision="approve_timeout", approval_backend="terminal"),
        refused("x.example", approval_backend="policy"),  # too many questions
        refused("x.example", denial_category="upstream_connect_failed"),
        refused("x.example", denial_category="authentication_required"),  # git sends the token when asked
        refused("unix:/var/run/nscd/socket"),
        asked_about("/a", "Granted"),
        asked_about("/a", "Requested"),
    ],
)
def test_what_was_allowed_or_answered_or_has_failed_or_is_the_c_librarys_is_no_denial(
    recorded: Event,
) -> None:
    assert noted(recorded) == ()


def test_the_list_of_denials_is_free_of_repeats() -> None:
    assert len(noted(refused("x"), refused("x"))) == 1


def test_the_list_of_denials_is_short() -> None:
    denials = Denials()
    for number in range(KEPT_MAX):
        denials.note(refused(f"h{number}"))
    assert denials.is_complete
    denials.note(refused("one more"))
    assert (len(denials.listed()), denials.is_complete) == (KEPT_MAX, False)


def test_refusals_that_were_folded_beyond_recognition_are_told_as_such() -> None:
    denials = Denials()
    denials.note(refused(SEVERAL))
    assert (denials.listed(), denials.is_complete) == ((), False)
