"""A replay says what another policy would decide otherwise, and what the record does not let it judge."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from nono.audit import event
from nono.audit.event import Event, Unasked, UnaskedDecision
from nono.policy.effective_policy import effective_policy_of
from nono.policy.request import RunRequest
from nono.policy.resolve import resolve
from nono.printable import spelled
from nono.report.replay import tried
from nono.report.replay.compare import Comparison, Effect, Result
from nono.report.replay.judge import Judging
from nono.report.replay.tried import Log
from unit.policy.conftest import HOME, MemoryFilesystem

WORK = f"{HOME}/work"
ENVIRON = {"HOME": HOME, "PATH": "/usr/bin", "OPENAI_API_KEY": "sk-canary"}


FS = MemoryFilesystem(
    frozenset(("/", "/home", HOME, WORK, "/data", "/usr", "/usr/bin", "/etc", "/tmp")),
    frozenset((f"{WORK}/main.py", "/data/x")),
)


def policy(**given: object) -> Judging:
    request = RunRequest(**given)  # type: ignore[arg-type]  # any field
    resolved = resolve(request, None, environ=ENVIRON, cwd=WORK, fs=FS)
    return Judging(effective_policy_of(resolved, FS), resolved.path_context, FS)


def log(events: Iterable[Event]) -> Log:
    found = Log()
    found.feed(events)
    return found


def replayed(events: Iterable[Event], now: Judging, against: Judging | None = None) -> Result:
    comparison = Comparison()
    comparison.add(log(events), now, against)
    return comparison.result()


def effects(result: Result) -> list[tuple[str, str]]:
    return [(each.effect.value, each.what) for each in result.differences]


def network(decision: event.NetworkDecision, host: str, **fields: object) -> Event:
    given = {"mode": "connect", "method": "CONNECT", "port": 443, **fields}
    return event.network(decision=decision, target=host, **given)  # type: ignore[arg-type]  # any field


def request(method: str, path: str, **fields: object) -> Event:
    given = {"mode": "connect_intercept", "upstream": "api.test:443", **fields}
    return network("allow", "api.test", method=method, path=path, **given)


def opened(path: str, *, is_granted: bool) -> Event:
    return UnaskedDecision(Unasked(path, "Read", "why", is_granted))


ALLOWED, REFUSED = network("allow", "a.test"), network("deny", "a.test", denial_category="host_denied")


def test_what_was_allowed_and_would_be_refused_breaks() -> None:
    result = replayed([ALLOWED, ALLOWED], policy(allow_domain=("b.test",)))
    assert effects(result) == [("breaks", "a.test:443")]
    assert (result.breaks, result.differences[0].times, result.differences[0].option) == (
        True, 2, "--allow-domain a.test",
    )  # fmt: skip


def test_what_was_allowed_and_would_be_again_is_no_difference() -> None:
    result = replayed([ALLOWED], policy(allow_domain=("a.test",)))
    assert (result.judged, result.breaks, result.differences) == (1, False, ())


def test_what_was_refused_and_would_be_allowed_opens() -> None:
    result = replayed([REFUSED], policy(allow_domain=("a.test",)))
    assert (effects(result), result.breaks) == ([("opens", "a.test:443")], False)


def test_a_look_up_is_judged_though_it_names_no_port() -> None:
    looked_up = network("deny", "a.test", method=None, port=None, denial_category="host_denied")
    assert effects(replayed([looked_up], policy(allow_domain=("a.test",)))) == [("opens", "a.test:443")]
    refused = replayed([looked_up], policy(allow_domain=("b.test",)))
    assert (refused.judged, refused.differences) == (1, ())


def test_what_was_refused_and_would_be_again_is_no_difference() -> None:
    assert replayed([REFUSED], policy(allow_domain=("b.test",))).differences == ()


def test_what_somebody_would_be_asked_about_does_not_break() -> None:
    result = replayed([opened("/data/x", is_granted=True)], policy(capability_elevation=True))
    assert (effects(result), result.breaks) == ([("asks", "/data/x (read)")], False)


@pytest.mark.parametrize("path", ["/v1//b", "/v1/@scope%2Fname"])
def test_a_path_that_parsers_may_read_otherwise_breaks_where_a_rule_reads_it(path: str) -> None:
    asked = request("GET", path)
    assert replayed([asked], policy(allow_domain=("api.test",))).differences == ()
    (difference,) = replayed([asked], policy(allow_domain=("https://api.test/v1/**",))).differences
    assert (difference.effect, difference.why[:24]) == (Effect.BREAKS, "the proxy refuses that: ")


@pytest.mark.parametrize("narrow", [(), ("openai:GET:/v1/**",)], ids=["every path", "some paths"])
def test_so_it_is_with_the_rules_of_a_credential(narrow: tuple[str, ...]) -> None:
    asked = request(
        "GET", "/v1//b", route_id="openai", managed_credential_active=True, upstream="api.openai.com:443"
    )
    result = replayed([asked], policy(credential=("openai",), allow_endpoint=narrow))
    assert result.breaks is bool(narrow)


def test_damaged_records_are_counted() -> None:
    result = replayed([ALLOWED, {"type": "network"}, {"type": "capability_decision"}], policy())
    assert result.unjudged == (("damaged records", 2),)


def test_refused_accesses_fill_the_room_for_kinds_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tried, "TRIED_MAX", 1)
    result = replayed([REFUSED, REFUSED, network("allow", "b.test")], policy())
    assert (result.judged, result.unjudged) == (1, ((tried.FURTHER, 1),))


def test_a_request_is_judged_by_its_method_and_path() -> None:
    rules = policy(allow_domain=("https://api.test/v1/**",))
    events = [request("GET", "/v1/chat?q=[REDACTED]"), request("GET", "/v2/chat")]
    assert effects(replayed(events, rules)) == [("breaks", "GET api.test:443/v2/chat")]


def test_a_request_with_a_credential_breaks_where_none_is_loaded() -> None:
    event = request(
        "POST", "/v1/chat", route_id="openai", managed_credential_active=True, upstream="api.openai.com:443"
    )
    without = replayed([event], policy(allow_domain=("api.openai.com",)))
    assert [each.option for each in without.differences] == ["--credential openai"]
    assert replayed([event], policy(credential=("openai",))).differences == ()


def test_a_request_through_a_route_is_judged_below_its_base_path() -> None:
    event = network(
        "allow", "openai", mode="reverse", method="POST", path="/openai/chat/completions", route_id="openai",
        managed_credential_active=True, upstream="api.openai.com:443",
    )  # fmt: skip
    narrow = policy(credential=("openai",), allow_endpoint=("openai:POST:/v1/chat/completions",))
    assert replayed([event], narrow).differences == ()
    other = policy(credential=("openai",), allow_endpoint=("openai:POST:/v1/embeddings",))
    assert effects(replayed([event], other)) == [("breaks", "POST api.openai.com:443/chat/completions")]


def test_a_plain_http_request_is_judged_by_its_host() -> None:
    event = network("deny", "a.test", mode="reverse", method="GET", path="/x", port=80)
    assert effects(replayed([event], policy(allow_domain=("a.test",)))) == [("opens", "GET a.test:80/x")]


def test_a_service_that_nobody_knows_is_no_host() -> None:
    event = network("deny", "openai", mode="reverse", method="GET", path="/openai/x", port=0)
    assert replayed([event], policy(allow_domain=("openai",))).judged == 0


def test_a_file_that_was_asked_for_is_judged() -> None:
    events = [opened(f"{WORK}/main.py", is_granted=True), opened("/data/x", is_granted=False)]
    assert effects(replayed(events, policy(read=("/data",)))) == [
        ("breaks", f"{WORK}/main.py (read)"),
        ("opens", "/data/x (read)"),
    ]


def test_a_log_without_files_says_that_it_has_none() -> None:
    assert not replayed([ALLOWED], policy()).has_files
    assert replayed([opened("/data/x", is_granted=False)], policy()).has_files


@pytest.mark.parametrize(
    ("unjudged", "why"),
    [
        (network("deny", event.SEVERAL, repeats=7), tried.MANY),
        (network("allow", "unix:<abstract>", method=None, port=None), tried.NAMELESS),
        (network("deny", "udp:192.0.2.1", method=None, port=9), tried.NAMELESS),
        (network("deny", "dns:127.0.0.53", method=None, port=53), tried.NAMELESS),
        (request("GET", "/v1/" + "x" * 20 + "... [900 bytes, sha256 00]"), tried.TOO_LONG),
        (opened("/data/\udcff", is_granted=True), tried.ODD),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_the_record_does_not_hold_is_said_and_not_judged(unjudged: Event, why: str) -> None:
    result = replayed([unjudged], policy())
    assert result.differences == ()
    assert dict(result.unjudged) == {why: 7 if why == tried.MANY else 1}


@pytest.mark.parametrize(
    ("name", "differs", "unjudged"),
    [("x", [("breaks", "/data/x (write)")], {}), ("\udcff", [], {tried.ODD: 1})],
    ids=["UTF-8", "not UTF-8"],
)
def test_a_file_that_was_written_is_judged_unless_its_name_is_only_spelled_out(
    name: str, differs: list[tuple[str, str]], unjudged: dict[str, int]
) -> None:
    comparison, found = Comparison(), Log()
    found.wrote(spelled(f"/data/{name}"))
    comparison.add(found, policy())
    result = comparison.result()
    assert (effects(result), dict(result.unjudged)) == (differs, unjudged)


@pytest.mark.parametrize(
    "category", ["authentication_failed", "upstream_connect_failed", "managed_credential_unavailable"]
)
def test_a_failure_that_no_profile_decides_is_passed_over(category: event.DenialCategory) -> None:
    result = replayed([network("deny", "a.test", denial_category=category)], policy(allow_domain=("a.test",)))
    assert (result.judged, result.differences) == (0, ())


def test_two_profiles_differ_where_their_answers_do() -> None:
    events = [ALLOWED, network("allow", "b.test"), REFUSED]
    narrow, wide = policy(allow_domain=("b.test",)), policy(allow_domain=("a.test", "b.test"))
    result = replayed(events, narrow, wide)
    assert [(each.effect, each.what, each.against) for each in result.differences] == [
        (Effect.BREAKS, "a.test:443", "allowed"),
        (Effect.SAME, "a.test:443", "allowed"),
    ]
    assert replayed(events, wide, wide).differences == ()


def test_several_sessions_are_counted() -> None:
    comparison, rules = Comparison(), policy(allow_domain=("b.test",))
    for _ in range(3):
        comparison.add(log([ALLOWED]), rules)
    (only,) = comparison.result().differences
    assert (only.sessions, only.times, comparison.result().sessions) == (3, 3, 3)
