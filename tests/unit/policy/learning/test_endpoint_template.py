"""Requests become few rules, and each request is matched by one of them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nono.policy.endpoints.policy import EndpointPolicy, EndpointRule
from nono.policy.learning.endpoint_template import RULES_MAX, templates

PCHAR = "abcxyzABC0123456789-._~!$&'()*+,;=:@"
segments = st.one_of(
    st.text(PCHAR, max_size=12),
    st.sampled_from(["v1", "users", "123", "deadbeef01", "%C3%A9", "*", "**", "{a,b}", "[a]", "a" * 40]),
)
# Requests with an empty or a dot segment are refused before a rule is asked.
sent = segments.filter(lambda text: text.partition(";")[0] not in ("", ".", ".."))
paths = st.tuples(st.lists(sent, max_size=6), st.sampled_from(["", "/"])).map(
    lambda parts: "/" + "/".join(parts[0]) + (parts[1] if parts[0] else "")
)
requests = st.lists(st.tuples(st.sampled_from(["GET", "POST", "DELETE"]), paths), min_size=1, max_size=60)


@pytest.mark.parametrize(
    ("seen", "rules"),
    [
        (["/v1/users/123"], ["/v1/users/*"]),
        (["/v1/users/123", "/v1/users/456/posts"], ["/v1/users/*", "/v1/users/*/posts"]),
        (["/v1/users/me"], ["/v1/users/me"]),
        (["/repo.git/info/refs"], ["/repo.git/info/refs"]),
        (["/commits/0a1b2c3d4e5f"], ["/commits/*"]),
        (["/jobs/550e8400-e29b-41d4-a716-446655440000/log"], ["/jobs/*/log"]),
        ([f"/simple/{name}/" for name in "abcd"], ["/simple/*/"]),
        ([f"/simple/{name}/" for name in "abc"], [f"/simple/{name}/" for name in "abc"]),
        (["/a*b/c"], ["/*/c"]),
        (["/"], ["/"]),
    ],
)
def test_only_what_varies_becomes_a_star(seen: list[str], rules: list[str]) -> None:
    assert templates(("GET", path) for path in seen) == tuple(("GET", rule) for rule in rules)


def test_a_method_that_was_not_seen_is_not_allowed() -> None:
    assert templates([("GET", "/v1/a"), ("POST", "/v1/b")]) == (("GET", "/v1/a"), ("POST", "/v1/b"))


@given(requests)
def test_few_rules_match_every_request(seen: list[tuple[str, str]]) -> None:
    rules = templates(seen)
    assert len(rules) <= RULES_MAX
    policy = EndpointPolicy("deny", allow=tuple(EndpointRule(method, path) for method, path in rules))
    for method, path in seen:
        assert policy.judge(method, path).decision == "allow", (method, path, rules)
