"""A key that crosses this machine in the clear goes to the person's own servers and to the system's."""

from __future__ import annotations

import pytest

from nono.policy.hosts.local_server import FIRST_PERSON, LAST_OF_SYSTEM, LAST_PERSON, ROOT, refused_server

OWN, OTHER, SYSTEM_ACCOUNT = 1000, 1001, 900
OF_DIRECTORY = 1_234_500_001  # such as sssd gives
# By the ids of containers and directories.
OWNERS = {
    100_000: OWN,
    165_536: OTHER,
    231_072: ROOT,
    296_608: SYSTEM_ACCOUNT,
    OF_DIRECTORY: OF_DIRECTORY,
    362_144: OF_DIRECTORY,
}
OWNED_BY_NO_OTHER, NOBODYS = (100_000, 231_072, 296_608), 524_288


@pytest.mark.parametrize(
    "uid",
    [OWN, ROOT, FIRST_PERSON - 1, LAST_PERSON + 1, 65534, LAST_OF_SYSTEM, NOBODYS, *OWNED_BY_NO_OTHER],
)
def test_a_server_of_ones_own_or_of_no_person_gets_it(uid: int) -> None:
    assert refused_server({uid}, OWN, OWNERS.get) is None


@pytest.mark.parametrize("uids", [{OTHER}, {OWN, OTHER}, {FIRST_PERSON, LAST_PERSON} - {OWN}, {OF_DIRECTORY}])
def test_another_persons_server_does_not(uids: set[int]) -> None:
    assert f"another user's (uid {max(uids)})" in str(refused_server(uids, OWN, OWNERS.get))


@pytest.mark.parametrize(("uid", "owner"), [(165_536, OTHER), (362_144, OF_DIRECTORY)])
def test_nor_one_with_an_id_that_another_person_may_take(uid: int, owner: int) -> None:
    """Whoever has subordinate ids becomes one of them with `podman unshare`."""
    assert f"another user's (uid {owner})" in str(refused_server({uid}, OWN, OWNERS.get))
    assert refused_server({uid}, owner, OWNERS.get) is None


@pytest.mark.parametrize(("uids", "own"), [(set(), OWN), ({OTHER}, ROOT)], ids=["unknown", "root's nono"])
def test_where_that_says_nothing_it_is_sent(uids: set[int], own: int) -> None:
    assert refused_server(uids, own, OWNERS.get) is None
