"""Ports of a watched command: any it may listen on, and of this machine it reaches its own alone."""

from __future__ import annotations

from ipaddress import ip_address

import pytest

from nono.policy.learning.ports import LearningPorts
from nono.policy.ports import CONNECT_PORT, LISTEN_PORT, OPEN_PORT, PortGrants, PortRange

LOOPBACK, OTHER_LOOPBACK, EVERY = map(ip_address, ("127.0.0.1", "127.0.0.2", "0.0.0.0"))


@pytest.fixture
def ports() -> LearningPorts:
    granted = PortGrants(open=(PortRange(5432, 5432),), connect=(PortRange(22, 22),))
    return LearningPorts(granted, lambda host, port: None)


def test_what_is_granted_stays_granted(ports: LearningPorts) -> None:
    assert ports.to_connect(LOOPBACK, 5432) == OPEN_PORT
    assert ports.to_connect(ip_address("203.0.113.1"), 22) == CONNECT_PORT


def test_any_port_of_a_users_may_be_listened_on(ports: LearningPorts) -> None:
    assert ports.to_bind(LOOPBACK, 8000) == OPEN_PORT
    assert ports.to_bind(EVERY, 8000) == LISTEN_PORT
    assert ports.to_bind(LOOPBACK, 80) is None
    assert ports.to_bind(LOOPBACK, 0) is None


def test_a_service_of_this_machine_is_not_reached(ports: LearningPorts) -> None:
    """Having been allowed to bind its port is not having bound it."""
    assert ports.to_bind(LOOPBACK, 6379) == OPEN_PORT
    assert ports.to_connect(LOOPBACK, 6379) is None


def test_its_own_server_is_reached_at_the_address_it_listens_on(ports: LearningPorts) -> None:
    ports.bound(LOOPBACK, 8000, is_shared=False)
    assert ports.to_connect(LOOPBACK, 8000) == OPEN_PORT
    assert ports.to_connect(ip_address("::ffff:127.0.0.1"), 8000) == OPEN_PORT
    assert ports.to_connect(OTHER_LOOPBACK, 8000) is None
    assert ports.to_connect(ip_address("203.0.113.1"), 8000) is None


def test_one_on_every_address_is_reached_at_the_usual_one(ports: LearningPorts) -> None:
    ports.bound(EVERY, 8000, is_shared=False)
    assert ports.to_connect(LOOPBACK, 8000) == OPEN_PORT
    assert ports.to_connect(OTHER_LOOPBACK, 8000) is None


def test_a_port_that_others_may_share_is_not_reached(ports: LearningPorts) -> None:
    ports.bound(LOOPBACK, 8000, is_shared=True)
    assert ports.to_connect(LOOPBACK, 8000) is None
