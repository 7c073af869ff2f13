"""Ranges of ports are joined without gaining or losing one."""

import itertools

from hypothesis import given
from hypothesis import strategies as st

from nono.policy.ports import KeptPort, PortGrants, PortRange, united


@given(st.lists(st.integers(1, 60), max_size=8), st.lists(st.tuples(st.integers(1, 60), st.integers(0, 9))))
def test_as_few_ranges_hold_exactly_the_same_ports(single: list[int], starts: list[tuple[int, int]]) -> None:
    pairs = [(first, first + more) for first, more in starts]
    wanted = {*single, *(port for first, last in pairs for port in range(first, last + 1))}
    joined = united(single, pairs)
    assert {port for port in range(100) if any(port in each for each in joined)} == wanted
    assert all(one.last + 1 < other.first for one, other in itertools.pairwise(joined))


def test_a_range_is_spelled_with_both_its_ends() -> None:
    assert [str(each) for each in united([7, 3000, 3001])] == ["7", "3000-3001"]
    assert PortRange(1, 2) in united([], [[1, 2]])


def test_what_landlock_is_told_is_every_port_of_some_address() -> None:
    grants = PortGrants(listen=united([80]), open=united([3000]), connect=united([22]))
    assert grants.connected == united([22, 3000])
    assert grants.bound() == united([80, 3000])


@given(st.sets(st.integers(1, 12)), st.sets(st.integers(1, 12)))
def test_what_landlock_is_told_to_bind_has_no_kept_port(granted: set[int], kept: set[int]) -> None:
    ports = [KeptPort(each, "asks somebody") for each in kept]
    assert PortGrants(open=united(granted)).bound(ports) == united(granted - kept)
