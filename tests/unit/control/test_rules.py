"""nono.control.rules: what becomes of the rules of a run that goes on, above all if the log is full."""

from __future__ import annotations

import asyncio
import errno
from collections.abc import Callable

import pytest

from nono.audit.event import Event
from nono.clock import boot_s
from nono.control import rules as rules_module
from nono.control.layers import Hosts
from nono.control.rules import LiveRules, Made, Refused
from nono.control.socket_layers import Sockets
from nono.policy.capability import Access
from nono.policy.files.unix_sockets import UnixSocketRules
from nono.policy.hosts.host_filter import HostFilter
from nono.policy.hosts.live_hosts import LiveHosts
from nono.policy.live.rule import Decision, Kind, LiveRule, Wanted
from nono.policy.live.sockets import LiveSockets


class Layer:
    """Keeps the rules that are in force."""

    leaves_standing = False

    def __init__(self) -> None:
        self.rules: tuple[LiveRule, ...] = ()
        self.has_changed = asyncio.Event()

    def refusal(self, wanted: Wanted) -> Refused | None:
        return Refused("it is ours") if wanted.target == "ours.example" else None

    def put(self, rules: tuple[LiveRule, ...]) -> int:
        self.rules = rules
        self.has_changed.set()
        return len(rules)


class Log:
    """An audit log, which may be full."""

    def __init__(self) -> None:
        self.is_full = False
        self.changes = list[str]()

    def record(self, event: Event) -> None:
        if self.is_full:
            raise OSError(errno.ENOSPC, "full")
        self.changes.append(str(event["change"]))


def with_rules(use: Callable[[LiveRules, Layer, Log], None]) -> None:
    async def part() -> None:
        layer, log = Layer(), Log()
        use(LiveRules({"host": layer}, log.record), layer, log)

    asyncio.run(part())


def wanted(decision: Decision = "allow", target: str = "a.example", for_s: int | None = None) -> Wanted:
    return Wanted(decision, "host", target, Access.READ, for_s)


def made(rules: LiveRules, what: Wanted) -> Made:
    answer = rules.add(what, "ada")
    assert isinstance(answer, Made)
    return answer


@pytest.mark.parametrize("decision", ["allow", "deny"])
def test_a_full_log_lets_a_rule_allow_nothing_more(decision: Decision) -> None:
    def use(rules: LiveRules, layer: Layer, log: Log) -> None:
        log.is_full = True
        answer = rules.add(wanted(decision), "ada")
        assert isinstance(answer, Refused) is (decision == "allow")
        assert [each.decision for each in layer.rules] == ([] if decision == "allow" else ["deny"])

    with_rules(use)


@pytest.mark.parametrize("decision", ["allow", "deny"])
def test_with_a_full_log_a_denial_stays(decision: Decision) -> None:
    def use(rules: LiveRules, layer: Layer, log: Log) -> None:
        rule = made(rules, wanted(decision)).rule
        log.is_full = True
        answer = rules.take_back(rule, "ada")
        assert isinstance(answer, Refused) is (decision == "deny")
        assert layer.rules == rules.rules == (() if decision == "allow" else (rule,))

    with_rules(use)


def test_a_rule_that_is_taken_back_is_in_force_no_longer() -> None:
    def use(rules: LiveRules, layer: Layer, log: Log) -> None:
        first, second = made(rules, wanted()), made(rules, wanted(target="b.example"))
        assert rules.take_back(first.rule, "ada") == 1
        assert layer.rules == rules.rules == (second.rule,)
        assert log.changes == ["added", "added", "taken_back"]

    with_rules(use)


@pytest.mark.parametrize(
    ("kind", "access", "writes"),
    [
        ("path", Access.READWRITE, True),
        ("path", Access.READ, False),
        ("socket", Access.READWRITE, True),
        ("socket", Access.READ, False),
        ("host", Access.READWRITE, False),
    ],
)
def test_the_record_of_a_rule_tells_whether_it_is_about_writing(
    kind: Kind, access: Access, writes: bool
) -> None:
    async def part() -> None:
        recorded = list[Event]()
        rules = LiveRules({kind: Layer()}, recorded.append)
        rule = made(rules, Wanted("allow", kind, "/run/a", access, None)).rule
        rules.take_back(rule, "ada")
        assert [(each["change"], each["writes"]) for each in recorded] == [
            ("added", writes),
            ("taken_back", writes),
        ]

    asyncio.run(part())


