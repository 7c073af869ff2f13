"""The report after a run: what it says, and that it fits a terminal."""

from __future__ import annotations

from typing import NamedTuple

import pytest

from nono.audit import event, outcomes
from nono.audit.event import Event
from nono.audit.traffic import HOSTS_MAX, OTHERS, Failed, Keys, Traffic
from nono.cli.text.run_report import Ended, certificates_of_clients, lines_of, spent, unused_proxy
from nono.cli.text.wrap_text import COLUMNS
from nono.sessions import ends
from nono.sessions.record import End

ENDED = Ended(0, End(ends.EXIT, None, ends.ITSELF), "0123456789abcdef", 1182, has_log=True)


class Outcome(NamedTuple):
    """One that is reported."""

    host: str
    status: int | None = 200
    failure: event.Failure | None = None
    by_proxy: bool = False
    number: int = 1
    port: int = 443
    sent: int = 0
    received: int = 0
    duration_ms: int = 1
    reason: str = "certificate has expired"


def refused(
    host: str, *, repeats: int | None = None, category: event.DenialCategory = "host_denied"
) -> Event:
    return event.network(
        mode="connect", decision="deny", target=host, port=443, reason="no such name",
        denial_category=category, repeats=repeats,
    )  # fmt: skip


def refused_call(call: str) -> Event:
    return event.network(
        mode="connect", decision="deny", target=call, reason="refused", denial_category="host_denied"
    )


def traffic_of(*events: Event) -> Traffic:
    traffic = Traffic()
    for each in events:
        traffic.note(each)
    return traffic


def test_a_report_says_what_a_person_wants_to_know() -> None:
    traffic = traffic_of(
        outcomes.RequestsEnded([Outcome("api.openai.com")] * 380 + [Outcome("api.openai.com", 429)] * 8),
        outcomes.RequestsEnded([Outcome("github.com")] * 24),
        refused("evil.example.com"),
        refused("evil.example.com", repeats=2),
        outcomes.RequestsEnded([Outcome("inference.internal", failure="tls")]),
    )
    traffic.usage = [["openai gpt-4o", "1.2 M in", "90 k out", "about $3.87 at list prices of 2025-11"]]
    assert lines_of(ENDED, traffic) == [
        "",
        "nono: exit 0 · 19 m 42 s · session 0123456789abcdef",
        "  requests    413   api.openai.com x388 (429 x8) · github.com x24 ·",
        "                    inference.internal",
        "  blocked       3   evil.example.com:443",
        "  failed        1   inference.internal: certificate has expired",
        "  tokens    openai gpt-4o · 1.2 M in · 90 k out ·",
        "            about $3.87 at list prices of 2025-11",
        "  log       nono logs 0123456789abcdef · nono report 0123456789abcdef",
    ]


@pytest.mark.parametrize(
    ("ended", "told"),
    [
        pytest.param([200] * 9 + [0], "a.test (no answer x1)", id="one of ten has no answer"),
        pytest.param([0], "a.test (no answer)", id="the only one has none"),
        pytest.param([404] * 2, "a.test (404 x2)", id="each"),
        pytest.param([200, 404, 500], "a.test (404 x1, 500 x1)", id="two of three"),
        pytest.param([200, 101, 304, 399], "a.test", id="none that failed"),
        pytest.param([200, 400], "a.test (400 x1)", id="the first status of a failure"),
    ],
)
def test_what_did_not_succeed_is_counted_unless_it_is_every_request(ended: list[int], told: str) -> None:
    lines = lines_of(ENDED, traffic_of(outcomes.RequestsEnded([Outcome("a.test", each) for each in ended])))
    assert f"  requests  {len(ended):>5}   {told}" in lines


def test_a_key_that_a_host_has_refused_is_doubted_and_no_other() -> None:
    traffic = Traffic()
    traffic.keys = Keys({"a.test": "is the key of 'a' valid?", "b.test": "is the key of 'b' valid?"})
    ended = [Outcome("a.test", 401), Outcome("a.test", 200), Outcome("b.test", 403), Outcome("c.test", 401)]
    traffic.note(outcomes.RequestsEnded([*ended, Outcome("b.test", 401, by_proxy=True)]))
    hints = [line for line in lines_of(ENDED, traffic) if line.startswith("  hint")]
    assert hints == ["  hint      a.test answered 401: is the key of 'a' valid?"]


PROBES = ("io_uring_setup", *(f"socket(family={family}, type=2, protocol=0)" for family in (1, 2, 10)))


@pytest.mark.parametrize("exit_code", [0, 1])
def test_what_runtimes_try_and_do_without_is_blocked_only_in_a_run_that_failed(exit_code: int) -> None:
    traffic = traffic_of(*map(refused_call, PROBES))
    told = "\n".join(lines_of(ENDED._replace(exit_code=exit_code), traffic))
    assert ("blocked" in told) == ("io_uring_setup" in told) == bool(exit_code)


