"""Each kind of event against the published schema of OCSF 1.8, and what a document holds of the chain."""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from ocsf_json_schema import OcsfJsonSchemaEmbedded, get_ocsf_schema

from nono.audit import credential_events, event, model_events, outcomes
from nono.audit.chain import ChainState, Encoder, record_line
from nono.audit.event import Event
from nono.audit.reading import Reading, Record
from nono.outward import events
from nono.outward.head import Head
from nono.outward.ocsf.parts import Action, Disposition, Status
from nono.outward.ocsf.projection import Projection

AT = "2026-01-02T03:04:05+01:00"
CAPTURE = {
    "name": "gh", "command": "/usr/bin/gh", "argv": ("gh", "auth", "token"), "cache_scope": "session",
    "output_format": "text", "stdin_mode": "null", "route_id": "github", "upstream": "api.github.com",
    "port": 443, "method": "GET", "path": "/user",
}  # fmt: skip
ASKED: Event = {
    "capability_type": "capability", "request_id": "r", "path": "/home/a/.netrc", "access": "Read", "reason": "?"
}  # fmt: skip


def network(decision: event.NetworkDecision, **more: Any) -> Event:
    usual: dict[str, Any] = {"mode": "connect", "target": "example.com", "port": 443}
    return event.network(decision=decision, **{**usual, **more})


class Ended:
    number, host, port, status, by_proxy = 3, "example.com", 443, 200, False
    sent, received, duration_ms, failure, reason = 5, 7, 11, None, None


