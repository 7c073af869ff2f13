"""Sum up the events of one session, in one pass over its log."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any, Literal

from nono.audit.event import FAILURES, SEVERAL, TOKEN_ASKED_FOR, rule_of
from nono.audit.outcomes import outcome_rows
from nono.audit.repeats import is_answer, repeats_in
from nono.launch.denials import Denials
from nono.policy.files.unix_sockets import OWN_SOCKET
from nono.proxy.usage.meter import Usage
from nono.proxy.usage.prices import ModelPrices
from nono.report.hosts import Hosts, host_of
from nono.report.model import Approval, Report, RuleChange, RunsLater
from nono.report.timeline import Timeline
from nono.report.usage import Turns

Numbered = tuple[int | None, Mapping[str, Any]]  # the number of a record, and its event
Fields = Mapping[str, Any]

SOCKETS_MAX = LATER_MAX = 200
OWN_SOCKETS = "its own sockets"
APPROVALS_MAX = RULES_MAX = NOTES_MAX = 500
_ANSWERS: Mapping[str, Literal["granted", "denied", "timeout", "error"]] = {
    "approve_granted": "granted",
    "approve_denied": "denied",
    "approve_timeout": "timeout",
    "approve_error": "error",
}
_UNIX = "unix:"
_GIT_RUNS = {
    "hooks": "git outside runs these hooks: ",
    "settings": "git outside runs what these name: ",
    "removed_hooks": "git outside no longer runs these hooks: ",
    "removed_settings": "git outside no longer runs what these named: ",
    "steps": "git runs outside once a rebase or a cherry-pick goes on: ",
    "exposed": "git outside may trust another machine or give away a password by these: ",
    "rerouted": "git outside may push to another place, or fetch from one, by these: ",
    "worktree": "git outside writes files of the repository to: ",
    "redirected": "git outside uses the hooks and settings of another repository",
}
_EXACT = ("notify", "netns")  # rungs that check the exact address (ARCHITECTURE.md)


class Gathered:
    """Takes the events of a log in order. Damaged ones are only counted."""

    def __init__(self, prices: ModelPrices) -> None:
        self._prices = prices
        self._hosts = Hosts()
        self._turns = Turns(prices)
        self._timeline = Timeline()
        self._sockets = Counter[str]()
        self._approvals: list[Approval] = []
        self._rules: list[RuleChange] = []
        self._notes: dict[str, None] = {}
        self._unlisted: dict[str, None] = {}  # of which there was more than is listed
        self._later: list[RunsLater] = []
        self._events = self._damaged = 0
        self.denials = Denials()

    def feed(self, numbered: Iterable[Numbered]) -> None:
        for number, event in numbered:
            self._events += 1
            try:
                self._take(number, event)
            except (KeyError, TypeError, ValueError, AttributeError, IndexError, OverflowError):
                self._damaged += 1

    def report(self) -> Report:
        return Report(
            events=self._events,
            damaged=self._damaged,
            hosts=self._hosts.listed(),
            sockets=tuple(self._sockets.most_common()),
            credentials=self._hosts.credentials(),
            turns=self._turns.listed(),
            approvals=tuple(self._approvals),
            rules=tuple(self._rules),
            timeline=self._timeline.listed(),
            left_out=self._timeline.left_out,
            notes=(*self._notes, *self._incomplete()),
            prices_of=self._prices.as_of,
            later=tuple(self._later),
        )

    def _incomplete(self) -> Iterator[str]:
        if not self.denials.is_complete:
            yield "more kinds of accesses were denied than are listed; the log has all of them"
        for what in self._unlisted:
            yield f"more {what} than are listed; the log has all of them"
        if self._damaged:
            yield f"records of the log that could not be understood: {self._damaged:,}"

    def _take(self, number: int | None, event: Fields) -> None:
        match event["type"]:
            case "network":
                self._network(number, event["event"], event)
            case "requests_ended":
                for outcome in outcome_rows(event):
                    self._hosts.ended(outcome)
            case "capability_decision":
                self._file(event["entry"], event)
            case "model_usage":
                turn = event.get("turn")
                turn = turn if isinstance(turn, int) else None
                self._turns.used(str(event["service"]), _usage(event), turn)
            case "turn_began":
                at_ms = event.get("timestamp_unix_ms")
                self._turns.begin(int(event["turn"]), at_ms, event.get("request"))
                self._timeline.add(at_ms, "turn", f"turn {event['turn']}")
            case "turn_unclear":
                self._note(f"a request to {event['service']} may have begun a turn: {event['reason']}")
            case "policy_changed":
                self._rule(event)
            case "credential_frozen":
                service, why = str(event["service"]), str(event["why"])
                self._hosts.frozen(service, why)
                self._timeline.add(_at(event), "frozen", f"credential {service}: {why}")
            case kind:
                self._other(str(kind), event)

    def _network(self, number: int | None, fields: Fields, event: Fields) -> None:
        decision, at_ms = fields["decision"], fields.get("timestamp_unix_ms")
        where, times = _where(fields), repeats_in(fields)
        if decision in _ANSWERS:
            by, reason = str(fields.get("approval_backend") or "?"), fields.get("reason")
            self._answered(Approval(at_ms, where, _ANSWERS[decision], by, reason and str(reason)))
        if decision == "approve_requested":
            self._timeline.add(at_ms, "asked", where)
        elif "credential_capture_action" in fields:
            self._timeline.add(
                at_ms, "credential", f"{fields['route_id']}: {fields['credential_capture_action']}"
            )
        elif decision == "allow":
            # The requests inside an intercepted CONNECT have ends of their own.
            if fields.get("method") == "CONNECT" and fields.get("mode") == "connect_intercept":
                return
            self._allowed(number, at_ms, fields, times)
        elif not is_answer(fields) and fields.get("denial_category") != TOKEN_ASKED_FOR:
            self._refused(at_ms, fields, event, times)

    def _allowed(self, number: int | None, at_ms: int | None, fields: Fields, times: int) -> None:
        target = str(fields["target"])
        if target.startswith(_UNIX):
            # As with servers (nono.report.hosts): tests name each anew.
            name = OWN_SOCKETS if fields.get("rule") == OWN_SOCKET else target.removeprefix(_UNIX)
            if name in self._sockets or len(self._sockets) < SOCKETS_MAX:
                self._sockets[name] += times
            else:
                self._unlisted["Unix sockets were connected"] = None
            self._timeline.add(at_ms, "socket", name, times)
            return
        self._hosts.allowed(number, fields, times)
        self._turns.request(number, times)
        self._timeline.add(at_ms, "request", host_of(fields), times)

    def _refused(self, at_ms: int | None, fields: Fields, event: Fields, times: int) -> None:
        is_failure = fields.get("denial_category") in FAILURES
        self.denials.note(dict(event))
        target = str(fields["target"])
        if not is_failure and not target.startswith(_UNIX):
            self._hosts.refused(fields, times)
        if fields["decision"] in _ANSWERS:
            return  # the timeline shows the answer
        what = "requests of several kinds" if target == SEVERAL else host_of(fields)
        self._timeline.add(at_ms, "failed" if is_failure else "refused", what, times)

    def _file(self, entry: Fields, event: Fields) -> None:
        request, decision = entry["request"], entry["decision"]
        seconds = entry["timestamp"]["secs_since_epoch"]
        at_ms = int(seconds) * 1000 + int(entry["timestamp"]["nanos_since_epoch"]) // 1_000_000
        what = f"{str(request['access']).lower()} {request['path']}"
        is_asked = entry["backend"] != "policy"
        if decision == "Requested":
            self._timeline.add(at_ms, "asked", what)
            return
        self.denials.note(dict(event))
        if is_asked:
            answer = _ANSWERS[f"approve_{'timeout' if decision == 'Timeout' else _granted(decision)}"]
            reason = None if isinstance(decision, str) else str(decision["Denied"]["reason"])
            self._answered(Approval(at_ms, what, answer, str(entry["backend"]), reason))
        elif decision != "Granted":
            self._timeline.add(at_ms, "refused", what, repeats_in(entry))

    def _answered(self, approval: Approval) -> None:
        if len(self._approvals) < APPROVALS_MAX:
            self._approvals.append(approval)
        else:
            self._unlisted["answers were given"] = None
        self._timeline.add(approval.at_ms, approval.answer, approval.what)

    def _rule(self, event: Fields) -> None:
        rule = f"{event['decision']} {rule_of(event)}"
        change = RuleChange(_at(event), str(event["change"]), rule, str(event["by"]))
        if len(self._rules) < RULES_MAX:
            self._rules.append(change)
        else:
            self._unlisted["rules changed"] = None
        self._timeline.add(change.at_ms, "rule", f"{change.change.replace('_', ' ')}: {rule}")

    def _other(self, kind: str, event: Fields) -> None:
        match kind:
            case "session_started" | "session_ended":
                self._timeline.add(_at(event), "session", kind.removeprefix("session_"))
            case "session_hook":
                status = event.get("exit_status")
                what = f"{event['hook']} the run: {event['script']} (exit status {status})"
                self._timeline.add(_at(event), "hook", what)
            case "terminal_shown":
                what = "somebody attached" if event["attached"] else "nobody is attached"
                self._timeline.add(_at(event), "terminal", what)
            case "repository_changed":
                self._runs_later(event)
            case _ if (note := _unusual(kind, event)) is not None:
                self._note(note)

    def _runs_later(self, event: Fields) -> None:
        names = [str(each) for each in event["names"]]
        shown, left = ", ".join(names), int(event["count"]) - len(names)
        more = f" and {left:,} more" if left > 0 else ""
        what = _GIT_RUNS.get(str(event["what"]), "git outside runs something else, which nono cannot read")
        if len(self._later) < LATER_MAX:
            self._later.append(RunsLater(str(event["path"]), f"{what}{shown}{more}"))
        else:
            self._unlisted["files were changed that git outside runs"] = None

    def _note(self, text: str) -> None:
        if len(self._notes) < NOTES_MAX:
            self._notes[text] = None


def _unusual(kind: str, event: Fields) -> str | None:
    """Describe an event that is out of the ordinary; None for any other."""
    match kind:
        case "instructions_unchecked":
            return f"--trust-override: instruction files in {event['root']} were not checked"
        case "limit_reached":
            often = "once" if event["times"] == 1 else f"{event['times']} times"
            return f"the limit of {event['limit']} was reached ({often})"
        case "not_enforced":
            return f"this kernel did not enforce: {event['what']}"
        case "masked":
            return f"masked: {event['path']} ({event['origin']})"
        case "variables_withheld":
            names = ", ".join(str(each["name"]) for each in event["variables"])
            return f"variables kept from the command: {names}"
        case "enforced_by" if event["rung"] not in _EXACT:
            return f"what held the network knows ports and no addresses: {event['rung']}"
        case "audit_budget_reached":
            return "the log reached its size: nothing more was allowed from then on"
        case "audit_unrecorded":
            return f"{event['refusals']} refusals were not recorded, because the log was full"
    return None


def _granted(decision: object) -> str:
    return "granted" if decision == "Granted" else "denied"


def _usage(event: Fields) -> Usage:
    """Return what a response of a model used. Logs of earlier builds do not tell what a cache was given."""
    stated = ("input_tokens", "output_tokens", "cached_input_tokens")
    created = ("cache_creation_tokens", "cache_creation_1h_tokens")
    counts = (*(event[name] for name in stated), *(event.get(name, 0) for name in created))
    return Usage(str(event["model"]), *map(int, counts))


def _where(fields: Fields) -> str:
    method, path = fields.get("method"), fields.get("path")
    request = f"{method} " if method and method != "CONNECT" else ""
    return f"{request}{host_of(fields)}{path if request and path else ''}"


def _at(event: Fields) -> int | None:
    """Return the time of an event whose time is text."""
    text = next((event[name] for name in ("started", "ended", "at") if name in event), None)
    if not isinstance(text, str):
        return None
    return int(datetime.fromisoformat(text).timestamp() * 1000)
