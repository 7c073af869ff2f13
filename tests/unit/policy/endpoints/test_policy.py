"""Rules on methods and paths: what they match, in which order they speak, and what they cost."""

from __future__ import annotations

import time
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nono.policy.endpoints.policy import ALLOW_ALL, EndpointPolicy, EndpointRule


def allows(pattern: str, path: str, method: str = "*", asked: str = "GET") -> bool:
    policy = EndpointPolicy("deny", allow=(EndpointRule(method, pattern),))
    return policy.judge(asked, path).decision == "allow"


@pytest.mark.parametrize(
    ("pattern", "matches", "differs"),
    [
        ("/repos/*/issues", "/repos/x/issues", "/repos/issues"),
        ("/repos/*/issues", "/repos/x/issues", "/repos/x/y/issues"),
        ("/api/**/notes", "/api/notes", "/api/notes/x"),
        ("/api/**/notes", "/api/a/b/notes", "/apix/notes"),
        ("/a/**", "/a", "/ab"),
        ("/a/**", "/a/b/c", "/b/a"),
        ("/**", "/", ""),
        ("/**/x", "/a/b/x", "/a/b/xx"),
        ("/**/a/**/b/**/c", "/a/b/c", "/a/c/b"),
        ("/*", "/a", "/"),
        ("/", "/", "/a"),
        ("/a", "/a/", "/a/b"),
        ("/a/", "/a", "/a/b"),
        ("/a?", "/ab", "/a"),
        ("/a?", "/a%3B", "/a%3Bb"),
        ("/x*y*z", "/xyyzz", "/xz"),
        ("/x*x", "/xx", "/x"),
        ("/*.json", "/a.json", "/a.jsonx"),
        ("/[a-c]", "/b", "/d"),
        ("/[!a-c]", "/d", "/b"),
        ("/[^a]", "/b", "/a"),
        ("/[a-]x", "/-x", "/bx"),
        ("/{x,y/z}/end", "/y/z/end", "/y/end"),
        ("/a{,/b}", "/a/b", "/a/c"),
        ("/{a,{b,c}}", "/c", "/d"),
        (r"/\*", "/*", "/a"),
        ("/v1/x:list", "/v1/x:list", "/v1/x%3Alist"),
        ("/a%3Bb", "/a%3Bb", "/a;b"),
        ("/Case", "/Case", "/case"),
    ],
)
def test_a_pattern_matches_the_whole_path_segment_by_segment(
    pattern: str, matches: str, differs: str
) -> None:
    assert allows(pattern, matches)
    assert not differs or not allows(pattern, differs)


@pytest.mark.parametrize(
    ("pattern", "sentence"),
    [
        ("a", "begins with '/'"),
        ("", "begins with '/'"),
        ("/a//b", "empty segment"),
        ("//", "empty segment"),
        ("/a/../b", "dot segment"),
        ("/./a", "dot segment"),
        ("/{.,x}", "dot segment"),
        ("/a**", "whole segments"),
        ("/a/***", "whole segments"),
        ("/%41", "'A'"),
        ("/%7e", "'~'"),
        ("/a%2Fb", "%2F"),
        ("/%5c", "%5c"),
        ("/%00", "%00"),
        ("/%zz", "two hexadecimal digits"),
        ("/a b", "%20"),
        ("/é", "%C3%A9"),
        ("/a#b", "%23"),
        ("/[", "set of characters"),
        ("/[]", "set of characters"),
        ("/[z-a]", "backwards"),
        ("/[a/b]", "set of characters"),
        ("/{a,b", "not closed"),
        ("/a}", "closes no brace"),
        ("/a\\", "a backslash ends it"),
        ("/" + "a" * 1024, "1024 characters"),
        ("/" + "{a,b}" * 20, "more than 64"),
    ],
)
def test_a_pattern_that_could_never_match_is_refused_in_a_sentence(pattern: str, sentence: str) -> None:
    with pytest.raises(ValueError, match="path ") as refused:
        EndpointRule("GET", pattern)
    assert sentence in str(refused.value)


@pytest.mark.parametrize(
    ("pattern", "path"),
    [
        ("/x?a=b", "/x"),
        ("/x?a=b&c", "/x"),
        ("/a/*?page=*", "/a/*"),
        ("/?q=", "/"),
        ("/x?filter%5B0%5D=1", "/x"),
    ],
)
def test_a_pattern_with_a_query_is_refused_with_the_path_to_write(pattern: str, path: str) -> None:
    with pytest.raises(ValueError, match="rules see no query") as refused:
        EndpointRule("GET", pattern)
    assert f"write '{path}' " in str(refused.value)