# ruff: noqa: E501 - a table
# One of each kind, with its class and its activity.
CASES: dict[str, tuple[Event, int, int]] = {
    "started": (event.session_started(["sh", "-c", "true"]), 6002, 3),
    "ended": (event.session_ended(1, {"cause": "exited", "by": None}), 6002, 4),
    "attached": (event.terminal_shown(True), 6002, 99),
    "rung": (event.enforced_by("notify"), 5019, 1),
    "limits": (event.resource_limits(1 << 30, None), 5019, 1),
    "rule": (event.policy_changed("added", "allow", "host", "a.example", "nono allow", None), 5019, 1),
    "limit": (event.limit_reached("memory", 1), 2004, 1),
    "masked": (event.masked("/home/a/.ssh", "deny_ssh"), 5019, 1),
    "hook": (event.session_hook("before", "/home/a/h.sh", 0, 3, None, ["A"], None), 1007, 1),
    "hook failed": (event.session_hook("after", "/home/a/h.sh", None, 3, "no such file", [], ""), 1007, 1),
    "withheld": (event.variables_withheld({"GH_TOKEN": "name"}), 5019, 1),
    "gap": (event.not_enforced("addresses"), 2004, 1),
    "connected": (network("allow"), 4001, 1),
    "refused": (network("deny", reason="no rule", rule="r", origin="profile", denial_category="host_denied"), 4001, 5),
    "failed": (network("deny", reason="refused", denial_category="upstream_connect_failed"), 4001, 4),
    "address": (network("allow", target="2001:db8::1"), 4001, 1),
    "unix socket": (network("deny", target="unix:/run/docker.sock", port=None), 4001, 5),
    "several": (network("deny", target=event.SEVERAL, port=None, repeats=9), 4001, 5),
    "request": (network("allow", mode="reverse", target="openai", upstream="api.openai.com:443", method="POST", path="/v1/x?a=b"), 4002, 6),
    "odd method": (network("deny", mode="connect_intercept", method="PURGE", path="/"), 4002, 99),
    "asked": (network("approve_requested", method="GET", path="/", approval_backend="terminal"), 4002, 3),
    "denied": (network("approve_denied", method="GET", path="/", status=403), 4002, 3),
    "captured": (credential_events.credential_capture(action="captured", run=credential_events.CaptureRun(5, 0, 40), **CAPTURE), 6003, 99),  # type: ignore[arg-type] # a table
    "no credential": (credential_events.credential_capture(action="timeout", **CAPTURE), 6003, 99),  # type: ignore[arg-type] # as above
    "ends": (outcomes.RequestsEnded([Ended(), Ended()]), 4001, 6),
    "file asked": (event.capability_decision(ASKED, "Requested", "terminal", 0), 1001, 14),
    "file granted": (event.capability_decision(ASKED, "Granted", "terminal", 9), 1001, 14),
    "file refused": (event.UnaskedDecision(event.Unasked("/root/\udcff", "Write", "no"), 7), 1001, 14),
    "options": (event.run_options({"allow": ["/p"]}, []), 5019, 1),
    "full": (event.audit_budget_reached(1 << 20), 2004, 1),
    "unrecorded": (event.audit_unrecorded(4), 2004, 1),
    "frozen": (credential_events.credential_frozen("openai", "the key came back"), 2004, 1),
    "model": (model_events.model_usage("openai", model="gpt", input_tokens=5, cached_input_tokens=0, output_tokens=2), 6003, 99),
    "anchored": (events.audit_anchored("rfc3161:http://tsa", Head("s", 2, "0" * 64, "1" * 64), "f", "0" * 64), 6002, 99),
    "not anchored": (events.audit_not_anchored("rfc3161:http://tsa", 2, "timed out"), 2004, 1),
    "not sent": (events.audit_not_sent("http://otel", 2, "it cannot be reached"), 2004, 1),
    "not carried": (events.audit_carrier_ended(), 2004, 1),
    "altered": (events.audit_altered("record 3 cannot be read"), 2004, 1),
    "turn": ({"type": "turn_began", "timestamp_unix_ms": 1, "turn": 2, "service": "openai", "model": "gpt", "request": 3}, 6003, 99),
    "no turn": ({"type": "turn_unclear", "timestamp_unix_ms": 1, "service": "openai", "reason": "no body", "request": 3}, 6003, 99),
    "mark": ({"type": "turn_marked", "timestamp_unix_ms": 1, "turn": 2, "snapshot": 4, "changed": 1, "ms": 9}, 6002, 99),
    "snapshot": ({"type": "snapshot_taken", "number": 0, "kind": "baseline", "files": 3, "merkle_root": "0" * 64}, 6002, 99),
    "instructions": ({"type": "instruction_files", "at": AT, "root": "/p", "enforcement": "deny", "policy": "user", "refused": False, "files": []}, 5019, 1),
    "bad instructions": ({"type": "instruction_files", "at": AT, "root": "/p", "enforcement": "deny", "policy": "user", "refused": True, "files": [{}]}, 2004, 1),
    "unchecked": (event.instructions_unchecked("/p"), 2004, 1),
    "package": ({"type": "package_used", "at": AT, "name": "x", "path": "/c/x", "sha256": "0" * 64}, 1001, 2),
    "flows": ({"type": "flows_recorded", "at": AT, "path": "/p/flows"}, 5019, 1),
    "repository, removed": (event.repository_changed("/p/.git/hooks", "removed_hooks", ["pre-push"], 1), 2004, 1),
    "repository, redirected": (event.repository_changed("/p/.git/commondir", "redirected", [], 0), 2004, 1),
    "repository, worktree": (event.repository_changed("/p/.git/config", "worktree", [], 0), 2004, 1),
    "repository, exposed": (event.repository_changed("/p/.git/config", "exposed", [], 0), 2004, 1),
    "repository, rerouted": (event.repository_changed("/p/.git/config", "rerouted", [], 0), 2004, 1),
    "repository, unreadable": (event.repository_changed("/p/.git/config", "unreadable", [], 0), 2004, 1),
    "repository": (event.repository_changed("/p/.git/config", "settings", ["core.hooksPath"], 1), 2004, 1),
    "of a later version": ({"type": "unheard_of", "at": AT}, 0, 99),
    "damaged": ({"type": "network", "event": 5}, 0, 99),
}  # fmt: skip


def records_of(written: Iterable[Event]) -> list[Record]:
    """Return what a reader finds of these events in a log."""
    state, lines, encoder = ChainState(), list[bytes](), Encoder()
    for each in written:
        line, state = record_line(state, encoder.encoded(each))
        lines.append(line)
    return [*Reading(lines)]


@cache
def schema() -> OcsfJsonSchemaEmbedded:
    return OcsfJsonSchemaEmbedded(get_ocsf_schema(version="1.8.0"))


@cache
def validator(class_uid: int, profiles: tuple[str, ...]) -> Draft202012Validator:
    name = schema().lookup_class_name_from_uid(class_uid)
    return Draft202012Validator(schema().get_class_schema(name, list(profiles)))


