"""What could take long for a path that the command chooses is refused, and what cannot is not."""

from __future__ import annotations

import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nono.policy.services.regex_cost import MAX_PATH, slow

HARMLESS = (
    r"^/repos/([^/]+/[^/]+)", r"/repos/([^/]+)", r"^/.*", r"^/([a-z0-9-]+)", r"^/(\w+)", r"^(.*)/x/(.*)$",
    r"^/(?:repos|orgs)/([^/]+)", r"/(repos|orgs)/([^/]+)", r"\d+x", r"^/(?:[^/]+/){2}", r"(?i)^/v1/(.+?)/",
    "",
    r"^/repos/[^/]+/[^/]+/(?:issues|pulls)?",
)  # fmt: skip
SLOW = (
    r"^/repos/(([\w-]+/?)+)$", r"(a|a)*", r"^/a.*b.*c", "a?" * 30 + "a" * 30, r"(x)\1", ".*.*", r"(?=a)a",
    r"^(?:a|aa)+$", r"^(?:.*,){8}x", "(?:" * 20 + "ab" + "){8}" * 20,
)  # fmt: skip


@pytest.mark.parametrize("pattern", HARMLESS)
def test_an_ordinary_expression_is_taken(pattern: str) -> None:
    assert slow(pattern) is None


@pytest.mark.parametrize("pattern", SLOW)
def test_an_expression_that_could_take_long_is_refused(pattern: str) -> None:
    assert slow(pattern) is not None


@given(
    st.lists(st.sampled_from(["a", "b", ".", "[ab]", "[^/]", "/"]), min_size=1, max_size=5),
    st.lists(st.sampled_from(["", "?", "*", "+", "{2,5}", "+?"]), min_size=5, max_size=5),
    st.booleans(),
    st.sampled_from(["a" * MAX_PATH, "ab" * (MAX_PATH // 2), "a/" * (MAX_PATH // 2), "b" * MAX_PATH + "/"]),
)
def test_what_is_taken_ends_soon(atoms: list[str], repeats: list[str], anchored: bool, path: str) -> None:
    pattern = "^" * anchored + "".join(map("".join, zip(atoms, repeats, strict=False))) + "!"
    if slow(pattern) is None:
        began = time.thread_time()
        re.search(pattern, path)
        assert time.thread_time() - began < 0.05