def test_each_part_of_a_run_gets_the_rules_of_its_kind_alone() -> None:
    async def part() -> None:
        hosts, sockets = Layer(), Layer()
        rules = LiveRules({"host": hosts, "socket": sockets}, Log().record)
        host = made(rules, wanted()).rule
        socket = made(rules, wanted()._replace(kind="socket", target="/run/a.sock")).rule
        assert (hosts.rules, sockets.rules) == ((host,), (socket,))
        rules.take_back(host, "ada")
        assert (hosts.rules, sockets.rules) == ((), (socket,))
        rules.close()

    asyncio.run(part())


def test_an_equal_rule_replaces_the_first_and_its_end() -> None:
    async def part() -> None:
        layer, log = Layer(), Log()
        rules = LiveRules({"host": layer}, log.record)
        made(rules, wanted(for_s=0))
        last = made(rules, wanted()).rule
        await asyncio.sleep(0.01)  # the end of the first would come now
        assert layer.rules == (last,)
        assert log.changes == ["added", "added"]

    asyncio.run(part())


def test_a_host_that_a_rule_allows_for_a_time_is_allowed_for_longer() -> None:
    async def part() -> None:
        hosts = Hosts(LiveHosts(HostFilter(())), lambda: 0, None)
        rules = LiveRules({"host": hosts}, Log().record)
        made(rules, wanted(for_s=60))
        longer = made(rules, wanted(for_s=600)).rule
        assert rules.rules == (longer,)
        made(rules, wanted(target="*.b.example"))
        refused = rules.add(wanted(target="c.b.example"), "ada")  # which another rule allows
        assert isinstance(refused, Refused)
        assert "is allowed already" in refused.reason
        made(rules, wanted("deny"))
        refused = rules.add(wanted(), "ada")
        assert isinstance(refused, Refused)
        assert "a denial beats every grant" in refused.reason
        rules.close()

    asyncio.run(part())


@pytest.mark.parametrize("access", [Access.READ, Access.READWRITE])
def test_a_rule_for_less_access_does_not_replace_one_for_more(access: Access) -> None:
    def use(rules: LiveRules, _layer: Layer, log: Log) -> None:
        rules = LiveRules({"socket": Sockets(LiveSockets(UnixSocketRules()))}, log.record)
        first = made(rules, Wanted("allow", "socket", "/run/a", Access.READWRITE, None)).rule
        answer = rules.add(Wanted("allow", "socket", "/run/a", access, None), "ada")
        assert isinstance(answer, Refused) is (access is Access.READ)
        assert (rules.rules == (first,)) is (access is Access.READ)

    with_rules(use)


def test_a_rule_ends_by_itself() -> None:
    async def part() -> None:
        layer, log = Layer(), Log()
        made(LiveRules({"host": layer}, log.record), wanted(for_s=0))
        layer.has_changed.clear()
        await asyncio.wait_for(layer.has_changed.wait(), 30)
        assert layer.rules == ()
        assert log.changes == ["added", "expired"]

    asyncio.run(part())


def test_a_rule_ends_in_time_though_the_machine_was_suspended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rules_module, "LOOK_EVERY_S", 0.01)

    async def part() -> None:
        layer, log = Layer(), Log()
        rules = LiveRules({"host": layer}, log.record)
        kept, ended = made(rules, wanted(for_s=7200)).rule, made(rules, wanted("deny", for_s=1800)).rule
        assert layer.rules == (kept, ended)
        layer.has_changed.clear()
        now_s = boot_s()
        monkeypatch.setattr(rules_module, "boot_s", lambda: now_s + 3600)
        await asyncio.wait_for(layer.has_changed.wait(), 30)
        assert [*layer.rules] == [kept]
        assert log.changes == ["added", "added", "expired"]
        rules.close()

    asyncio.run(part())


def test_there_are_so_many_rules_at_most(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rules_module, "RULES_MAX", 1)

    def use(rules: LiveRules, layer: Layer, _log: Log) -> None:
        first = made(rules, wanted()).rule
        refused = rules.add(wanted(target="b.example"), "ada")
        assert isinstance(refused, Refused)
        assert refused.reason == "a session has 1 such rules at most"
        assert layer.rules == (first,)
        again = made(rules, wanted()).rule  # in place of the first
        assert layer.rules == (again,)

    with_rules(use)


def test_what_its_layer_refuses_is_not_in_force() -> None:
    def use(rules: LiveRules, layer: Layer, log: Log) -> None:
        assert rules.add(wanted(target="ours.example"), "ada") == Refused("it is ours")
        assert layer.rules == rules.rules == ()
        assert log.changes == []

    with_rules(use)
