"""A key that crosses this machine in the clear goes to the person's own servers and to the system's."""

from __future__ import annotations

import pytest

from nono.policy.hosts.local_server import FIRST_PERSON, LAST_PERSON, ROOT, refused_server

OWN, OTHER = 1000, 1001


@pytest.mark.parametrize("uid", [OWN, ROOT, FIRST_PERSON - 1, LAST_PERSON + 1, 65534, 100_000])
def test_a_server_of_ones_own_or_of_no_person_gets_it(uid: int) -> None:
    assert refused_server({uid}, OWN) is None


@pytest.mark.parametrize("uids", [{OTHER}, {OWN, OTHER}, {FIRST_PERSON, LAST_PERSON} - {OWN}])
def test_another_persons_server_does_not(uids: set[int]) -> None:
    assert f"another user's (uid {max(uids)})" in str(refused_server(uids, OWN))


@pytest.mark.parametrize(("uids", "own"), [(set(), OWN), ({OTHER}, ROOT)], ids=["unknown", "root's nono"])
def test_where_that_says_nothing_it_is_sent(uids: set[int], own: int) -> None:
    assert refused_server(uids, own) is None
