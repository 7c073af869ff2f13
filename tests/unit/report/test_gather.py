"""A report sums up what a log holds: nothing counts twice, and what is damaged is counted as such."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sized

import pytest

from nono.audit import credential_events, event, model_events
from nono.audit.broadcast import Broadcast
from nono.audit.event import Event
from nono.audit.model_events import model_usage
from nono.audit.outcomes import RequestsEnded
from nono.audit.traffic import Traffic
from nono.policy.files.unix_sockets import OWN_SOCKET
from nono.policy.ports import OPEN_PORT, OWN_SERVER
from nono.proxy.usage.prices import ModelPrices, Price
from nono.report.gather import (
    APPROVALS_MAX,
    LATER_MAX,
    NOTES_MAX,
    OWN_SOCKETS,
    RULES_MAX,
    SOCKETS_MAX,
    Gathered,
)
from nono.report.hosts import ALLOWED_BY_MAX, ENDPOINTS_MAX, HOSTS_MAX, OTHERS, OWN_SERVERS
from nono.report.model import AllowedBy, Endpoint, Report
from nono.report.timeline import MOMENTS_MAX
from nono.report.usage import TURNS_MAX

PRICES = ModelPrices("2026-11", {"gpt-4o": Price(2.0, 1.0, 10.0)})


class Outcome:
    """How a request ended."""

    by_proxy = False
    host, port, sent, received, duration_ms, reason = "api.test", 443, 10, 200, 5, "went away"

    def __init__(self, number: int, status: int | None = 200, failure: event.Failure | None = None) -> None:
        self.number, self.status, self.failure = number, status, failure


def allowed(host: str = "api.test", path: str | None = "/v1/chat", **fields: object) -> Event:
    given = {"mode": "connect_intercept", "method": "POST", "upstream": f"{host}:443", **fields}
    return event.network(decision="allow", target=host, port=443, path=path, **given)  # type: ignore[arg-type]  # any field


def denied(host: str = "evil.test", **fields: object) -> Event:
    given = {"method": "CONNECT", "denial_category": "host_denied", "reason": "not allowed", **fields}
    return event.network(mode="connect", decision="deny", target=host, port=443, **given)  # type: ignore[arg-type]  # any field


def used(tokens: int, model: str = "gpt-4o", turn: int | None = None) -> Event:
    return model_usage(
        "openai", model=model, input_tokens=tokens, cached_input_tokens=0, output_tokens=0, turn=turn
    )


def turn(number: int, request: int | None = None) -> Event:
    return model_events.turn_began(number, "openai", "gpt-4o", request)


def report(events: Iterable[Event]) -> Report:
    gathered = Gathered(PRICES)
    gathered.feed(enumerate(events))
    return gathered.report()


def test_requests_count_by_endpoint_with_their_answers() -> None:
    events = [
        allowed(path="/users/1?page"),
        allowed(path="/users/2"),
        denied("api.test", path="/admin", method="GET"),
        RequestsEnded([Outcome(0), Outcome(1, 404)]),
    ]
    (host,) = report(events).hosts
    assert (host.name, host.requests, host.refused, host.failed) == ("api.test:443", 2, 1, 0)
    assert (host.bytes_out, host.bytes_in) == (20, 400)
    assert host.endpoints == (
        Endpoint("POST", "/users/*", 2, 0, {200: 1, 404: 1}),
        Endpoint("GET", "/admin", 0, 1, {}),
    )


def test_a_host_names_each_rule_that_let_requests_through_once() -> None:
    events = [
        allowed(rule="*.test", origin="--allow-domain"),
        denied("api.test", rule="deny[0]", origin="profile x"),
        allowed(rule="*.test", origin="--allow-domain"),
        allowed(rule="api.test", origin="nono allow"),
        allowed("open.test"),
    ]
    rules = {host.name: host.allowed_by for host in report(events).hosts}
    assert rules == {
        "api.test:443": (AllowedBy("*.test", "--allow-domain"), AllowedBy("api.test", "nono allow")),
        "open.test:443": (),
    }


def test_a_unix_socket_is_no_host() -> None:
    connect = event.network(mode="connect", decision="allow", target="unix:/run/x.sock", rule="a grant")
    found = report([connect, connect])
    assert (found.hosts, found.sockets, found.timeline[0][1:]) == (
        (), (("/run/x.sock", 2),), ("socket", "/run/x.sock", 2),
    )  # fmt: skip


def test_servers_of_its_own_take_one_place_whatever_their_ports() -> None:
    def connected(port: int, rule: str) -> Event:
        return event.network(mode="connect", decision="allow", target="127.0.0.1", port=port, rule=rule)

    events = [*(connected(port, OWN_SERVER) for port in range(1024, 1024 + HOSTS_MAX)), allowed()]
    found = {host.name: host.requests for host in report(events).hosts}
    assert found == {OWN_SERVERS: HOSTS_MAX, "api.test:443": 1}
    assert {host.name for host in report([connected(5432, OPEN_PORT)]).hosts} == {"127.0.0.1:5432"}


def test_sockets_of_its_own_take_one_place_whatever_their_paths() -> None:
    connects = [
        event.network(mode="connect", decision="allow", target=f"unix:/tmp/{each}", rule=rule)
        for each, rule in enumerate((OWN_SOCKET, OWN_SOCKET, "a grant"))
    ]
    assert report(connects).sockets == ((OWN_SOCKETS, 2), ("/tmp/2", 1))


def test_a_request_that_fails_counts_as_failed() -> None:
    (host,) = report([allowed(), RequestsEnded([Outcome(0, None, "reset")])]).hosts
    assert (host.failed, host.endpoints[0].statuses) == (1, {0: 1})


def test_an_upstream_that_cannot_be_reached_refuses_nothing() -> None:
    [failed] = report([allowed(), denied("api.test", denial_category="upstream_connect_failed")]).hosts
    assert (failed.requests, failed.refused) == (1, 0)
    [refused] = report([allowed(), denied("api.test")]).hosts
    assert (refused.requests, refused.refused) == (1, 1)


def test_a_request_that_its_client_left_does_not_count_as_failed() -> None:
    (host,) = report([allowed(), RequestsEnded([Outcome(0, None, "client")])]).hosts
    assert host.failed == 0


def test_an_intercepted_connect_counts_by_the_requests_inside_it() -> None:
    connect = allowed(method="CONNECT", path=None, upstream=None)
    (host,) = report([connect, allowed()]).hosts
    assert host.requests == 1


def test_refusals_that_were_only_counted_count_in_full() -> None:
    gathered = Gathered(PRICES)
    gathered.feed(enumerate([denied(), denied(repeats=41)]))
    (only,) = gathered.denials.listed()
    assert gathered.denials.times(only) == 42
    assert gathered.report().hosts[0].refused == 42
    assert [(each.kind, each.times) for each in gathered.report().timeline] == [("refused", 42)]


def test_tokens_belong_to_the_turn_of_their_request() -> None:
    first, late = [used(500_000), turn(1), used(1_000_000, turn=1), turn(2)], used(1_000_000, turn=1)
    turns = report([*first, late, used(1, "odd", turn=2)]).turns
    assert [(each.number, each.usage[0].responses, each.usage[0].cost_usd) for each in turns] == [
        (0, 1, 1.0),
        (1, 2, 4.0),
        (2, 1, None),
    ]


def test_the_request_that_begins_a_turn_belongs_to_it() -> None:
    turns = report([allowed(), turn(1, 0), allowed(), allowed(), turn(2, 3), allowed("other.test")]).turns
    assert [(each.number, each.requests) for each in turns] == [(1, 2), (2, 2)]


def test_tokens_are_shown_without_turns() -> None:
    found = report([used(10)])
    assert [each.number for each in found.turns] == [0]
    assert found.usage[0].input_tokens == 10


def test_credentials_name_their_hosts_and_why_they_were_frozen() -> None:
    events = [
        allowed(route_id="openai", managed_credential_active=True),
        allowed("other.test", route_id="openai", managed_credential_active=False),
        credential_events.credential_frozen("openai", "it came back"),
    ]
    (only,) = report(events).credentials
    assert only == ("openai", ("api.test:443",), 1, "it came back")


@pytest.mark.parametrize(("writes", "rule"), [(True, "allow path /x with writing"), (False, "allow path /x")])
def test_a_rule_that_was_added_says_whether_it_is_about_writing(writes: bool, rule: str) -> None:
    found = report([event.policy_changed("added", "allow", "path", "/x", "nono allow", None, writes=writes)])
    assert [each.rule for each in found.rules] == [rule]
    assert [each.what for each in found.timeline] == [f"added: {rule}"]


def test_an_answer_is_an_approval_and_its_question_is_none() -> None:
    ask = {"mode": "connect", "target": "a.test", "port": 443, "approval_backend": "terminal"}
    events = [
        event.network(decision="approve_requested", **ask),  # type: ignore[arg-type]  # any field
        event.network(decision="approve_denied", reason="no", **ask),  # type: ignore[arg-type]  # any field
    ]
    found = report(events)
    assert [(each.what, each.answer, each.by, each.reason) for each in found.approvals] == [
        ("a.test:443", "denied", "terminal", "no")
    ]
    assert [each.kind for each in found.timeline] == ["asked", "denied"]


@pytest.mark.parametrize(
    ("answer", "recorded"),
    [
        ("approve_denied", [denied("a.test", approval_backend="terminal")]),
        ("approve_granted", [allowed("a.test")]),
    ],
)
def test_an_access_somebody_was_asked_about_counts_once(answer: str, recorded: list[Event]) -> None:
    ask = {"mode": "connect", "target": "a.test", "port": 443, "approval_backend": "terminal"}
    events = [
        event.network(decision="approve_requested", **ask),  # type: ignore[arg-type]  # any field
        event.network(decision=answer, **ask),  # type: ignore[arg-type]  # any field
        *recorded,
    ]
    gathered, counted, traffic = Gathered(PRICES), Broadcast(), Traffic()
    gathered.feed(enumerate(events))
    for each in events:
        counted(each)
        traffic.note(each)
    (host,) = gathered.report().hosts
    is_refused = answer == "approve_denied"
    assert (host.refused, host.requests) == (is_refused, not is_refused)
    assert (counted.asked, counted.refused, counted.allowed) == (1, is_refused, not is_refused)
    assert len(gathered.denials.listed()) == sum(traffic.blocked.values()) == is_refused


@pytest.mark.parametrize(
    ("category", "is_refused"), [("authentication_required", False), ("authentication_failed", True)]
)
def test_a_407_that_only_asks_for_the_token_is_refused_nowhere(category: str, is_refused: bool) -> None:
    """Clients such as git send the token only when they are asked for it."""
    gathered, traffic, answer = Gathered(PRICES), Traffic(), denied(denial_category=category, status=407)
    gathered.feed([(1, answer)])
    traffic.note(answer)
    assert sum(host.refused for host in gathered.report().hosts) == is_refused
    assert len(gathered.denials.listed()) == sum(traffic.blocked.values()) == is_refused


def test_a_question_that_was_withdrawn_counts_as_refused() -> None:
    answer = event.network(
        mode="connect", decision="approve_error", target="a.test", port=443, reason=event.WITHDRAWN
    )
    assert [host.refused for host in report([answer]).hosts] == [1]


@pytest.mark.parametrize(
    "damaged",
    [
        {},
        {"type": "network"},
        {"type": "network", "event": "text"},
        {"type": "network", "event": {"decision": "allow"}},
        {"type": "network", "event": {"decision": ["allow"], "target": {}}},
        {"type": "capability_decision", "entry": {"request": {}, "decision": 1}},
        {"type": "model_usage", "service": "a", "model": "b", "input_tokens": "many"},
        {"type": "session_hook"},
        {"type": "session_started", "started": "yesterday"},
        {"type": "turn_began", "turn": None},
    ],
    ids=str,
)
def test_a_damaged_event_is_only_counted(damaged: Event) -> None:
    found = report([damaged, allowed()])
    assert (found.events, found.damaged, found.hosts[0].requests) == (2, 1, 1)
    assert found.notes == ("records of the log that could not be understood: 1",)


def test_connections_that_were_only_counted_are_counted() -> None:
    """A record stands for all that were equal to the first within a window."""

    def connected(target: str, port: int | None, repeats: int | None) -> Event:
        return event.network(mode="connect", decision="allow", target=target, port=port, repeats=repeats)

    to_host = [connected("api.test", 443, repeats) for repeats in (None, 40)]
    found = report([*to_host, *[connected("unix:/s", None, repeats) for repeats in (None, 7)]])
    assert [(host.name, host.requests) for host in found.hosts] == [("api.test:443", 41)]
    assert found.sockets == (("/s", 8),)
    assert [(each.kind, each.times) for each in found.timeline] == [("request", 41), ("socket", 8)]


def test_no_log_makes_a_report_without_bound() -> None:
    events = [allowed(f"h{number}.test", f"/p{number}") for number in range(HOSTS_MAX + 5)]
    events += [denied(f"d{number}.test") for number in range(2 * MOMENTS_MAX)]
    events += [allowed(path=f"/a{'b' * (number % 50)}{'c' * number}") for number in range(ENDPOINTS_MAX + 9)]
    found = report(events)
    assert len(found.hosts) == HOSTS_MAX + 1
    assert OTHERS in [host.name for host in found.hosts]
    passed = [sum(each.requests > 0 for each in host.endpoints) for host in found.hosts]
    assert max(passed) == ENDPOINTS_MAX + 1
    assert len(found.timeline) <= MOMENTS_MAX
    assert "than are listed" in found.notes[0]
    assert len(found.timeline) + found.left_out == len(events)


def test_no_number_of_refusals_takes_the_place_of_what_passed() -> None:
    flood = [denied(f"d{number}.test") for number in range(HOSTS_MAX + 5)]
    paths = [f"/{chr(97 + number // 26)}{chr(97 + number % 26)}" for number in range(ENDPOINTS_MAX + 5)]
    flood += [denied("h.test", method="POST", path=each) for each in paths]
    found = report([*flood, allowed("h.test", "/first"), *flood, allowed("h.test", "/upload")])
    (host,) = [each for each in found.hosts if each.name == "h.test:443"]
    assert {each.path for each in host.endpoints if each.requests} == {"/first", "/upload"}
    assert len(host.endpoints) == ENDPOINTS_MAX + 2
    (others,) = [each for each in found.hosts if each.name == OTHERS]
    assert others.requests == 0
    assert sum(each.refused for each in found.hosts) == 2 * len(flood)


def test_an_endpoint_that_is_listed_stays_listed_when_the_list_is_full() -> None:
    events = [
        allowed(path=f"/{chr(97 + number // 26)}{chr(97 + number % 26)}") for number in range(ENDPOINTS_MAX)
    ]
    (host,) = report([*events, events[0], allowed(path="/one-more")]).hosts
    assert {each.requests for each in host.endpoints if each.path == "/aa"} == {2}
    assert OTHERS in [each.method for each in host.endpoints]


def test_no_log_makes_more_turns_than_are_listed() -> None:
    events = [each for number in range(1, TURNS_MAX + 50) for each in (turn(number), used(1, turn=number))]
    found = report([*events[:4], turn(1), used(5, turn=1), *events[4:]])
    assert [each.number for each in found.turns] == list(range(1, TURNS_MAX))
    spent = [sum(usage.input_tokens for usage in each.usage) for each in found.turns]
    assert spent == [6, *[1] * (TURNS_MAX - 3), 51]


def answered(number: int) -> Event:
    return event.network(mode="connect", decision="approve_denied", target=f"h{number}.test", port=443)


BOUNDS: dict[str, tuple[int, Callable[[int], Event], Callable[[Report], Sized]]] = {
    "sockets": (
        SOCKETS_MAX,
        lambda n: event.network(mode="connect", decision="allow", target=f"unix:/s{n}"),
        lambda found: found.sockets,
    ),
    "answers": (APPROVALS_MAX, answered, lambda found: found.approvals),
    "rules": (
        RULES_MAX,
        lambda n: event.policy_changed("added", "allow", "host", f"h{n}.test", "nono allow", None),
        lambda found: found.rules,
    ),
    "rules that allow": (
        ALLOWED_BY_MAX,
        lambda n: allowed(rule=f"rule {n}"),
        lambda found: found.hosts[0].allowed_by,
    ),
    "notes": (NOTES_MAX, lambda n: event.not_enforced(f"gap {n}"), lambda found: found.notes),
    "what runs later": (
        LATER_MAX,
        lambda n: event.repository_changed(f"/p{n}", "hooks", ["x"], 1),
        lambda found: found.later,
    ),
}


@pytest.mark.parametrize(("most", "nth", "listed"), BOUNDS.values(), ids=BOUNDS)
def test_no_log_makes_a_list_without_bound(
    most: int, nth: Callable[[int], Event], listed: Callable[[Report], Sized]
) -> None:
    assert len(listed(report(map(nth, range(most))))) == most
    assert len(listed(report(map(nth, range(most + 5))))) == most


@pytest.mark.parametrize(
    ("bound", "what"),
    [
        ("sockets", "Unix sockets were connected"),
        ("answers", "answers were given"),
        ("rules", "rules changed"),
        ("what runs later", "files were changed that git outside runs"),
    ],
)
def test_a_list_that_is_not_complete_says_so(bound: str, what: str) -> None:
    most, nth, _ = BOUNDS[bound]
    note = f"more {what} than are listed; the log has all of them"
    assert note not in report(map(nth, range(most))).notes
    assert note in report(map(nth, range(most + 1))).notes


@pytest.mark.parametrize(
    ("recorded", "words"),
    [
        (event.audit_budget_reached(1 << 20), "nothing more was allowed from then on"),
        (event.audit_unrecorded(7), "7 refusals were not recorded"),
        (event.instructions_unchecked("/p"), "instruction files in /p were not checked"),
        (event.enforced_by("landlock"), "knows ports and no addresses: landlock"),
        (event.enforced_by("notify"), None),
        (event.enforced_by("netns"), None),
    ],
)
def test_what_makes_a_log_prove_less_is_noted(recorded: Event, words: str | None) -> None:
    notes = report([recorded]).notes
    assert len(notes) == (words is not None)
    assert words is None or words in notes[0]


def test_what_git_outside_will_run_is_named_by_file_with_how_many_more() -> None:
    changed = event.repository_changed("/p/.git/hooks", "hooks", ["post-merge", "pre-commit"], 5)
    (only,) = report([changed]).later
    assert only.path == "/p/.git/hooks"
    assert only.reason == "git outside runs these hooks: post-merge, pre-commit and 3 more"


def test_what_git_outside_no_longer_runs_is_named() -> None:
    removed = event.repository_changed("/p/.git/hooks", "removed_hooks", ["pre-push"], 1)
    unset = event.repository_changed("/p/.git/config", "removed_settings", ["core.hooksPath"], 1)
    elsewhere = event.repository_changed("/p/.git/config", "worktree", ["/home/ada"], 1)
    exposed = event.repository_changed("/p/.git/config", "exposed", ["http.proxy"], 1)
    rerouted = event.repository_changed("/p/.git/config", "rerouted", ["remote.origin.url"], 1)
    unreadable = event.repository_changed("/p/.git/config", "unreadable", [], 0)
    redirected = event.repository_changed("/p/.git/commondir", "redirected", [], 0)
    changed = [removed, redirected, unset, elsewhere, exposed, rerouted, unreadable]
    assert [each.reason for each in report(changed).later] == [
        "git outside no longer runs these hooks: pre-push",
        "git outside uses the hooks and settings of another repository",
        "git outside no longer runs what these named: core.hooksPath",
        "git outside writes files of the repository to: /home/ada",
        "git outside may trust another machine or give away a password by these: http.proxy",
        "git outside may push to another place, or fetch from one, by these: remote.origin.url",
        "git outside runs something else, which nono cannot read",
    ]