@pytest.mark.parametrize(
    ("pattern", "matches"),
    [("/x?", "/xy"), ("/v?/models", "/v1/models"), ("/x?y", "/x-y"), ("/x*a=b", "/x-a=b")],
)
def test_a_question_mark_that_begins_no_query_stands_for_one_character(pattern: str, matches: str) -> None:
    assert allows(pattern, matches)
    assert not allows(pattern, matches + "y")


@pytest.mark.parametrize("method", ["", "GE T", "G\r\n", "é"])
def test_a_method_is_a_token(method: str) -> None:
    assert EndpointRule("M-SEARCH", "/").method == "M-SEARCH"
    with pytest.raises(ValueError, match="is not a method"):
        EndpointRule(method, "/")


def test_a_method_is_compared_without_regard_to_case() -> None:
    assert allows("/a", "/a", method="get", asked="GeT")
    assert not allows("/a", "/a", method="get", asked="POST")
    assert allows("/a", "/a", method="*", asked="POST")


RULE = EndpointRule("GET", "/x")


@pytest.mark.parametrize(
    ("policy", "decision", "label"),
    [
        (EndpointPolicy("allow", deny=(RULE,), approve=(RULE,), allow=(RULE,)), "deny", "deny[GET /x]"),
        (EndpointPolicy("allow", approve=(RULE,), allow=(RULE,)), "approve", "approve[GET /x]"),
        (EndpointPolicy("deny", allow=(RULE,)), "allow", "allow[GET /x]"),
        (EndpointPolicy("deny"), "deny", "default"),
        (EndpointPolicy("approve"), "approve", "default"),
        (EndpointPolicy(), "allow", "default"),
    ],
)
def test_deny_speaks_before_approve_before_allow_before_the_default(
    policy: EndpointPolicy, decision: str, label: str
) -> None:
    verdict = policy.judge("GET", "/x")
    assert (verdict.decision, verdict.label) == (decision, f"endpoint_policy.{label}")


def test_the_first_rule_of_a_list_that_matches_decides() -> None:
    policy = EndpointPolicy(
        "deny", deny=(EndpointRule("*", "/a", reason="one"), EndpointRule("*", "/*", reason="two"))
    )
    assert policy.judge("GET", "/a").reason == "one"
    assert policy.judge("GET", "/b").reason == "two"


def test_an_approval_asks_the_backend_of_its_rule_or_the_default() -> None:
    own = EndpointRule("*", "/own", backend="b1", timeout_s=5)
    policy = EndpointPolicy(
        "approve", approve=(own, EndpointRule("*", "/plain")), default_backend="b0", default_timeout_s=9
    )
    asked = [policy.judge("GET", path) for path in ("/own", "/plain", "/other")]
    assert [(each.backend, each.timeout_s) for each in asked] == [("b1", 5), ("b0", 9), ("b0", 9)]


@pytest.mark.parametrize(
    ("rule", "path"),
    [
        ("/admin", "/admin/"),
        ("/admin", "/admin;x=y"),
        ("/admin/**", "/admin;x/users"),
        ("/admin", "/;/admin"),
        ("/v1/*:delete", "/v1/x%3Adelete"),
        ("/a,b", "/a%2Cb"),
        ("/admin", "/ok/..%3B/admin"),
        ("/admin/**", "/ADMIN/keys"),
        ("/Repos/*/Keys", "/repos/x/kEYS"),
        ("/[a-c]dmin", "/Admin"),
        ("/[!b]dmin", "/Bdmin"),
        ("/admin", "/admin."),
        ("/admin/keys", "/admin./keys"),
        ("/admin/keys", "/admin/keys%20"),
        ("/admin/keys", "/Admin/Keys.JSON"),
        ("/admin/keys", "/admin/keys.xml/"),
        ("/admin", "/admin%3Fx"),
        ("/admin", "/admin%23/x"),
        ("/admin", "/admin%3Bx.;y"),
        ("/projects/7", "/projects/07"),
        ("/projects/7/keys.json", "/projects/007/keys.json"),
        ("/projects/7", "/projects/0_7"),
        ("/projects/7", "/projects/+7"),
        ("/projects/7", "/projects/%207"),
        ("/projects/7", "/projects/7.0"),
        ("/projects/7", "/projects/%D9%A7"),
        ("/projects/0", "/projects/00"),
    ],
)
def test_a_lenient_spelling_of_a_denied_path_is_denied(rule: str, path: str) -> None:
    denied = EndpointPolicy("allow", deny=(EndpointRule("*", rule),))
    assert denied.judge("GET", path).decision == "deny"
    assert denied.judge("GET", "/other;x%3A").decision == "allow"
    approved = EndpointPolicy("allow", approve=(EndpointRule("*", rule),))
    assert approved.judge("GET", path).decision == "approve"


