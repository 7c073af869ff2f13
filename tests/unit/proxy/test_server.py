"""nono.proxy.server: what is made ready while the command starts."""

from __future__ import annotations

import threading

import pytest

from nono.proxy.upstream import dial
from support.proxy.thread import TIMEOUT_S, a_route, proxy


@pytest.fixture
def loaded(monkeypatch: pytest.MonkeyPatch) -> threading.Event:
    """Set once the system's roots have been parsed."""
    event = threading.Event()
    monkeypatch.setattr(dial, "tls_context", lambda *_: event.set())
    return event


def test_the_roots_are_parsed_before_the_first_request(loaded: threading.Event) -> None:
    with proxy(a_route(443, host="api.test", scheme="https")):
        assert loaded.wait(TIMEOUT_S)


@pytest.mark.parametrize("without", ["key", "tls"])
def test_no_roots_are_parsed_for_a_route_that_needs_none(loaded: threading.Event, without: str) -> None:
    scheme = "http" if without == "tls" else "https"
    with proxy(a_route(443, host="127.0.0.1", scheme=scheme, loaded=without != "key")) as running:
        running.on_loop(lambda: running.running.serving().load_roots())
    assert not loaded.is_set()


def test_a_proxy_serves_although_no_roots_could_be_parsed(monkeypatch: pytest.MonkeyPatch) -> None:
    tried = threading.Event()

    def fail(*_: object) -> None:
        tried.set()
        raise OSError("too many open files")

    monkeypatch.setattr(dial, "tls_context", fail)
    with proxy(a_route(443, host="api.test", scheme="https")) as running:
        assert tried.wait(TIMEOUT_S)
        assert running.on_loop(lambda: running.running.client_connections) == 0