def test_a_refused_call_that_no_runtime_tries_is_blocked() -> None:
    told = "\n".join(lines_of(ENDED, traffic_of(*map(refused_call, (PROBES[0], PROBES[2])))))
    assert "blocked       1   socket(family=2, type=2, protocol=0)" in told
    assert "io_uring_setup" not in told


@pytest.mark.parametrize(
    ("models", "total", "last"),
    [
        (6, [], "tokens alpha m5 · 1 in · 2 out · about $1"),
        (6, ["about $9 in all"], "tokens about $9 in all"),
        (7, [], "1 more model"),
        (8, ["about $9 in all"], "2 more models · about $9 in all"),
    ],
)
def test_models_that_are_not_listed_are_counted(models: int, total: list[str], last: str) -> None:
    traffic = Traffic()
    traffic.usage = [[f"alpha m{number}", "1 in", "2 out", "about $1"] for number in range(models)]
    traffic.usage += [total] if total else []
    lines = [" ".join(line.split()) for line in lines_of(ENDED, traffic)]
    assert [line for line in lines if line.startswith("tokens alpha")] == [
        f"tokens alpha m{number} · 1 in · 2 out · about $1" for number in range(6)
    ]
    assert lines[-2] == last


def test_a_run_that_did_not_end_by_itself_says_why() -> None:
    end = End(ends.STOP, "SIGTERM", "nono stop (pid 7, uid 1000)")
    assert lines_of(ENDED._replace(exit_code=143, end=end, has_log=False), None) == [
        "",
        "nono: exit 143 · 19 m 42 s · session 0123456789abcdef",
        "  ended     stopped by nono stop (pid 7, uid 1000)",
    ]


FAILED_LOOKUP = refused("api.example.com", category="upstream_connect_failed")


@pytest.mark.parametrize(
    ("environ", "told"),
    [
        ({"HTTPS_PROXY": "http://proxy.corp:3128"}, "HTTPS_PROXY"),
        ({"https_proxy": "http://me:canary@proxy.corp:3128/", "no_proxy": "x"}, "https_proxy"),
        ({"ALL_PROXY": "proxy.corp:3128"}, "ALL_PROXY"),
        ({"HTTPS_PROXY": "socks5://proxy.corp:1080"}, None),
        ({"HTTPS_PROXY": "http://[::1"}, None),
        ({"HTTPS_PROXY": ""}, None),
        ({}, None),
    ],
)
def test_a_failure_names_a_proxy_of_the_environment_that_was_not_used(
    environ: dict[str, str], told: str | None
) -> None:
    lines = lines_of(ENDED, traffic_of(FAILED_LOOKUP), unused_proxy(environ))
    hints = [line for line in lines if line.startswith("  hint")]
    assert hints == (
        [] if told is None else [f"  hint      {told} is not used; --upstream-proxy proxy.corp:3128 uses it"]
    )
    assert "canary" not in "".join(lines)
    assert lines_of(ENDED, traffic_of(), unused_proxy(environ)) == lines_of(ENDED, traffic_of())


@pytest.mark.parametrize(
    ("words", "is_told"),
    [
        ("unable to get local issuer certificate", True),
        ("self-signed certificate in certificate chain", True),
        ("self signed certificate in certificate chain", True),
        ("certificate has expired", False),
    ],
)
def test_a_certificate_of_an_unknown_issuer_is_told_where_its_ca_goes(words: str, is_told: bool) -> None:
    traffic = traffic_of()
    traffic.failed[Failed("api.example.com", f"the certificate was not accepted: {words}")] = 1
    told = [line for line in lines_of(ENDED, traffic) if "SSL_CERT_FILE" in line]
    assert bool(told) is is_told


