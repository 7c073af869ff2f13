"""What was learned as a document, and laid over one that is there."""

from __future__ import annotations

from typing import Any

import pytest

from nono.policy.capability import Access
from nono.policy.learning.generalise import Additions
from nono.policy.learning.learned_profile import laid_over, learned_document
from nono.policy.learning.observation import TUNNELLED, Site
from nono.policy.profile.store import profile_of

ENVIRON = {"HOME": "/home/ada"}


def test_nothing_seen_is_nothing_said() -> None:
    assert learned_document(Additions()) == {}


@pytest.mark.parametrize(
    ("site", "domain"),
    [
        (Site("https", "api.example", 443), "api.example"),
        (Site("https", "api.example", 8443), "api.example:8443"),
        (Site("http", "api.example", 80), "http://api.example"),
        (Site("https", "localhost", 8443), "https://localhost:8443"),
        (Site("http", "localhost", 8080), "localhost:8080"),
        (Site("https", "2001:db8::1", 443), "[2001:db8::1]"),
    ],
)
def test_a_host_is_spelled_so_that_it_is_reached_in_the_same_way(site: Site, domain: str) -> None:
    document = learned_document(Additions(), {site: frozenset({("GET", "/a")})})
    rules = [{"method": "GET", "path": "/a"}]
    assert document == {"network": {"allow_domain": [{"domain": domain, "endpoints": rules}]}}
    (scope,) = profile_of(document, "/x.json", ENVIRON).network.allow_domain or ()
    assert not isinstance(scope, str)


def test_a_tunnel_is_a_host_and_a_port() -> None:
    document = learned_document(Additions(), {Site("https", "api.example", 443): frozenset({TUNNELLED})})
    assert document == {"network": {"allow_domain": ["api.example:443"]}}


def test_a_credential_alone_opens_no_other_host() -> None:
    document = learned_document(Additions(), services=("github",))
    assert document == {"network": {"allow_domain": [], "credentials": ["github"]}}


def existing(**sections: Any) -> dict[str, Any]:
    return {"$schema": "x", "extends": "base", "meta": {"name": "mine"}, **sections}


def test_what_was_learned_is_added_to_what_the_file_says() -> None:
    before = existing(filesystem={"read": ["~/a"], "deny": ["~/b"]}, environment={"allow_vars": ["LANG"]})
    learned = learned_document(Additions(read=("~/a", "~/c"), allow_file=("~/d",)))
    assert laid_over(before, learned) == {
        **before,
        "filesystem": {"read": ["~/a", "~/c"], "deny": ["~/b"], "allow_file": ["~/d"]},
    }


@pytest.mark.parametrize(
    ("before", "after", "access"),
    [
        ("none", Access.READ, "read"),
        ("read", Access.WRITE, "readwrite"),
        ("readwrite", Access.READ, "readwrite"),
    ],
)
def test_access_to_the_working_directory_adds_up(before: str, after: Access, access: str) -> None:
    learned = learned_document(Additions(workdir=after))
    assert laid_over(existing(workdir={"access": before}), learned)["workdir"] == {"access": access}


def test_learning_opens_a_blocked_network_only_for_observed_traffic() -> None:
    blocked = existing(network={"block": True})
    hosts = learned_document(Additions(), {Site("https", "a.example", 443): frozenset({TUNNELLED})})
    ports = learned_document(Additions(), open_ports=(8000,))
    assert laid_over(blocked, hosts)["network"] == {"allow_domain": ["a.example:443"]}
    assert laid_over(blocked, ports)["network"] == {"block": True, "open_port": [8000]}
    assert laid_over(blocked, {}) == blocked