@pytest.mark.parametrize(
    ("rule", "path"),
    [
        ("/admin", "/admins"),
        ("/v1/models/gpt-4", "/v1/models/gpt-4.1"),
        ("/a/.git", "/a/git"),
        ("/%C3%A4", "/%C3%A5"),
        ("/admin.json", "/admin"),
        ("/projects/7", "/projects/70"),
        ("/projects/7", "/projects/7.01"),
        ("/projects/7", "/projects/007a"),
    ],
)
def test_another_path_is_not_denied_with_it(rule: str, path: str) -> None:
    denied = EndpointPolicy("allow", deny=(EndpointRule("*", rule),))
    assert denied.judge("GET", rule).decision == "deny"
    assert denied.judge("GET", path).decision == "allow"


def test_a_lenient_reading_allows_nothing() -> None:
    assert not allows("/ok", "/ok;x")
    assert not allows("/ok", "/OK")
    assert not allows("/ok", "/ok.")
    assert not allows("/ok", "/ok.json")
    assert not allows("/v1/x:list", "/v1/x%3Alist")


def test_a_query_is_not_looked_at() -> None:
    denied = EndpointPolicy("allow", deny=(EndpointRule("*", "/admin"),))
    assert denied.judge("GET", "/admin?x").decision == "deny"
    assert not allows("/ok", "/no?/ok")


def test_a_policy_without_rules_allows_all() -> None:
    assert ALLOW_ALL.allows_all
    assert not EndpointPolicy("allow", deny=(RULE,)).allows_all
    assert not EndpointPolicy("allow", approve=(RULE,)).allows_all
    assert not EndpointPolicy("deny").allows_all


def test_the_sentence_names_request_rule_and_reason() -> None:
    policy = EndpointPolicy("allow", deny=(EndpointRule("*", "/x", reason="never"),))
    sentence = policy.explain("GET", "/x", policy.judge("GET", "/x"))
    assert sentence == "GET /x is denied by endpoint_policy.deny[* /x]: never"


@pytest.mark.parametrize(
    ("pattern", "path"),
    [
        ("/**/**/**/**/**/**/a/**/b", "/a" * 30_000),
        ("/" + "**/*a*a*a*a/" * 40 + "b", "/" + "aaaa/" * 6_000),
        ("/" + "*a" * 500 + "b", "/" + "a" * 60_000),
        ("/" + "a*" * 500, "/" + "a" * 60_000),
        ("/" + "?" * 500 + "*" + "?" * 500, "/" + "a" * 60_000),
        ("/**/a/a/a/a/a/a/a/b", "/a" * 30_000),
        ("/{**,*}/{**,*}/{**,*}/{**,*}/{**,*}/x", "/a" * 30_000),
    ],
)
def test_no_path_makes_a_pattern_slow(pattern: str, path: str) -> None:
    rule = EndpointRule("*", pattern)
    policy = EndpointPolicy("allow", deny=(rule,))
    started = time.process_time()
    policy.judge("GET", path)
    assert time.process_time() - started < 2


SEGMENT = st.text("ab*?", min_size=1, max_size=4).filter(lambda text: "**" not in text)
PATTERN = st.lists(SEGMENT | st.just("**"), max_size=5).map(lambda parts: "/" + "/".join(parts))
PATH = st.lists(st.text("ab", min_size=1, max_size=3), max_size=5).map(lambda parts: "/" + "/".join(parts))


def naive(pattern: list[str], path: list[str]) -> bool:
    """Match the same by trying everything."""
    if not pattern:
        return not path
    if pattern[0] == "**":
        return any(naive(pattern[1:], path[skip:]) for skip in range(len(path) + 1))
    return bool(path) and naive_segment(pattern[0], path[0]) and naive(pattern[1:], path[1:])


def naive_segment(pattern: str, text: str) -> bool:
    if not pattern:
        return not text
    if pattern[0] == "*":
        return any(naive_segment(pattern[1:], text[skip:]) for skip in range(len(text) + 1))
    return bool(text) and pattern[0] in ("?", text[0]) and naive_segment(pattern[1:], text[1:])


@given(PATTERN, PATH)
def test_the_matcher_agrees_with_one_that_tries_everything(pattern: str, path: str) -> None:
    expected = naive(
        [part for part in pattern.split("/") if part], [part for part in path.split("/") if part]
    )
    assert allows(pattern, path) == expected


@given(st.text(max_size=30))
def test_any_text_is_a_pattern_or_a_sentence(text: str) -> None:
    with suppress(ValueError):
        rule = EndpointRule("*", text)
        rule.covers("GET", ["a"])
        rule.may_cover("GET", [["a"]])
