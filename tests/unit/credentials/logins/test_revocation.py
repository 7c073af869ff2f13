"""Ending a login at its provider: which tokens are sent, to whom, and what is left."""

from __future__ import annotations

import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread

import pytest

from nono.credentials.logins.agent_files import AGENT_FILES, INSIDE_LOGINS, Revocation
from nono.credentials.logins.revocation import LoggedOut, log_out
from nono.credentials.logins.token_store import Granted, LoginStore
from nono.secret import Secret

CODEX = AGENT_FILES["codex"]


class Provider(HTTPServer):
    status = 200
    asked: list[dict[str, str]]


class Answer(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        assert isinstance(self.server, Provider)
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.asked.append(json.loads(body))
        self.send_response(self.server.status)
        self.send_header("Location", "/elsewhere")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def provider() -> Iterator[Provider]:
    with Provider(("127.0.0.1", 0), Answer) as server:
        server.asked = []
        thread = Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def origin(provider: Provider) -> str:
    return f"http://127.0.0.1:{provider.server_port}"


def logged_out(provider: Provider, environ: dict[str, str]) -> LoggedOut:
    revocation = Revocation(f"{origin(provider)}/oauth/revoke", "app")
    return log_out(CODEX._replace(revocation=revocation), environ)


def store(environ: dict[str, str], login: str, where: str, *fields: str) -> None:
    granted = Granted(login, fields, lambda nonces: "{}", None)
    tokens = [Secret(f"{login}-{field}") for field in fields]
    LoginStore(environ).add(tokens, ["oauth.chatgpt"], [where], granted)


def test_each_login_ends_with_the_token_that_stands_for_it(
    provider: Provider, environ: dict[str, str]
) -> None:
    store(environ, "one", origin(provider), "access_token", "refresh_token")
    store(environ, "two", origin(provider), "access_token")
    assert logged_out(provider, environ) == LoggedOut(3, 2, None)
    assert [each["token"] for each in provider.asked] == ["one-refresh_token", "two-access_token"]


def test_a_login_that_is_made_inside_only_is_forgotten_without_asking_anybody(
    environ: dict[str, str],
) -> None:
    granted = Granted("one", ["access_token", "refresh_token"], lambda nonces: "{}", None)
    tokens = [Secret("of-github-a"), Secret("of-github-r")]
    LoginStore(environ).add(tokens, ["oauth.github"], ["https://github.com"], granted)
    store(environ, "other", "https://auth.openai.com", "refresh_token")
    assert log_out(INSIDE_LOGINS["copilot-github"], environ) == LoggedOut(2, 0, None)
    assert [each.login for each in LoginStore(environ).read().values()] == ["other"]


def test_a_token_of_other_hosts_is_not_sent(provider: Provider, environ: dict[str, str]) -> None:
    store(environ, "one", "https://other.example", "refresh_token")
    assert logged_out(provider, environ) == LoggedOut(1, 0, None)
    assert provider.asked == []


def test_a_token_of_another_provider_is_neither_sent_nor_forgotten(
    provider: Provider, environ: dict[str, str]
) -> None:
    granted = Granted("other", ["refresh_token"], lambda nonces: "{}", None)
    LoginStore(environ).add([Secret("of-github")], ["oauth.github"], [origin(provider)], granted)
    store(environ, "one", origin(provider), "refresh_token")
    assert logged_out(provider, environ) == LoggedOut(1, 1, None)
    assert [each["token"] for each in provider.asked] == ["one-refresh_token"]
    assert [each.login for each in LoginStore(environ).read().values()] == ["other"]


def test_a_token_does_not_follow_a_redirect(provider: Provider, environ: dict[str, str]) -> None:
    provider.status = 302
    store(environ, "one", origin(provider), "refresh_token")
    assert logged_out(provider, environ) == LoggedOut(1, 0, "it answered 302")
    assert len(provider.asked) == 1


def test_a_login_is_forgotten_although_nobody_can_be_asked(environ: dict[str, str]) -> None:
    nobody = "http://127.0.0.1:1"
    store(environ, "one", nobody, "refresh_token")
    unreachable = CODEX._replace(revocation=Revocation(f"{nobody}/oauth/revoke", "app"))
    assert log_out(unreachable, environ) == LoggedOut(1, 0, "Connection refused")
    assert LoginStore(environ).read() == {}
