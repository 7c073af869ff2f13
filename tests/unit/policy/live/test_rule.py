"""nono.policy.live.rule: what may be asked for, and in which spelling it is kept."""

from __future__ import annotations

import pytest

from nono.policy.capability import Access
from nono.policy.hosts.host_filter import HostFilter, Refuse
from nono.policy.live.rule import FOR_MAX_S, TARGET_MAX, LiveRule, parse_wanted


def target(kind: str, text: str) -> str:
    return parse_wanted({"decision": "deny", "kind": kind, "target": text}).target


@pytest.mark.parametrize(
    ("further", "mistake"),
    [({"for": 60}, "no such field: 'for'"), ({"writes": "yes"}, '"writes" is true or false')],
)
def test_a_field_that_would_be_ignored_is_refused(further: dict[str, object], mistake: str) -> None:
    wanted = {"decision": "allow", "kind": "host", "target": "x.example"}
    assert parse_wanted({**wanted, "for_s": 60, "writes": False}).for_s == 60
    with pytest.raises(ValueError, match=mistake):
        parse_wanted(wanted | further)


@pytest.mark.parametrize("for_s", [0, -1, True, 1.5, "60", FOR_MAX_S + 1])
def test_a_rule_ends_within_a_year_or_with_its_session(for_s: object) -> None:
    wanted = {"decision": "allow", "kind": "host", "target": "x.example"}
    assert [parse_wanted({**wanted, "for_s": each}).for_s for each in (None, 1, FOR_MAX_S)] == [
        None,
        1,
        FOR_MAX_S,
    ]
    with pytest.raises(ValueError, match='"for_s" is a number of seconds'):
        parse_wanted({**wanted, "for_s": for_s})


@pytest.mark.parametrize(
    ("decision", "writes", "access"),
    [("allow", False, Access.READ), ("allow", True, Access.READWRITE), ("deny", False, Access.READWRITE)],
)
def test_a_denial_is_for_writing_too(decision: str, writes: bool, access: Access) -> None:
    wanted = {"decision": decision, "kind": "path", "target": "/a", "writes": writes}
    assert parse_wanted(wanted).access is access


@pytest.mark.parametrize("kind", ["path", "socket"])
@pytest.mark.parametrize("text", ["run/a", "/run/a\0"])
def test_what_is_no_absolute_path_is_refused(kind: str, text: str) -> None:
    with pytest.raises(ValueError, match="is not an absolute path"):
        target(kind, text)


@pytest.mark.parametrize("kind", ["path", "socket"])
@pytest.mark.parametrize("text", ["/run//a", "//run/a", "/run/./a", "/x/../run/a", "/run/.."])
def test_a_path_that_no_kernel_spells_so_is_refused(kind: str, text: str) -> None:
    with pytest.raises(ValueError, match="is not spelled as the kernel"):
        target(kind, text)


@pytest.mark.parametrize(
    ("text", "kept"), [("/run/a", "/run/a"), ("/run/", "/run"), ("/", "/"), ("/.a", "/.a")]
)
def test_a_path_is_kept_as_the_kernel_spells_it(text: str, kept: str) -> None:
    assert target("socket", text) == kept


@pytest.mark.parametrize("text", ["", "/" + "a" * TARGET_MAX, 5, None])
def test_a_target_without_an_end_or_a_beginning_is_refused(text: object) -> None:
    wanted: dict[str, object] = {"decision": "deny", "kind": "socket"}
    assert parse_wanted({**wanted, "target": "/" + "a" * (TARGET_MAX - 1)}).target
    with pytest.raises(ValueError, match='"target" is a text'):
        parse_wanted({**wanted, "target": text})


@pytest.mark.parametrize(
    ("target", "host", "hint"),
    [
        ("a.example", "a.example", "nono deny a.example --undo"),
        ("*.example", "a.example", "nono deny '*.example' --undo"),
    ],
)
def test_a_host_that_was_denied_during_the_run_is_allowed_again_by_what_takes_that_back(
    target: str, host: str, hint: str
) -> None:
    rule = LiveRule("0", "deny", "host", target, Access.READ, "pid 7, uid 1000", 0, None)
    verdict = HostFilter(allow=None, deny=(rule.host_rule,)).judge_name(host, 443)
    assert isinstance(verdict, Refuse)
    assert (verdict.hint, verdict.origin) == (hint, "nono deny, by pid 7, uid 1000")
