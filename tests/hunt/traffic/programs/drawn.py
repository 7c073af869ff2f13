"""Programs drawn at random: who talks to whom, how, and what each does at which moment."""

from __future__ import annotations

import random
from collections.abc import Iterator

from hunt.traffic.ends.routes import INJECTED, SHAPES_OF
from hunt.traffic.programs.program import (
    TRANSPORTS,
    Ask,
    End,
    Framing,
    Head,
    Interim,
    Leave,
    More,
    Part,
    Parts,
    Patience,
    Piece,
    Program,
    Say,
    Scene,
    Service,
    Step,
    text,
)
from hunt.traffic.programs.secrets import SHAPES, SPELLINGS

CODINGS = ("", "", "", "gzip", "deflate", "br", "zstd", "gzip, br", "x-gzip", "gzip, gzip")
KINDS = ("text/plain", "application/json", "text/event-stream", "application/octet-stream")
HOSTS = ("api.test", "api.test", "api.openai.com", "api.anthropic.com")
COUNTED = {"api.openai.com": "/v1/chat/completions", "api.anthropic.com": "/v1/messages"}
FRAMINGS: tuple[Framing, ...] = ("chunked", "chunked", "length", "close")
UPLOADS: tuple[Framing, ...] = ("none", "length", "chunked")
WORDS = (
    "a",
    "stored text ",
    "\n",
    "\n\n",
    "{",
    '"',
    "}",
    "==",
    " ",
    "%",
    "\\",
    "data: ",
    'data: "",\n',
    "[1,",
)
SMUGGLED = (
    "DELETE /admin/keys HTTP/1.1\r\nHost: x\r\nX-A: ",
    "POST /comments HTTP/1.1\r\nHost: x\r\nContent-Length: 400\r\n\r\n",
    "GET /stored HTTP/1.1\r\nHost: x\r\n\r\n",
    "0\r\n\r\nGET /after HTTP/1.1\r\nHost: x\r\n\r\n",
)
METHODS = ("GET", "GET", "POST", "POST", "PUT", "DELETE", "HEAD", "PATCH", "OPTIONS")
MOST_TIMES = 40_000  # a word over and over


def programs(choice: random.Random) -> Iterator[Program]:
    """Yield programs without end."""
    while True:
        yield program(choice)


def program(choice: random.Random) -> Program:
    scene = _scene(choice)
    return Program(scene, tuple(_Drawing(choice, scene).steps()))


def _scene(choice: random.Random) -> Scene:
    services = tuple(_service(choice) for _ in range(choice.choice((1, 1, 2, 2, 3))))
    clients = tuple(choice.choice(TRANSPORTS) for _ in range(choice.choice((1, 1, 2, 3))))
    tls = choice.random() < 0.7
    return Scene(
        seed=choice.randrange(1 << 32),
        clients=clients,
        services=services,
        host=choice.choice(HOSTS),
        tls=tls,
        http2_upstream=tls and "http2" in clients and choice.random() < 0.5,
        reads_bodies=choice.random() < 0.65,
    )


def _service(choice: random.Random) -> Service:
    mode = choice.choice(("bearer", *INJECTED))
    shape = choice.choice(SHAPES_OF.get(mode, (*SHAPES,)))
    return Service(mode, shape, choice.random() < 0.3)


