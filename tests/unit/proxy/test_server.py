"""nono.proxy.server: what is made ready while the command starts."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import cast

import pytest

from nono.credentials.values.credential import LeakDetector
from nono.credentials.values.leak_mask import NOWHERE, Occurrences
from nono.proxy import service
from nono.proxy.upstream import dial
from support.proxy.thread import TIMEOUT_S, FakeCredential, a_route, proxy, wait_until


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


@dataclass
class Watched(FakeCredential):
    """A credential whose detector notes which texts it searches."""

    searched: list[bytes] = field(default_factory=list)

    def tripwire(self) -> LeakDetector | None:
        return cast(LeakDetector, self)

    def find(self, text: bytes) -> Occurrences:
        self.searched.append(text)
        return NOWHERE


def test_what_searches_for_a_key_is_built_before_the_first_request() -> None:
    credential = Watched()
    with proxy(a_route(80, credential=credential)):
        wait_until(lambda: credential.searched == [b""])


def test_many_keys_are_searched_for_only_once_they_are_used() -> None:
    credentials = [Watched() for _ in range(3)]
    routes = [a_route(80, service=f"s{n}", credential=each) for n, each in enumerate(credentials)]
    with proxy(*routes) as running:
        prepared = running.on_loop(lambda: [*running.running.serving().preparations()])
    assert len(prepared) == 2  # the roots, and what follows the turns of a model
    assert [each.searched for each in credentials] == [[], [], []]


@pytest.mark.parametrize("loaded", [True, False])
def test_what_follows_turns_is_imported_ahead_for_a_route_with_a_key(loaded: bool) -> None:
    with proxy(a_route(80, loaded=loaded)) as running:
        prepared = running.on_loop(lambda: [*running.running.serving().preparations()])
    assert (service._import_turns in prepared) is loaded


@pytest.mark.parametrize(
    "error", [OSError("full"), ImportError("gone"), EOFError()], ids=lambda error: type(error).__name__
)
def test_a_proxy_serves_although_nothing_could_be_prepared(
    monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    tried = threading.Event()

    def fail(*_: object) -> None:
        tried.set()
        raise error

    monkeypatch.setattr(dial, "tls_context", fail)
    with proxy(a_route(443, host="api.test", scheme="https")) as running:
        assert tried.wait(TIMEOUT_S)
        assert running.on_loop(lambda: running.running.client_connections) == 0


class Stuck:
    """A connection that is never told of its end."""

    was_aborted = False

    def abort(self) -> None:
        self.was_aborted = True


def test_a_connection_that_is_never_gone_does_not_keep_a_run_from_ending(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(service, "_ABORTED_S", 0.05)
    stuck = Stuck()
    with pytest.raises(AssertionError, match="connections outlived the proxy"), proxy() as running:
        running.on_loop(lambda: running.running.serving().context.connections.add(stuck))
    assert stuck.was_aborted
    assert "connections of the proxy that were cut and are not gone: 1" in caplog.text
