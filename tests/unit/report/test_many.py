"""What the reports of many sessions add up to once there are too many names to keep apart."""

from __future__ import annotations

from nono.launch.denials import Denials
from nono.proxy.usage.prices import shipped_prices
from nono.report import many
from nono.report.gather import Gathered
from nono.report.model import Host, Session

SESSION = Session("s", "s", "true", "/p", "", "", "exited(0)", "", 0, 1)


def past(*names: str, denials: Denials | None = None, requests: int = 1) -> many.Past:
    hosts = tuple(Host(name, requests, 1 - requests, 0, 0, 0, ()) for name in names)
    report = Gathered(shipped_prices()).report()._replace(hosts=hosts)
    return many.Past(SESSION, report, Denials() if denials is None else denials, "2026-01-02", "exited(0)")


def denied(numbers: range) -> Denials:
    """Return a denial by a rule of its own for each of the numbers."""
    found = Denials()
    for number in numbers:
        found.note(
            {
                "type": "capability_decision",
                "entry": {
                    "request": {"path": "/p", "access": "Read"},
                    "decision": {"Denied": {"reason": f"rule {number}"}},
                    "backend": "policy",
                },
            }
        )
    return found


def test_a_run_counts_once_among_the_other_hosts() -> None:
    names = [f"{number}.example" for number in range(many.HOSTS_MAX + 3)]
    every = {each.name: each for each in many.total([past(*names), past(*names[:1])], [], "").hosts}
    assert (every[many.OTHERS].runs, every[many.OTHERS].requests) == (1, 3)
    assert every[names[0]].runs == 2


def test_no_number_of_refusals_takes_the_place_of_a_host_that_was_reached() -> None:
    names = [f"{number}.example" for number in range(many.HOSTS_MAX + 3)]
    found = many.total([past(*names, requests=0), past("reached.example")], [], "").hosts
    assert (found[0].name, found[0].requests) == ("reached.example", 1)
    assert sum(each.refused for each in found) == len(names)


def test_a_run_counts_once_among_the_other_rules() -> None:
    halves = range(many.RULES_MAX // 2), range(many.RULES_MAX // 2, many.RULES_MAX)
    first = [past(denials=denied(half)) for half in halves]
    last = past(denials=denied(range(many.RULES_MAX, many.RULES_MAX + 3)))
    every = {each.rule: each for each in many.total([*first, last], [], "").denials}
    assert (every[many.OTHERS].runs, every[many.OTHERS].times) == (1, 3)


def test_a_session_whose_log_cannot_be_read_is_a_run_of_which_nothing_is_known() -> None:
    found = many.total([past("a.example")], [many.Unread("t", "it is gone")], "")
    assert (found.runs, found.ends, found.days[0].runs) == (2, (("exited(0)", 1),), 1)
    assert found.unread == (many.Unread("t", "it is gone"),)