@pytest.mark.parametrize(
    ("environ", "says"),
    [
        ({"NODE_EXTRA_CA_CERTS": "/etc/corp.pem"}, "NODE_EXTRA_CA_CERTS; with SSL_CERT_FILE=/etc/corp.pem"),
        ({"REQUESTS_CA_BUNDLE": "/etc/corp.pem"}, "REQUESTS_CA_BUNDLE; with SSL_CERT_FILE=/etc/corp.pem"),
        ({"REQUESTS_CA_BUNDLE": "/etc/all.pem"}, "of your SSL_CERT_FILE"),
        (
            {"REQUESTS_CA_BUNDLE": "/etc/all.pem", "GIT_SSL_CAINFO": "/etc/corp.pem"},
            "GIT_SSL_CAINFO; with SSL_CERT_FILE=/etc/corp.pem",
        ),
        ({"NODE_EXTRA_CA_CERTS": "/etc/corp.pem", "SSL_CERT_FILE": "/etc/corp.pem"}, "of your SSL_CERT_FILE"),
        ({"NODE_EXTRA_CA_CERTS": "/etc/$(id)"}, "of your SSL_CERT_FILE"),
        ({"NODE_EXTRA_CA_CERTS": "corp.pem"}, "of your SSL_CERT_FILE"),
        ({}, "of your SSL_CERT_FILE"),
    ],
    ids=["Node", "requests", "system", "system and git", "nono as well", "not plain", "relative", "none"],
)
def test_the_certificates_that_a_person_set_for_clients_alone_are_offered(
    environ: dict[str, str], says: str
) -> None:
    traffic = traffic_of()
    traffic.failed[Failed("api.example.com", "unable to get local issuer certificate")] = 1
    lines = lines_of(ENDED, traffic, None, certificates_of_clients(environ, ["/etc/all.pem"]))
    assert says in " ".join(" ".join(lines).split())
    assert max(map(len, lines)) <= COLUMNS


def test_any_number_of_hosts_is_a_few_lines_of_a_terminal() -> None:
    hosts = [f"host-{number}.{'long.' * 30}example" for number in range(1000)]
    events: list[Event] = [
        outcomes.RequestsEnded([Outcome(host), Outcome(host, failure="reset")]) for host in hosts
    ]
    events += [refused(f"no\x1b[31m{host}") for host in hosts]
    traffic = traffic_of(*events)
    lines = lines_of(ENDED, traffic)
    assert len(lines) <= 25
    assert max(map(len, lines)) <= COLUMNS
    assert all(line.isprintable() for line in lines)
    assert len(traffic.requests) == HOSTS_MAX + 1
    assert sum(traffic.requests[OTHERS].values()) == 2 * (1000 - HOSTS_MAX)


def test_what_a_row_has_no_lines_for_is_counted() -> None:
    reason = "the certificate is for another host, and has expired some time ago"
    hosts = [f"{letter}.example.com" for letter in "abcdef"]
    failed = [Outcome(host, failure="tls", reason=reason) for host in hosts]
    lines = lines_of(ENDED, traffic_of(outcomes.RequestsEnded(failed)))
    text = " ".join(" ".join(lines).split())
    shown = [host for host in hosts if f"{host}: {reason}" in text]
    assert 0 < len(shown) < len(hosts)
    assert f"{len(hosts) - len(shown)} more" in text
    few = traffic_of(outcomes.RequestsEnded(failed[:1]))
    assert "more" not in " ".join(lines_of(ENDED, few))


def test_a_host_that_has_no_address_is_named_once() -> None:
    reason = "no address was found for a.example.com"
    failed = traffic_of(
        outcomes.RequestsEnded([Outcome("a.example.com", failure="unreachable", reason=reason)])
    )
    assert "a.example.com: no address was found log" in " ".join(" ".join(lines_of(ENDED, failed)).split())


def unreachable(host: str, reason: str = "no address was found for {}") -> Event:
    return event.network(
        mode="connect", decision="deny", target=host, port=443, reason=reason.format(host),
        denial_category="upstream_connect_failed",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("events", "is_asked"),
    [
        ([unreachable("a.example"), unreachable("b.example")], True),
        ([unreachable("a.example"), outcomes.RequestsEnded([Outcome("b.example")])], False),
        ([unreachable("a.example"), unreachable("b.example", "refused by {}")], False),
        ([refused("a.example")], False),
    ],
    ids=["none is found", "one answers", "one refuses", "blocked"],
)
def test_a_run_that_found_no_host_at_all_asks_whether_the_machine_is_online(
    events: list[Event], is_asked: bool
) -> None:
    text = " ".join(" ".join(lines_of(ENDED, traffic_of(*events))).split())
    assert ("is this machine online" in text) is is_asked


@pytest.mark.parametrize("category", ["upstream_connect_failed", "external_proxy_rejected"])
def test_a_name_that_is_not_found_failed_rather_than_was_blocked(category: event.DenialCategory) -> None:
    traffic = traffic_of(refused("gone.example", category=category))
    assert (sum(traffic.failed.values()), traffic.blocked) == (1, {})


def test_a_refusal_by_the_proxy_counts_once_beside_its_outcome() -> None:
    outcome = Outcome("api.test", 502, failure="refused", by_proxy=True)
    traffic = traffic_of(
        outcomes.RequestsEnded([outcome]), refused("api.test", category="upstream_connect_failed")
    )
    assert sum(traffic.failed.values()) == 1


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.42, "0.4 s"), (9.9, "9.9 s"), (10, "10 s"), (12.4, "12 s"), (1182, "19 m 42 s"), (11100, "3 h 5 m")],
)
def test_a_duration_has_two_units(seconds: float, text: str) -> None:
    assert spent(seconds) == text