class _Drawing:
    def __init__(self, choice: random.Random, scene: Scene) -> None:
        self._choice = choice
        self._scene = scene
        self._numbers = 0
        self._open: list[tuple[int, list[Step]]] = []  # exchanges, and their steps to come

    def steps(self) -> Iterator[Step]:
        """Draw the steps of exchanges, one after the other or mixed."""
        choice = self._choice
        mixes = choice.random() < 0.4
        left = choice.choice((1, 2, 2, 3, 5))
        while left or self._open:
            if left and (not self._open or (mixes and choice.random() < 0.4)):
                left -= 1
                self._open.append((self._numbers, list(self._exchange())))
                self._numbers += 1
            at = choice.randrange(len(self._open))
            steps = self._open[at][1]
            yield steps.pop(0)
            if not steps:
                self._open.pop(at)
            if choice.random() < 0.02:
                yield self._disturbance()

    def _disturbance(self) -> Step:
        choice = self._choice
        client = choice.randrange(3)
        how = choice.choice(("closed", "reset", "cancelled"))
        number = choice.randrange(max(self._numbers, 1))
        return choice.choice((Leave(client, how, number), Patience(client, False), Patience(client, True)))

    def _exchange(self) -> Iterator[Step]:
        choice, number = self._choice, self._numbers
        if choice.random() < 0.06:
            yield from self._socket(number)
            return
        ask = self._ask(number)
        yield ask
        uploads = [More(number, self._upload()) for _ in range(choice.choice((0, 0, 1, 2)))]
        if "open" in ask.flags:
            uploads.append(More(number, self._upload(), ends=True))
            if choice.random() < 0.2:
                uploads.pop()  # it never ends
        else:
            uploads = []
        answers = list(self._answer(number, ask.service))
        if choice.random() < 0.5:
            yield from (*uploads, *answers)
        else:  # an early answer
            yield from (*answers, *uploads)

    def _ask(self, number: int) -> Ask:
        choice = self._choice
        method = choice.choice(METHODS)
        framing = "none" if method in ("GET", "HEAD") and choice.random() < 0.9 else choice.choice(UPLOADS)
        flags = [
            flag for flag, chance in (("plain", 0.2), ("close", 0.1), ("begin", 0.1)) if _is(choice, chance)
        ]
        if framing != "none":
            flags += [flag for flag, chance in (("open", 0.4), ("expect", 0.1)) if _is(choice, chance)]
        path = COUNTED.get(self._scene.host, "") if _is(choice, 0.4) else ""
        if path:
            method, framing = "POST", "length"
        return Ask(
            number,
            client=choice.randrange(len(self._scene.clients)),
            service=choice.choice((-1, *range(len(self._scene.services)), 0)),
            method=method,
            path=path,
            framing=framing,
            body=self._upload() if framing != "none" else (),
            flags=tuple(flags),
        )

    def _upload(self) -> Parts:
        choice = self._choice
        if choice.random() < 0.5:
            return (text(choice.choice(SMUGGLED)),)
        return (text(choice.choice(WORDS), choice.choice((1, 7, 300))),)

    def _answer(self, number: int, service: int) -> Iterator[Step]:
        choice = self._choice
        # Who was told the key can quote it. Of AWS nobody is told it, and without a key nothing is searched.
        quotes = service if service >= 0 and self._scene.services[service].mode != "aws" else None
        if choice.random() < 0.15:
            yield Interim(number, choice.choice((100, 102, 103)))
        coding = choice.choice(CODINGS)
        status = choice.choice((200, 200, 200, 200, 201, 204, 304, 400, 401, 403, 404, 429, 500))
        framing: Framing = "none" if status in (204, 304) else choice.choice(FRAMINGS)
        extra = self._field(quotes) if choice.random() < 0.15 else ()
        yield Head(number, status, framing, coding, choice.choice(KINDS), extra)
        if framing != "none":
            for _ in range(choice.choice((1, 2, 3, 4, 6))):
                held = choice.choice((0, 0, 0, 1, 2, 5, 30))
                yield Piece(number, self._text(quotes), held, choice.choice((0, 0, 0, 1, 3, 100)))
        how = choice.choice(("whole",) * 8 + ("closed", "reset"))
        trailer = self._field(quotes) if framing == "chunked" and choice.random() < 0.15 else ()
        yield End(number, how, trailer)

    def _text(self, quotes: int | None) -> Parts:
        choice = self._choice
        parts = [self._part(quotes) for _ in range(choice.choice((1, 1, 2, 3)))]
        if choice.random() < 0.5:
            parts.append(self._beginning())  # at the end, where it is not known yet what follows
        return tuple(parts)

    def _part(self, quotes: int | None) -> Part:
        choice, draw = self._choice, self._choice.random()
        if draw < 0.04:
            return text(choice.choice(WORDS), choice.randrange(1000, MOST_TIMES))
        if draw < 0.3:
            return self._beginning()
        if draw < 0.36 and quotes is not None:
            return Part("echo", "", 1, quotes, choice.choice((*SPELLINGS,)))
        return text(choice.choice(WORDS), choice.choice((1, 1, 3, 50)))

    def _beginning(self) -> Part:
        choice = self._choice
        service = choice.randrange(len(self._scene.services))
        return Part(
            "beginning", "", choice.randrange(1, 60), service, choice.choice((*SPELLINGS, "raw", "raw"))
        )

    def _field(self, quotes: int | None) -> Parts:
        choice = self._choice
        spelling = choice.choice(("raw", "hex"))
        if quotes is not None and choice.random() < 0.3:
            return (text("value "), Part("echo", "", 1, quotes, spelling))
        service = choice.randrange(len(self._scene.services))
        return (text("value "), Part("beginning", "", choice.randrange(1, 40), service, spelling))

    def _socket(self, number: int) -> Iterator[Step]:
        """Draw a WebSocket, whose octets are not looked at, or a refusal of one."""
        choice = self._choice
        yield Ask(number, choice.randrange(len(self._scene.clients)), 0, flags=("upgrade",))
        if choice.random() < 0.3:
            yield from self._answer(number, 0)
            return
        yield Head(number, 101)
        for _ in range(choice.randrange(1, 5)):
            yield Say(number, choice.random() < 0.5, (text(choice.choice(WORDS), choice.choice((1, 60))),))
        if choice.random() < 0.5:
            yield End(number, choice.choice(("closed", "reset")))


def _is(choice: random.Random, chance: float) -> bool:
    return choice.random() < chance
