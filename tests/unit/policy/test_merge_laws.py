"""nono.policy.document.merge: what holds for every two profiles, and every three."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from nono.policy.document.merge import REPLACEABLE, merge, without

Document = dict[str, Any]

WORDS = st.sampled_from(["a", "b", "c", "d"])
LISTS = st.lists(WORDS, max_size=3, unique=True)
PORTS = st.lists(st.integers(1, 4), max_size=3, unique=True)
RULES = st.lists(st.fixed_dictionaries({"method": st.just("GET"), "path": WORDS}), min_size=1, max_size=2)
DOMAINS = st.lists(WORDS | st.fixed_dictionaries({"domain": WORDS, "endpoints": RULES}), max_size=3)

# Lists that are added to each other, whichever comes first.
ADDED = (
    *(("filesystem", name) for name in ("allow", "read", "deny", "bypass_protection", "unix_socket")),
    *(("groups", name) for name in ("include", "exclude")),
    *(("commands", name) for name in ("allow", "deny")),
    *(("network", name) for name in ("deny_domain", "open_port", "connect_port", "no_proxy")),
    ("environment", "deny_vars"),
    ("environment", "allow_vars"),
    ("rollback", "exclude_globs"),
)
# What keeps something from the command, and can only be added to.
KEPT = (
    ("filesystem", "deny"),
    ("groups", "exclude"),
    ("commands", "deny"),
    ("network", "deny_domain"),
    ("environment", "deny_vars"),
)
SWITCHES = (("network", "block"), ("network", "deny_private"), ("security", "audit_required"))


def section(**fields: st.SearchStrategy[Any]) -> st.SearchStrategy[Document]:
    return st.fixed_dictionaries({}, optional=fields)


SECTIONS: Mapping[str, st.SearchStrategy[Any]] = {
    "meta": section(name=WORDS, version=WORDS),
    "security": section(signal_mode=WORDS, capability_elevation=st.booleans(), audit_required=st.booleans()),
    "groups": section(include=LISTS, exclude=LISTS),
    "commands": section(allow=LISTS, deny=LISTS),
    "filesystem": section(allow=LISTS, read=LISTS, deny=LISTS, bypass_protection=LISTS, unix_socket=LISTS),
    "network": section(
        block=st.booleans(),
        deny_private=st.booleans(),
        allow_http2=st.booleans(),
        network_profile=st.none() | WORDS,
        allow_domain=st.none() | DOMAINS,
        deny_domain=LISTS,
        open_port=PORTS,
        connect_port=PORTS,
        no_proxy=LISTS,
        tls_intercept=section(ca_validity=WORDS),
        upstream_proxy=WORDS,
        custom_credentials=st.dictionaries(WORDS, section(upstream=WORDS), max_size=2),
    ),
    "environment": section(allow_vars=LISTS, deny_vars=LISTS, set_vars=st.dictionaries(WORDS, WORDS)),
    "workdir": section(access=st.sampled_from(["none", "read", "write", "readwrite"])),
    "credential_capture": st.dictionaries(WORDS, section(timeout_secs=st.integers()), max_size=2),
    "rollback": section(exclude_globs=LISTS),
    "open_urls": section(allow_localhost=st.booleans()),
    "skipdirs": LISTS,
    "allow_gpu": st.booleans(),
    "interactive": st.booleans(),
    "binary": WORDS,
}
DOCUMENTS: st.SearchStrategy[Document] = st.fixed_dictionaries({}, optional=SECTIONS)


def field(document: Document, path: tuple[str, str]) -> Any:
    return document.get(path[0], {}).get(path[1]) or []


@given(DOCUMENTS, DOCUMENTS, DOCUMENTS)
def test_bases_may_be_merged_first_or_last(a: Document, b: Document, c: Document) -> None:
    """With the exceptions of the specification: [] of credentials, and the variables of env_credentials."""
    assert merge(merge(a, b), c) == merge(a, merge(b, c))


@given(DOCUMENTS, DOCUMENTS)
def test_lists_that_add_up_do_so_in_any_order(a: Document, b: Document) -> None:
    one, other = merge(a, b), merge(b, a)
    for path in ADDED:
        assert sorted(field(one, path)) == sorted(field(other, path)), path
        assert set(field(one, path)) == {*field(a, path), *field(b, path)}, path
    for path in SWITCHES:
        assert bool(field(one, path)) == bool(field(other, path))


@settings(max_examples=400)  # a switch that is on below and off above comes once in sixty
@given(DOCUMENTS, DOCUMENTS, st.sets(st.sampled_from(REPLACEABLE)))
def test_nothing_that_is_denied_is_allowed_by_a_profile_above_or_below(
    base: Document, child: Document, replaced: set[str]
) -> None:
    merged = merge(without(base, replaced), child)
    for path in KEPT:
        assert {*field(base, path), *field(child, path)} <= {*field(merged, path)}, path
    for path in SWITCHES:
        assert bool(field(merged, path)) == bool(field(base, path) or field(child, path)), path


@given(DOCUMENTS, DOCUMENTS)
def test_merging_never_widens_allowed_paths_to_a_whole_host(a: Document, b: Document) -> None:
    limited = {
        entry["domain"]
        for entry in (*field(a, ("network", "allow_domain")), *field(b, ("network", "allow_domain")))
        if isinstance(entry, dict)
    }
    merged = merge(a, b)
    if a.get("network", {}).get("allow_domain") and b.get("network", {}).get("allow_domain"):
        assert not limited & {
            each for each in field(merged, ("network", "allow_domain")) if isinstance(each, str)
        }


def test_another_spelling_of_a_host_does_not_open_all_of_it() -> None:
    limited = {"domain": "x.example", "endpoints": [{"method": "GET", "path": "/a"}]}
    merged = merge({"network": {"allow_domain": [limited]}}, {"network": {"allow_domain": ["X.Example."]}})
    assert merged == {"network": {"allow_domain": [limited]}}


@given(DOCUMENTS)
def test_a_profile_over_nothing_or_over_itself_says_the_same(document: Document) -> None:
    over_nothing = merge({}, document)
    assert merge({}, over_nothing) == over_nothing
    assert merge(over_nothing, {}) == over_nothing


@given(DOCUMENTS, st.sets(st.sampled_from(REPLACEABLE)))
def test_replacing_removes_entries_without_opening_an_allow_list(base: Document, replaced: set[str]) -> None:
    left = without(base, replaced)
    for path in replaced:
        name, _, inner = path.partition(".")
        if not inner:
            assert name not in left
        elif path in ("network.allow_domain", "environment.allow_vars"):
            assert field(left, (name, inner)) == []
            assert (inner in left.get(name, {})) == (inner in base.get(name, {}))
        else:
            assert inner not in left.get(name, {})
