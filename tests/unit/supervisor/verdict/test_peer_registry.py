"""The proxy admits exactly the connections that the supervisor made."""

from nono.supervisor.verdict.peer_registry import PENDING_MAX, PeerRegistry


def test_a_registered_peer_is_admitted_once() -> None:
    registry = PeerRegistry()
    registry.register(("127.0.0.1", 40000), 7)
    assert registry.take(("127.0.0.1", 40000))
    assert not registry.take(("127.0.0.1", 40000))


def test_a_peer_nobody_registered_is_not_admitted() -> None:
    registry = PeerRegistry()
    registry.register(("127.0.0.1", 40000), 7)
    assert not registry.take(("127.0.0.1", 40001))


def test_connections_that_are_never_accepted_do_not_pile_up() -> None:
    registry = PeerRegistry()
    for port in range(PENDING_MAX + 1):
        registry.register(("127.0.0.1", port), 7)
    assert not registry.take(("127.0.0.1", 0))
    assert registry.take(("127.0.0.1", 1))
    assert registry.cookie(("127.0.0.1", 0)) == 0
    assert registry.cookie(("127.0.0.1", 1)) == 7


def test_the_cookie_of_an_address_is_that_of_the_last_connection_from_it() -> None:
    registry = PeerRegistry()
    registry.register(("127.0.0.1", 40000), 7)
    assert registry.take(("127.0.0.1", 40000))
    assert registry.cookie(("127.0.0.1", 40000)) == 7
    registry.register(("127.0.0.1", 40000), 8)
    assert registry.cookie(("127.0.0.1", 40000)) == 8
    assert registry.cookie(("127.0.0.1", 40001)) == 0


def test_a_connection_that_was_led_here_keeps_its_destination_until_it_is_taken() -> None:
    registry = PeerRegistry()
    led, own = ("127.0.0.1", 40000), ("127.0.0.1", 40001)
    registry.register(led, 7, ("example.com", 443))
    registry.register(own, 8)
    assert (registry.destination(led), registry.destination(own)) == (("example.com", 443), None)
    assert registry.take(led)
    assert registry.take(own)
    assert registry.destination(led) is None
    registry.register(led, 9)
    assert registry.destination(led) is None
