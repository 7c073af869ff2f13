"""Play a program once, in one thread with the proxy: a step, then turns of the loop until nothing moves."""

from __future__ import annotations

import asyncio
import gc
import os
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from anyio.to_thread import current_default_thread_limiter

from hunt.traffic.answering import Answering
from hunt.traffic.ends.clients import Http1Client, Http2Client
from hunt.traffic.ends.routes import route_of
from hunt.traffic.ends.stage import Stage
from hunt.traffic.ends.upstreams import Http1Served, Http2Served, Served
from hunt.traffic.ends.wire import Link
from hunt.traffic.programs.program import (
    Ask,
    End,
    Head,
    Interim,
    Leave,
    More,
    Patience,
    Piece,
    Program,
    Say,
    Step,
)
from hunt.traffic.texts import Texts, framed
from hunt.traffic.watch import Watch
from nono.proxy.config import Collaborators, ProxyConfig
from nono.proxy.server import RunningProxy, serve
from nono.secret import Secret
from support.proxy.http2_stage import server_context
from support.proxy.thread import TOKEN, Hosts, Recording

LEAVE_S = 3.0  # for connections to end whose other ends are gone
CALM_TURNS = 3  # without anything moving
MOST_TURNS = 20_000
PAUSE_S = 0.001
PATIENCE_S = 0.05  # in pauses: for a request that is refused in silence, or comes behind another
THREAD_S = 0.5  # for what a thread of the proxy does before a request is sent on


class Read(NamedTuple):
    """One thing that a client saw, and after which step."""

    step: int
    client: int
    kind: str
    octets: bytes


@dataclass
class Seen:
    """What a play showed. slowest_s: CPU time of the longest turn, and slowest: the step before it."""

    reads: list[Read] = field(default_factory=list)
    sights: list[str] = field(default_factory=list)
    known: Counter[str] = field(default_factory=Counter)
    alarms: list[str] = field(default_factory=list)
    slowest_s: float = 0.0
    slowest: str = ""
    answered: int = 0


async def _on_this_machine(host: str, port: int) -> list[str]:
    return ["127.0.0.1"]


