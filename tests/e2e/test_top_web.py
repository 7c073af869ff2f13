"""The page of `nono top --web` is for whoever has its link: no other user, site or name gets an answer."""

from __future__ import annotations

import http.client
import json
import socket
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from tempfile import TemporaryFile
from typing import IO, Any

import pytest

from e2e.test_approvals import decisions, questions, waiting
from support.nono_run import NONO, NonoRun, nono_run
from support.running import fork_server
from support.sessions.records import record_of


class Web:
    """A running `nono top --web`."""

    def __init__(self, link: str, errors: IO[bytes]) -> None:
        """errors: what the terminal it was started from shows."""
        self.errors = errors
        self.origin, _, self.token = link.strip().partition("/#")
        self.host = self.origin.removeprefix("http://")
        self.key = ""

    def ask(
        self, method: str, path: str, token: str | None = None, body: object = None, **fields: str
    ) -> tuple[int, Mapping[str, str], str]:
        """Return status, fields and text of one response."""
        sent = {"Host": self.host, **{name.replace("_", "-"): value for name, value in fields.items()}}
        if token is not None:
            sent["Authorization"] = f"Bearer {token}"
        connection = http.client.HTTPConnection(self.host, timeout=20)
        try:
            connection.request(method, path, None if body is None else json.dumps(body), sent)
            response = connection.getresponse()
            return response.status, {k.lower(): v for k, v in response.getheaders()}, response.read().decode()
        finally:
            connection.close()

    def sessions(self) -> Any:
        status, _, text = self.ask("GET", "/v1/sessions", self.key)
        assert status == 200, text
        return json.loads(text)["sessions"]


@contextmanager
def web(sandbox: NonoRun) -> Iterator[Web]:
    """Yield the page, opened once."""
    with (
        TemporaryFile() as errors,
        fork_server.start(
            sandbox.user.command([*NONO, "top", "--web", "--silent"]),
            env=sandbox.user.environment(),
            stdout=subprocess.PIPE,
            stderr=errors.fileno(),
            text=True,
        ) as process,
    ):
        try:
            assert process.stdout is not None
            page = Web(process.stdout.readline(), errors)
            status, _, text = page.ask("POST", "/v1/open", page.token)
            assert status == 200, text
            page.key = json.loads(text)["key"]
            yield page
        finally:
            process.kill()


@pytest.fixture(scope="module")
def page() -> Iterator[Web]:
    """Yield a page without sessions, for what is refused before any is looked at."""
    with nono_run() as runner, web(runner) as opened:
        yield opened


def test_a_question_is_shown_and_denied(page: Web) -> None:
    with nono_run() as sandbox, waiting(sandbox), web(sandbox) as opened:
        (session,) = opened.sessions()
        (question,) = session["questions"]
        assert session["cells"][:2] == ["web", "needs you (1)"]
        assert question["what"] == "connect to new.test:80"
        path = f"/v1/sessions/{session['id']}/approvals/{question['id']}"
        assert opened.ask("POST", path, page.key, {"answer": "allow"})[0] == 401  # the key of another page
        assert opened.ask("POST", path, opened.key, {"answer": "yes"})[0] == 400
        assert opened.ask("POST", path + "0", opened.key, {"answer": "allow"})[0] == 404
        assert len(questions(sandbox)) == 1
        status, _, text = opened.ask("POST", path, opened.key, {"answer": "deny"})
        assert (status, "Denied" in text) == (200, True)
        answered = decisions(sandbox)[1]
        assert answered["decision"] == "approve_denied"
        assert answered["approval_backend"].startswith("nono approvals (pid ")
        assert record_of(sandbox.user, "web")["session_id"] == session["id"]


def test_no_other_machine_reaches_the_page(page: Web) -> None:
    port = int(page.host.rpartition(":")[2])
    socket.create_connection(("127.0.0.1", port)).close()
    with pytest.raises(ConnectionRefusedError):  # which a server for every address would take too
        socket.create_connection(("127.0.0.2", port)).close()


def test_the_link_is_good_for_one_window(page: Web) -> None:
    assert page.ask("POST", "/v1/open", page.token)[0] == 401
    assert page.ask("GET", "/v1/sessions", page.key)[0] == 200


@pytest.mark.parametrize("token", [None, "", "0" * 43])
def test_nobody_without_the_key_is_answered(token: str | None, page: Web) -> None:
    assert page.ask("GET", "/v1/sessions", token)[0] == 401
    assert page.ask("POST", "/v1/sessions/a/approvals/b", token, {"answer": "allow"})[0] == 401


@pytest.mark.parametrize("path", ["/", "/v1/sessions"])
@pytest.mark.parametrize("host", ["evil.test", "127.0.0.1", "127.0.0.1.evil.test:80"])
def test_another_name_of_the_address_is_refused(host: str, path: str, page: Web) -> None:
    assert page.ask("GET", path, page.key, Host=host)[0] == 421
    assert page.ask("GET", path, page.key)[0] == 200


@pytest.mark.parametrize(
    "fields",
    [
        {"Origin": "http://evil.test"},
        {"Origin": "null"},
        {"Sec_Fetch_Site": "cross-site"},
        {"Sec_Fetch_Site": "same-site"},
    ],
    ids=str,
)
def test_another_site_is_refused(fields: dict[str, str], page: Web) -> None:
    assert page.ask("GET", "/v1/sessions", page.key, **fields)[0] == 403
    own = {"Origin": page.origin, "Sec_Fetch_Site": "same-origin"}
    assert page.ask("GET", "/v1/sessions", page.key, **own)[0] == 200


@pytest.mark.parametrize("path", ["/", "/top.js", "/top.css", "/v1/sessions", "/nothing"])
def test_every_response_keeps_other_sites_out(path: str, page: Web) -> None:
    _, fields, _ = page.ask("GET", path, page.key)
    policy = fields["content-security-policy"]
    assert policy.startswith("default-src 'none'; script-src 'self'; ")
    assert "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy
    assert (fields["cache-control"], fields["x-content-type-options"]) == ("no-store", "nosniff")
    assert "set-cookie" not in fields
    assert not [name for name in fields if name.startswith("access-control-")]


def test_the_page_itself_holds_nothing_of_a_session(page: Web) -> None:
    for path in ("/", "/top.js", "/top.css"):
        status, _, text = page.ask("GET", path)
        assert status == 200
        assert page.key not in text
        assert "http" not in text.replace("http-equiv", "")


@pytest.mark.parametrize(
    "request_line", [b"GET /\x1b[2J HTTP/1.1", b"GET / HTTP/1.1\r\nX: " + b"a" * 10_000, b"\x16\x03\x01"]
)
def test_a_request_that_is_none_is_not_told_to_the_terminal(request_line: bytes, page: Web) -> None:
    """Any user of this machine can send it, and send it without end."""
    address, _, port = page.host.partition(":")
    with socket.create_connection((address, int(port)), timeout=20) as client:
        client.sendall(request_line + b"\r\n\r\n")
        assert client.recv(1024).startswith(b"HTTP/1.0 400 ")
    page.errors.seek(0)
    assert page.errors.read() == b""
