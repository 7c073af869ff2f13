"""Make one bare repository, and serve it over TLS by git-http-backend(1)."""

from __future__ import annotations

import os
import ssl
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from support.servers.http1 import HttpUpstream, Received, upstream

REPOSITORY = "repository.git"
IDENTITY = {"NAME": "A Tester", "EMAIL": "tester@example.org"}
ENVIRONMENT = {
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "GIT_CONFIG_SYSTEM": "/dev/null",
    "GIT_TERMINAL_PROMPT": "0",
    "LC_ALL": "C.UTF-8",
    **{f"GIT_{role}_{name}": value for role in ("AUTHOR", "COMMITTER") for name, value in IDENTITY.items()},
}


def git(*arguments: str, cwd: Path) -> str:
    """Run git without the machine's configuration and return its output. CalledProcessError if it failed.

    What another user owns is taken, because root looks at what an ordinary user has cloned.
    """
    environment = {"PATH": os.environ.get("PATH", os.defpath), **ENVIRONMENT}
    ended = subprocess.run(
        ("git", "-c", "safe.directory=*", *arguments),
        cwd=cwd,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return ended.stdout.strip()


@dataclass(frozen=True)
class GitRepository:
    """A bare repository with one commit, into which may be pushed."""

    path: Path

    @classmethod
    def made(cls, directory: Path) -> GitRepository:
        """Create it in a directory, and beside it the one in which its commits are made."""
        made = cls(directory / REPOSITORY)
        git("init", "--quiet", "--bare", "--initial-branch=main", str(made.path), cwd=directory)
        git("config", "http.receivepack", "true", cwd=made.path)
        made.commit("README", "hello\n")
        return made

    @property
    def head(self) -> str:
        """Return the commit of the branch main."""
        return git("rev-parse", "main", cwd=self.path)

    def commit(self, name: str, text: str) -> None:
        """Add a commit to main, bypassing every server."""
        work = self.path.parent / "work"
        if not work.exists():
            git("clone", "--quiet", str(self.path), str(work), cwd=self.path.parent)
        (work / name).write_text(text)
        git("add", name, cwd=work)
        git("commit", "--quiet", "-m", f"add {name}", cwd=work)
        git("push", "--quiet", "origin", "HEAD:main", cwd=work)


@dataclass
class GitServer:
    """A repository, and the server in front of it, which keeps what arrives."""

    repository: GitRepository
    upstream: HttpUpstream

    @property
    def url(self) -> str:
        return f"https://localhost:{self.upstream.port}/{REPOSITORY}"


@contextmanager
def git_server(directory: Path, tls: ssl.SSLContext, *, required: str | None = None) -> Iterator[GitServer]:
    """Yield a running server, stopped when the block is left; its files stay in `directory`.

    required: The Authorization field without which the answer is 401; None: no field is required.
    """
    repository = GitRepository.made(directory)
    with upstream(HttpBackend(directory, required), tls) as server:
        yield GitServer(repository, server)


@dataclass(frozen=True, slots=True)
class HttpBackend:
    """A handler that runs CGI/1.1 (RFC 3875), as far as git's backend needs it."""

    root: Path
    required: str | None

    def __call__(self, request: Received) -> None:
        body = request.read_body()
        if self.required is not None and request.values(b"authorization") != [self.required.encode()]:
            challenge = [("WWW-Authenticate", 'Basic realm="git"')]
            request.connection.respond(401, b"", challenge, reason="Unauthorized")
            return
        argv = ("git", "http-backend")
        ended = subprocess.run(
            argv, env=self._variables(request), input=body, capture_output=True, timeout=60, check=True
        )
        head, _, answer = ended.stdout.partition(b"\r\n\r\n")
        lines = [line.partition(": ") for line in head.decode().split("\r\n")]
        fields = {name: value for name, _, value in lines}
        status, _, reason = fields.pop("Status", "200 OK").partition(" ")
        request.connection.respond(int(status), answer, list(fields.items()), reason)

    def _variables(self, request: Received) -> dict[str, str]:
        path, _, query = request.target.decode().partition("?")
        from_fields = {
            "CONTENT_TYPE": request.value(b"content-type"),
            "HTTP_CONTENT_ENCODING": request.value(b"content-encoding"),
            "GIT_PROTOCOL": request.value(b"git-protocol"),
        }
        return {
            "PATH": os.environ.get("PATH", os.defpath),
            **ENVIRONMENT,
            "GIT_PROJECT_ROOT": str(self.root),
            "GIT_HTTP_EXPORT_ALL": "1",
            "PATH_INFO": path,
            "QUERY_STRING": query,
            "REQUEST_METHOD": request.method.decode(),
            **{name: value.decode() for name, value in from_fields.items() if value is not None},
        }