class Play:
    """which: of the twins, 0 or 1."""

    def __init__(self, stage: Stage, program: Program, which: int) -> None:
        self._stage = stage
        self._program = program
        self._texts = Texts(program, which)
        self._seen = Seen()
        self._watch = Watch(program, self._texts.secrets, self._seen.sights, self._seen.known)
        self._answering = Answering(self._texts, self._watch)
        self._clients: dict[int, Http1Client | Http2Client] = {}
        self._gone: list[tuple[int, Http1Client | Http2Client]] = []
        self._client_of: dict[int, Http1Client | Http2Client] = {}
        self._served: list[Served] = []
        self._fresh: list[Link] = []  # their ALPN is not known yet
        self._step = 0

    async def run(self) -> Seen:
        scene = self._program.scene
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(self._fault)
        routes = [
            route_of(number, scene, secret, self._stage.port, self._stage.ca_file)
            for number, secret in enumerate(self._texts.secrets)
        ]
        config = ProxyConfig(
            hosts=Hosts(),
            session_token=Secret(TOKEN),
            routes=tuple(routes),
            server_context=server_context,
            port=self._stage.proxy_port,
            close_grace_s=0.05,
        )
        before = _open_sockets()
        recording = Recording()
        serving = serve(config, Collaborators(recording, _on_this_machine, self._seen.alarms.append))
        gc.disable()
        try:
            async with serving as running:
                for number, step in enumerate(self._program.steps):
                    self._step = number
                    await self._take(step)
                await self._leave(running)
        finally:
            gc.enable()
            self._close()
        for _ in range(CALM_TURNS):  # in which the loop closes what the proxy has closed
            await asyncio.sleep(0)
        loop.set_exception_handler(None)
        self._check_left(running, before)
        for _, client in self._everybody():
            self._watch.client(client.asked, client.answers())
            self._seen.answered += sum(answer.status > 0 for answer in client.answers())
        told = b"".join(read.octets for read in self._seen.reads)
        bodies = [answer.body for _, client in self._everybody() for answer in client.answers()]
        self._watch.end(b"\0".join([told, *bodies]), repr(recording.events).encode(), self._seen.alarms)
        return self._seen

    def _fault(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        fault = context.get("exception")
        self._seen.sights.append(
            f"exception/{type(fault).__name__}: none -> {context.get('message')} {fault!r}"
        )

    def _everybody(self) -> list[tuple[int, Http1Client | Http2Client]]:
        return [*self._gone, *self._clients.items()]

    def _close(self) -> None:
        for _, client in self._everybody():
            client.link.end()
        for served in self._served:
            served.link.end()
        for link in self._fresh:
            link.end()

    async def _leave(self, running: RunningProxy) -> None:
        for _, client in self._everybody():
            client.link.close()
        await self._settle()
        deadline = time.monotonic() + LEAVE_S
        while time.monotonic() < deadline:
            if not running.client_connections and not running.upstream_connections:
                return
            for served in self._served:  # also of what a client had sent ahead of an answer
                served.link.close()
            await self._settle()
            await asyncio.sleep(PAUSE_S)
        self._seen.sights.append(
            f"left/connections: none -> {running.client_connections} of clients, "
            f"{running.upstream_connections} of upstreams"
        )

    def _check_left(self, running: RunningProxy, before: int) -> None:
        left = running.client_connections, running.upstream_connections
        if left != (0, 0):
            self._seen.sights.append(f"left/after the end: none -> {left}")
        after = _open_sockets()
        if after > before:
            self._seen.sights.append(f"left/sockets: {before} -> {after}")

    # -- turns

    async def _settle(self) -> None:
        calm = 0
        for _ in range(MOST_TURNS):
            begun = time.thread_time()
            await asyncio.sleep(0)
            took = time.thread_time() - begun
            if took > self._seen.slowest_s:
                self._seen.slowest_s, self._seen.slowest = (
                    took,
                    type(self._program.steps[self._step]).__name__,
                )
            calm = 0 if self._pump() else calm + 1
            if calm >= CALM_TURNS:
                return
        self._seen.sights.append("loop/rest: some -> none, something moves without end")

    async def _until_it_arrives(self, number: int, client: Http1Client | Http2Client) -> None:
        service = self._watch.sent[number].ask.service
        mode = self._program.scene.services[service].mode if service >= 0 else ""
        pauses = left = int((THREAD_S if mode == "aws" else PATIENCE_S) / PAUSE_S)
        threads = current_default_thread_limiter()  # one reads the authorities that sign for an upstream
        while number not in self._watch.requests and not client.has_answer and not client.is_over:
            if not left:
                return
            left = pauses if threads.borrowed_tokens else left - 1
            await asyncio.sleep(PAUSE_S)
            await self._settle()

    def _pump(self) -> bool:
        moved = self._accept()
        for link in list(self._fresh):
            moved |= link.pump()
            if link.is_ready or link.ending is not None:
                self._fresh.remove(link)
                self._served.append(self._server_of(link))
        for served in self._served:
            moved |= served.pump()
        for client in list(self._clients.values()):
            moved |= client.pump()
        return moved

    def _accept(self) -> bool:
        try:
            accepted, _ = self._stage.listener.accept()
        except BlockingIOError:
            return False
        link = Link(accepted)
        scene = self._program.scene
        if scene.tls:
            link.start_tls(self._stage.served[scene.http2_upstream])
        self._fresh.append(link)
        return True

    def _server_of(self, link: Link) -> Served:
        if link.protocol == "h2":
            return Http2Served(link, self._watch.arrived)
        return Http1Served(link, self._watch.arrived, reads_bodies=self._program.scene.reads_bodies)

    # -- steps

    async def _take(self, step: Step) -> None:
        match step:
            case Ask():
                await self._ask(step)
            case More():
                self._more(step)
            case Interim() | Head() | Piece() | End():
                self._answering.take(step, self._step)
            case Say():
                self._say(step)
            case Leave():
                self._gone_client(step)
            case Patience():
                if step.client in self._clients:
                    self._clients[step.client].link.reads = step.reads
        await self._settle()

    async def _client(self, number: int) -> Http1Client | Http2Client:
        kept = self._clients.get(number)
        if kept is not None and not kept.is_over:
            return kept
        if kept is not None:
            self._gone.append((number, kept))
            kept.link.close()
        scene, stage = self._program.scene, self._stage
        transport = scene.clients[number % len(scene.clients)]
        if transport == "http2" and not scene.tls:
            transport = "intercepted"

        def saw(kind: str, octets: bytes) -> None:
            self._seen.reads.append(Read(self._step, number, kind, octets))

        client: Http1Client | Http2Client
        if transport == "reverse":
            client = Http1Client(stage.proxy_port, saw, None, None)
        elif transport == "intercepted":
            client = Http1Client(stage.proxy_port, saw, self._authority, stage.trust[False])
        else:
            client = Http2Client(stage.proxy_port, saw, self._authority, stage.trust[True])
        self._clients[number] = client
        deadline = time.monotonic() + 2
        while not client.is_ready and not client.is_over and time.monotonic() < deadline:
            await self._settle()
        return client

    @property
    def _authority(self) -> str:
        scene = self._program.scene
        return f"{scene.host if scene.tls else 'localhost'}:{self._stage.port}"

    async def _ask(self, step: Ask) -> None:
        services = self._program.scene.services
        if step.number in self._client_of or step.service >= len(services):
            return
        client = await self._client(step.client)
        if (
            isinstance(client, Http1Client)
            and client.asked
            and not self._watch.sent[client.asked[-1]].is_whole
        ):
            return  # it would be more of the body before
        self._client_of[step.number] = client
        target, fields = self._texts.presented(step)
        transport = self._program.scene.clients[step.client % len(self._program.scene.clients)]
        if transport == "reverse":
            target = f"/s{max(step.service, 0)}{target}"
        host = f"127.0.0.1:{self._stage.proxy_port}" if transport == "reverse" else self._authority
        body = self._texts.resolved(step.body)
        sent = self._watch.sends(step, target)
        sent.body += body
        if isinstance(client, Http2Client):
            has_body = step.framing != "none"
            if step.framing == "length":
                fields.append(("content-length", str(self._texts.upload_length(step))))
            client.ask(step.number, step.method, target, fields, host, ends=not has_body)
            if has_body:
                await self._settle()
                client.body(step.number, body, ends="open" not in step.flags)
        else:
            if step.framing == "length":
                fields.append(("Content-Length", str(self._texts.upload_length(step))))
            elif step.framing == "chunked":
                fields.append(("Transfer-Encoding", "chunked"))
            head = client.ask(step.number, step.method, target, fields, host)
            if "begin" in step.flags:
                client.link.write(head[: len(head) // 2])
                await self._settle()
                head = head[len(head) // 2 :]
            client.link.write(head + framed(step, body, ends="open" not in step.flags))
        sent.is_whole = "open" not in step.flags
        await self._settle()
        if len(client.asked) <= len(client.answers()) + 1:
            await self._until_it_arrives(step.number, client)

    def _more(self, step: More) -> None:
        client, sent = self._client_of.get(step.number), self._watch.sent.get(step.number)
        if client is None or sent is None or sent.is_whole or not client.link.is_open:
            return
        octets = self._texts.resolved(step.body)
        sent.body += octets
        sent.is_whole = step.ends
        if isinstance(client, Http2Client):
            if sent.ask.framing != "none":
                client.body(step.number, octets, ends=step.ends)
        else:
            client.link.write(framed(sent.ask, octets, ends=step.ends))

    def _say(self, step: Say) -> None:
        arrived, client = self._watch.requests.get(step.number), self._client_of.get(step.number)
        octets = self._texts.resolved(step.body)
        if step.by_upstream and arrived is not None and isinstance(arrived.served, Http1Served):
            if step.number in self._answering.switched:
                arrived.served.link.write(octets)
        elif not step.by_upstream and isinstance(client, Http1Client):
            with suppress(OSError):
                client.link.write(octets)

    def _gone_client(self, step: Leave) -> None:
        client = self._clients.get(step.client)
        if client is None:
            return
        if step.how == "cancelled":
            if isinstance(client, Http2Client) and step.number in client.streams:
                client.cancel(step.number)
            return
        self._gone.append((step.client, self._clients.pop(step.client)))
        client.link.close(resets=step.how == "reset")


def _open_sockets() -> int:
    """Count the open sockets; the loop opens other descriptors when it first needs them."""
    return sum(_what_is_open(number).startswith("socket:") for number in os.listdir("/proc/self/fd"))


def _what_is_open(number: str) -> str:
    with suppress(FileNotFoundError):  # closed meanwhile
        return os.readlink(f"/proc/self/fd/{number}")
    return ""
