"""network.no_proxy: what an entry may be, and what it may not take past the proxy."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nono.errors import ConfigError
from nono.policy.hosts.no_proxy import parse_all, parse_no_proxy
from nono.policy.resolve import Resolved
from nono.policy.schema.profile import Network, Profile
from nono.policy.schema.routes import CustomCredential

Resolve = Callable[..., Resolved]


@pytest.mark.parametrize(
    ("text", "canonical", "emitted"),
    [
        ("registry", "registry", "registry"),
        ("Registry", "registry", "registry"),
        ("10.0.0.1", "10.0.0.1", "10.0.0.1"),
        ("[fd00::1]", "fd00::1", "fd00::1"),
        ("FD00:0::1", "fd00::1", "fd00::1"),
        ("*.corp.example", "*.corp.example", ".corp.example"),
        (".corp.example", "*.corp.example", ".corp.example"),
        ("*.local", "*.local", ".local"),
    ],
)
def test_an_entry_has_one_form_for_nono_and_one_for_clients(text: str, canonical: str, emitted: str) -> None:
    entry = parse_no_proxy(text)
    assert (str(entry), entry.emitted) == (canonical, emitted)


@pytest.mark.parametrize(
    "text",
    [
        *("", " ", " a", "a ", "a b", "a\tb", "a\nb", "a,b", "http://a", "u@a", "a/b", "a?b", "a#b"),
        *("a:80", "10.0.0.1:80", "[fd00::1]:80", "[fd00::1", "*", "*.", ".", "a*", "*a", "*.a.*", "a..b"),
        *("..a", "corp.example", "*.10.0.0.1", ".1"),
        *("169.254.1.1", "169.254.169.254", "fe80::1", "::ffff:169.254.169.254", "100.100.100.200"),
        *("fd00:ec2::254", "internal", ".internal", "*.google.internal", ".google.internal", "254", ".254"),
        *(".169.254", "metadata.google.internal", "azure.internal", "*.azure.internal"),
    ],
)
def test_what_clients_read_differently_or_must_not_reach_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        parse_no_proxy(text)


def test_entries_are_kept_once() -> None:
    entries = parse_all([".a.example", "*.A.example", "x", "X"], "here")
    assert [str(entry) for entry in entries] == ["*.a.example", "x"]
    with pytest.raises(ConfigError, match="here: 'a b': "):
        parse_all(["a b"], "here")


@pytest.mark.parametrize(
    ("entry", "pattern", "overlaps"),
    [
        ("registry", "registry", True),
        ("registry", "my.registry", True),  # clients take a bare label for a suffix
        ("registry", "registry.example", False),
        ("*.corp.example", "a.corp.example", True),
        ("*.corp.example", "corp.example", True),
        ("*.corp.example", "notcorp.example", False),
        ("*.a.b", "*.b", True),
        ("*.b", "*.a.b", True),
        ("*.a.b", "*.c.b", False),
        ("registry", "*.registry", True),
        ("registry", "*", True),
        ("10.0.0.1", "10.0.0.1", True),
        ("10.0.0.1", "10.0.0.11", False),
        ("10.0.0.1", "*", False),
        ("[fd00::1]", "fd00::1", True),
    ],
)
def test_an_overlap_is_what_some_client_would_take_for_one(entry: str, pattern: str, overlaps: bool) -> None:
    assert parse_no_proxy(entry).overlaps(pattern) is overlaps


@pytest.mark.parametrize(
    "network",
    [
        Network(allow_domain=("api.corp.example",), no_proxy=("*.corp.example",)),
        Network(allow_domain=("*.example",), no_proxy=("*.corp.example",)),
        Network(allow_domain=("REGISTRY",), no_proxy=("registry",)),
        Network(credentials=("openai",), no_proxy=("*.openai.com",)),
        Network(
            credentials=("corp",),
            custom_credentials={"corp": CustomCredential("https://*.corp.example", "corp")},
            no_proxy=("*.a.corp.example",),
        ),
    ],
    ids=["allowed host", "allowed suffix", "upper case", "upstream", "wildcard upstream"],
)
def test_an_entry_may_not_overlap_what_goes_through_the_proxy(run: Resolve, network: Network) -> None:
    with pytest.raises(ConfigError, match=r"overlaps .*must go through the proxy"):
        run(Profile(network=network))
    long_lived = run(Profile(network=network._replace(no_proxy=("*.elsewhere.test", "10.0.0.1"))))
    assert long_lived.proxy is not None
    assert [str(entry) for entry in long_lived.proxy.no_proxy] == ["*.elsewhere.test", "10.0.0.1"]


def test_a_path_rules_host_counts_as_allowed(run: Resolve) -> None:
    with pytest.raises(ConfigError, match="overlaps"):
        run(Profile(network=Network(no_proxy=("*.x.example",))), allow_domain=("https://a.x.example/p",))


LABELS = st.lists(st.sampled_from("ab"), min_size=1, max_size=3).map(".".join)


@given(LABELS, LABELS)
def test_whatever_a_suffix_covers_it_overlaps(suffix: str, host: str) -> None:
    entry = parse_no_proxy(f".{suffix}")
    assert entry.overlaps(host) == entry.covers(host) == f".{host}".endswith(f".{suffix}")
