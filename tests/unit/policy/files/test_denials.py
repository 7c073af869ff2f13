"""What lifts a denial: a path that a person names in a grant as well, and no grant of the shipped groups."""

from __future__ import annotations

import pytest

from nono.errors import SandboxError
from nono.policy.capability import Access, Denial, Grant
from nono.policy.files.denials import with_bypasses

DENIED = Denial("/home/ada/.ssh", "~/.ssh", "group:deny_credentials")
KNOWN = "/home/ada/.ssh/known_hosts"


@pytest.mark.parametrize("source", ["user", "profile"])
def test_a_bypass_of_what_a_person_granted_lifts_its_denial(source: str) -> None:
    granted = Grant(KNOWN, Access.READ, False, source, KNOWN)
    rules = with_bypasses([DENIED], [(KNOWN, KNOWN)], [granted])
    assert rules.covering(KNOWN) is None
    assert rules.covering("/home/ada/.ssh/id_rsa") == DENIED


def test_a_bypass_of_what_a_group_alone_grants_is_refused() -> None:
    granted = Grant(KNOWN, Access.READ, False, "group:git_config", KNOWN)
    with pytest.raises(SandboxError, match="has no matching grant"):
        with_bypasses([DENIED], [(KNOWN, KNOWN)], [granted])
