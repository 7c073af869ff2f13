"""Write scripts for attack_programs/proxy/wire.py, and read what came back from the proxy."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from support.nono_run import Ended, NonoRun, program

Steps = list[list[str | int]]
AUTHORISED = b"Proxy-Authorization: Basic $TOKEN\r\n"


@dataclass(frozen=True, slots=True)
class Answer:
    """Everything that one connection received from the proxy, or through it."""

    raw: bytes

    @property
    def status(self) -> int:
        """Return the status of the first response; 0 if there was none."""
        line = self.raw.split(b"\r\n", 1)[0].split(b" ")
        return int(line[1]) if line[0].startswith(b"HTTP/1.") and len(line) > 1 else 0

    @property
    def statuses(self) -> list[int]:
        """Return the status of every response, found by their first lines."""
        return [int(rest[2:5]) for rest in self.raw.split(b"HTTP/1.")[1:]]


def send(data: bytes) -> list[str | int]:
    return ["send", data.hex()]


def request(data: bytes) -> Steps:
    """Send, and read to the end of the connection. The request must ask to close, or be refused so."""
    return [send(data), ["read"]]


def head(data: bytes) -> Steps:
    """Send, and read one head."""
    return [send(data), ["read_head"]]


def connect(authority: bytes, *, authorised: bool = True) -> bytes:
    return (
        b"CONNECT " + authority + b" HTTP/1.1\r\nHost: x\r\n" + (AUTHORISED if authorised else b"") + b"\r\n"
    )


def get(url: bytes, *, host: bytes, authorised: bool = True, more: bytes = b"") -> bytes:
    """Return an absolute-form request that asks to close."""
    fields = b"Host: " + host + b"\r\nConnection: close\r\n" + (AUTHORISED if authorised else b"") + more
    return b"GET " + url + b" HTTP/1.1\r\n" + fields + b"\r\n"


def play(
    sandbox: NonoRun,
    connections: Sequence[Steps],
    *,
    profile: Mapping[str, object],
    flags: Sequence[str] = (),
    environment: Mapping[str, str] | None = None,
    stage: Sequence[str] = (),
) -> tuple[list[Answer], Ended]:
    """Play every connection in one run of nono, one after the other."""
    run = sandbox.run(
        program("proxy.wire"),
        profile=profile,
        flags=flags,
        stdin=json.dumps(list(connections)),
        environment=environment,
        stage=stage,
    )
    return [Answer(received.encode("latin-1")) for received in run.outcomes()], run