def mistakes(document: Mapping[str, Any]) -> list[str]:
    profiles = tuple(document["metadata"]["profiles"])
    return [each.message for each in validator(document["class_uid"], profiles).iter_errors(document)]


@pytest.mark.parametrize(("written", "class_uid", "activity"), CASES.values(), ids=CASES)
def test_a_document_is_valid_by_the_published_schema(written: Event, class_uid: int, activity: int) -> None:
    document = Projection("0123456789abcdef", "host").document(records_of([written])[0])
    assert (document["class_uid"], document["activity_id"]) == (class_uid, activity)
    assert mistakes(document) == []


def test_the_schema_refuses_a_document_without_its_time() -> None:
    document = Projection("s", "host").document(records_of([event.enforced_by("notify")])[0])
    del document["time"]
    assert mistakes(document) != []


def test_every_kind_of_event_has_a_class_of_its_own() -> None:
    names = {
        json.loads(records_of([written])[0].event_json)["type"]
        for written, class_uid, _ in CASES.values()
        if class_uid
    }
    written = "".join(inspect.getsource(module) for module in (event, events))
    assert set(re.findall(r'"type": "(\w+)"', written)) - {"network"} <= names - {"network"}


@pytest.mark.parametrize(
    ("what", "message"),
    [
        ("exposed", "git may trust another machine or give away a password by 2 settings in /p/.git/config"),
        ("rerouted", "git may push to another place, or fetch from one, by 2 settings in /p/.git/config"),
        ("worktree", "git writes to another directory by /p/.git/config"),
        ("redirected", "git is led to another repository by /p/.git/config"),
        ("settings", "changed: 2 settings in /p/.git/config"),
        ("removed_hooks", "removed: 2 hooks in /p/.git/config"),
    ],
)
def test_a_change_of_git_is_said_in_words_of_its_own(what: Any, message: str) -> None:
    changed = event.repository_changed("/p/.git/config", what, ["a", "b"], 2)
    assert message in Projection("s", "host").document(records_of([changed])[0])["message"]


@pytest.mark.parametrize(("is_refused", "word"), [(False, "checked"), (True, "refused")])
def test_instruction_files_that_were_refused_are_told_from_those_that_were_checked(
    is_refused: bool, word: str
) -> None:
    checked = event.instruction_files("/p", "deny", "user", [], is_refused)
    document = Projection("s", "host").document(records_of([checked])[0])
    assert f"{word}: 0 instruction files in /p" in document["message"]


@pytest.mark.parametrize(
    ("decision", "disposition"),
    [("Requested", Disposition.DELAYED), ("Granted", Disposition.APPROVED), ("Timeout", Disposition.BLOCKED)],
)
def test_a_question_about_a_file_is_told_from_its_answer(decision: Any, disposition: Disposition) -> None:
    asked = event.capability_decision(ASKED, decision, "terminal", 0)
    assert Projection("s", "host").document(records_of([asked])[0])["disposition_id"] == disposition


def document_of(written: Event) -> dict[str, Any]:
    return dict(Projection("s", "host").document(records_of([written])[0]))


@pytest.mark.parametrize(("writes", "use"), [(True, " with listening"), (False, "")])
def test_a_rule_for_a_socket_says_whether_it_is_about_listening(writes: bool, use: str) -> None:
    changed = event.policy_changed("added", "allow", "socket", "/s", "nono allow", None, writes=writes)
    assert document_of(changed)["message"] == f"rule added: allow socket /s{use}, by nono allow"


@pytest.mark.parametrize(
    ("decision", "action", "disposition", "status"),
    [
        ("allow", Action.ALLOWED, Disposition.ALLOWED, Status.SUCCESS),
        ("deny", Action.DENIED, Disposition.BLOCKED, Status.FAILURE),
        ("approve_requested", Action.OBSERVED, Disposition.DELAYED, Status.SUCCESS),
        ("approve_granted", Action.ALLOWED, Disposition.APPROVED, Status.SUCCESS),
        ("approve_denied", Action.DENIED, Disposition.REJECTED, Status.FAILURE),
        ("approve_timeout", Action.DENIED, Disposition.BLOCKED, Status.FAILURE),
        ("approve_error", Action.DENIED, Disposition.ERROR, Status.FAILURE),
        ("of a later version", Action.DENIED, Disposition.ERROR, Status.FAILURE),
    ],
)
def test_what_was_decided_about_a_request_is_told_apart(
    decision: Any, action: Action, disposition: Disposition, status: Status
) -> None:
    for more in ({}, {"method": "GET", "path": "/"}):
        said = document_of(network(decision, **more))
        assert (said["action_id"], said["disposition_id"], said["status_id"]) == (action, disposition, status)


