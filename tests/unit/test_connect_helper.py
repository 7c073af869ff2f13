"""nono.connect_helper on its own: what it asks, what it says, and bytes both ways."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import pytest

from nono import connect_helper
from support.proxy.thread import TOKEN, Hosts, proxy
from support.servers.connect_proxy import ConnectProxy, connect_proxy
from support.servers.http1 import Connection, Received, upstream

HELPER = (sys.executable, "-I", "-S", "-B", connect_helper.__file__)


@contextmanager
def helper(proxy_url: str | None, *words: str) -> Iterator[subprocess.Popen[bytes]]:
    environment = {"PATH": os.defpath} | ({} if proxy_url is None else {"HTTPS_PROXY": proxy_url})
    process = subprocess.Popen(
        [*HELPER, *words],
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    with process:
        try:
            yield process
        finally:
            process.kill()


def ended(proxy_url: str | None, *words: str, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    with helper(proxy_url, *words) as process:
        out, err = process.communicate(stdin, timeout=30)
        return subprocess.CompletedProcess(process.args, process.returncode, out, err)


def url_of(behind: ConnectProxy, user: str = "nono:t%3Ak%40n@") -> str:
    return f"http://{user}127.0.0.1:{behind.port}"


def refuse(client: socket.socket, target: str) -> bool:
    client.sendall(b"HTTP/1.1 403 No such thing\r\nContent-Length: 0\r\n\r\n")
    return False


@pytest.mark.parametrize(
    ("words", "target"),
    [(("git.test", "22"), b"git.test:22"), (("2001:db8::1", "2222"), b"[2001:db8::1]:2222")],
)
def test_it_asks_with_the_token_of_the_url(words: Sequence[str], target: bytes) -> None:
    with connect_proxy(answer=refuse) as behind:
        found = ended(url_of(behind), *words)
        assert (found.returncode, b"403 No such thing" in found.stderr) == (1, True)
        assert behind.heads == [
            b"CONNECT %b HTTP/1.1\r\nHost: %b\r\nProxy-Authorization: Basic bm9ubzp0OmtAbg==\r\n\r\n"
            % (target, target)
        ]


@pytest.mark.parametrize(
    "words",
    [
        (),
        ("git.test",),
        ("git.test", "22", "more"),
        ("git.test", "0"),
        ("git.test", "65536"),
        ("git.test", "9" * 5000),
        ("git.test", "+22"),
        ("a b", "22"),
        ("a\r\nX: 1", "22"),
        ("user@host", "22"),
        ("höst", "22"),
    ],
)
def test_what_cannot_stand_in_a_request_line_is_not_sent(words: Sequence[str]) -> None:
    with connect_proxy() as behind:
        assert ended(url_of(behind), *words).returncode == 2
        assert behind.heads == []


@pytest.mark.parametrize(
    ("url", "said"),
    [
        (None, "HTTPS_PROXY is not set"),
        ("https://127.0.0.1:1", "not the URL of an http proxy"),
        ("http://127.0.0.1:port", "HTTPS_PROXY is no URL"),
        ("http://127.0.0.1:1", "Connection refused"),
    ],
)
def test_a_proxy_that_cannot_be_asked_is_a_sentence(url: str | None, said: str) -> None:
    found = ended(url, "git.test", "22")
    assert (found.returncode, found.stdout) == (1, b"")
    assert said in found.stderr.decode()
    assert "Traceback" not in found.stderr.decode()


def test_a_refusal_is_told_with_the_proxys_reason() -> None:
    with proxy() as ours:
        found = ended(f"http://nono:wrong@127.0.0.1:{ours.port}", "git.test", "22")
        assert (found.returncode, found.stdout) == (1, b"")
        assert b"no tunnel to git.test:22: 407" in found.stderr


def test_bytes_pass_both_ways_until_both_ends_close() -> None:
    """More than all buffers between hold, and the answer ends only after the end of stdin has come."""
    sent = os.urandom(6_000_000)

    def copy(connection: Connection) -> None:
        total = 0
        while piece := connection.transport.recv(65536):
            total += len(piece)
            connection.send(piece)
        connection.send(b"%d" % total)
        connection.transport.shutdown(1)

    def talk(request: Received) -> None:
        copy(request.connection)

    with upstream(talk) as server, connect_proxy({"echo.test:22": server.port}) as behind:
        found = ended(url_of(behind), "echo.test", "22", stdin=b"GET / HTTP/1.1\r\n\r\n" + sent)
        assert (found.returncode, found.stderr) == (0, b"")
        assert found.stdout.endswith(sent[-1000:] + str(len(found.stdout) - 7).encode())


def test_it_ends_with_the_other_side_although_stdin_stays_open() -> None:
    def bye(request: Received) -> None:
        request.connection.send(b"bye")
        request.connection.transport.shutdown(2)

    with (
        upstream(bye) as server,
        connect_proxy({"bye.test:22": server.port}) as behind,
        helper(url_of(behind), "bye.test", "22") as process,
    ):
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(b"GET / HTTP/1.1\r\n\r\n")
        process.stdin.flush()
        assert process.stdout.read() == b"bye"
        assert process.wait(30) == 0


def test_the_proxy_of_a_run_understands_it() -> None:
    with upstream() as server, proxy(hosts=Hosts(raw=frozenset({("raw.test", server.port)}))) as ours:
        url = f"http://nono:{TOKEN}@127.0.0.1:{ours.port}"
        found = ended(url, "raw.test", str(server.port), stdin=b"GET / HTTP/1.1\r\n\r\n")
        assert b"200 OK" in found.stdout, found.stderr