def test_a_refusal_says_by_which_rule_why_and_how_often() -> None:
    written = network(
        "deny", reason="no rule", rule="r", origin="profile", repeats=9, method="GET", path="/", status=403
    )
    said = document_of(written)
    assert said["firewall_rule"] == {"name": "r", "desc": "profile"}
    assert (said["status_detail"], said["count"]) == ("no rule", 9)
    assert said["http_response"] == {"code": 403}


@pytest.mark.parametrize(
    ("failures", "status"),
    [((None, None), Status.SUCCESS), (("reset", None), Status.SUCCESS), (("reset", "reset"), Status.FAILURE)],
)
def test_ended_requests_failed_if_each_of_them_did(failures: tuple[Any, ...], status: Status) -> None:
    rows = [Ended() for _ in failures]
    for row, failure in zip(rows, failures, strict=True):
        row.failure = failure
    assert document_of(outcomes.RequestsEnded(rows))["status_id"] == status


@pytest.mark.parametrize(
    ("case", "status"), [("captured", Status.SUCCESS), ("no credential", Status.FAILURE)]
)
def test_a_credential_that_was_not_captured_is_a_failure(case: str, status: Status) -> None:
    assert document_of(CASES[case][0])["status_id"] == status


def test_a_denial_at_the_name_of_a_service_names_the_port_of_its_host() -> None:
    refused = network(
        "deny",
        mode="reverse",
        target="openai",
        port=0,
        upstream="api.openai.com:443",
        method="GET",
        path="/x",
    )
    document = Projection("s", "host").document(records_of([refused])[0])
    assert document["dst_endpoint"] == {"hostname": "api.openai.com", "port": 443}


def test_the_path_of_a_base_url_is_not_taken_for_one_of_the_host_behind_it() -> None:
    url = {"upstream": "api.openai.com:443", "method": "GET", "route_id": "openai"}
    asked = network("allow", mode="reverse", target="openai", path="/openai/models?limit=", **url)
    inside = network("allow", mode="connect_intercept", target="api.openai.com", path="/v1/models", **url)
    of_service, of_host = [Projection("s", "host").document(each) for each in records_of([asked, inside])]
    assert of_service["http_request"]["url"] == {"path": "/openai/models", "query_string": "limit="}
    assert of_service["dst_endpoint"] == of_host["dst_endpoint"]
    assert of_host["http_request"]["url"] == {
        "hostname": "api.openai.com", "port": 443, "path": "/v1/models"
    }  # fmt: skip


def test_a_document_holds_the_event_whole() -> None:
    written = network("deny", reason="no rule", hint="--allow-domain example.com")
    record = records_of([written])[0]
    assert json.loads(Projection("s", "host").document(record)["raw_data"]) == written


def test_a_document_states_its_place_in_the_chain() -> None:
    projection = Projection("s", "host")
    first, second = [projection.document(each) for each in records_of([event.enforced_by("notify")] * 2)]
    places = [each["unmapped"]["nono"] for each in (first, second)]
    assert [each["sequence"] for each in places] == [0, 1]
    assert places[1]["prev_chain"] == places[0]["chain_hash"]
    assert (first["metadata"]["uid"], second["metadata"]["uid"]) == ("s/0", "s/1")


def test_an_event_without_a_time_bears_that_of_the_one_before() -> None:
    projection = Projection("s", "host")
    documents = [
        projection.document(each) for each in records_of([network("allow"), event.enforced_by("notify")])
    ]
    assert documents[1]["time"] == documents[0]["time"] > 0


def test_a_path_that_is_not_utf_8_leaves_as_utf_8() -> None:
    document = Projection("s", "host").document(records_of([event.session_started(["cat", "/\udcff"])])[0])
    json.dumps(document, ensure_ascii=False).encode("utf-8")
