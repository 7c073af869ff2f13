"""A program: a scene, and the steps that a client and an upstream take in it. JSON in files."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal, NamedTuple, get_args

Transport = Literal["reverse", "intercepted", "http2"]
Framing = Literal["none", "length", "chunked", "close"]
TRANSPORTS: tuple[Transport, ...] = get_args(Transport)


class Part(NamedTuple):
    """A part of a text: itself `times` times, the first `times` octets of a secret's spelling, or all of it.

    kind: "text", "beginning" or "echo". The beginning is the first twin's, also where the second is played.
    """

    kind: str
    text: str = ""
    times: int = 1
    service: int = 0
    spelling: str = "raw"


Parts = tuple[Part, ...]


class Service(NamedTuple):
    """mode: where the credential goes. shape: of its secret. has_rules: some endpoints are denied."""

    mode: str = "bearer"
    shape: str = "token"
    has_rules: bool = False


@dataclass(frozen=True, slots=True)
class Scene:
    """Who takes part. seed: of the secrets.

    clients: how each client comes in. reads_bodies: False for an upstream that answers without reading, as
    `http.server` does, and takes the body for its next request.
    """

    seed: int
    clients: tuple[Transport, ...]
    services: tuple[Service, ...]
    host: str = "api.test"
    tls: bool = True
    http2_upstream: bool = False
    reads_bodies: bool = True


@dataclass(frozen=True, slots=True)
class Ask:
    """A client sends a request. service -1: without a key. flags: "open" (more of the body follows),
    "expect", "close", "upgrade", "plain" (no Accept-Encoding), "begin" (the head alone, cut in two)."""

    number: int
    client: int = 0
    service: int = 0
    method: str = "GET"
    path: str = ""
    framing: Framing = "none"
    body: Parts = ()
    flags: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class More:
    """The request's body goes on. ends: nothing follows."""

    number: int
    body: Parts = ()
    ends: bool = False


@dataclass(frozen=True, slots=True)
class Interim:
    number: int
    status: int = 103


@dataclass(frozen=True, slots=True)
class Head:
    """The upstream begins its answer. coding: "" or a Content-Encoding."""

    number: int
    status: int = 200
    framing: Framing = "chunked"
    coding: str = ""
    kind: str = "text/plain"
    extra: Parts = ()  # of a field


@dataclass(frozen=True, slots=True)
class Piece:
    """The upstream sends a piece of the body. held: octets of its end that go with the next piece."""

    number: int
    body: Parts = ()
    held: int = 0
    chunk: int = 0  # octets in a chunk; 0: all of them


@dataclass(frozen=True, slots=True)
class End:
    """The answer ends: "whole", "closed", "reset"; or "trailers", which has one field of them."""

    number: int
    how: str = "whole"
    trailer: Parts = ()


@dataclass(frozen=True, slots=True)
class Say:
    """Octets on a connection that has switched protocols."""

    number: int
    by_upstream: bool
    body: Parts = ()


@dataclass(frozen=True, slots=True)
class Leave:
    """A client is gone: "closed" or "reset"; "cancelled": the stream of `number` alone."""

    client: int
    how: str = "closed"
    number: int = 0


@dataclass(frozen=True, slots=True)
class Patience:
    """A client stops or starts reading."""

    client: int
    reads: bool


Step = Ask | More | Interim | Head | Piece | End | Say | Leave | Patience
Steps = tuple[Step, ...]
_KINDS: dict[str, type[Step]] = {kind.__name__: kind for kind in get_args(Step)}


@dataclass(frozen=True, slots=True)
class Program:
    scene: Scene
    steps: Steps

    def to_json(self) -> str:
        steps = [{"step": type(step).__name__, **_short(step)} for step in self.steps]
        return json.dumps({"scene": asdict(self.scene), "steps": steps})


def _short(step: Step) -> dict[str, Any]:
    """Return the fields of a step that differ from their defaults."""
    values = {each.name: getattr(step, each.name) for each in fields(step)}
    defaults = {each.name: each.default for each in fields(step)}
    return {name: value for name, value in values.items() if value != defaults[name]}


def from_json(text: str) -> Program:
    """KeyError, TypeError, ValueError: that is no program."""
    found = json.loads(text)
    scene = dict(found["scene"])
    scene["clients"] = tuple(scene["clients"])
    scene["services"] = tuple(Service(*each) for each in scene["services"])
    return Program(Scene(**scene), tuple(_step(each) for each in found["steps"]))


def _step(found: dict[str, Any]) -> Step:
    values = {name: _value(value) for name, value in found.items() if name != "step"}
    return _KINDS[found["step"]](**values)


def _value(value: Any) -> Any:
    if not isinstance(value, list):
        return value
    return tuple(Part(*each) if isinstance(each, list) else each for each in value)


def text(value: str, times: int = 1) -> Part:
    return Part("text", value, times)


def shown(program: Program, most: int = 1500) -> str:
    """Describe the program for a person who reads a report."""
    lines = [str(program.scene), *map(_line, program.steps)]
    return "\n".join(line[:most] for line in lines)


def _line(step: Step) -> str:
    given = ", ".join(f"{name}={_plain(value)}" for name, value in _short(step).items())
    return f"  {type(step).__name__}({given})"


def _plain(value: object) -> str:
    if isinstance(value, tuple) and value and isinstance(value[0], Part):
        return " + ".join(map(_part, value))
    return repr(value)


def _part(part: Part) -> str:
    match part.kind:
        case "text":
            return repr(part.text) + (f" x {part.times}" if part.times != 1 else "")
        case "beginning":
            return f"<{part.times} of key {part.service} ({part.spelling})>"
        case _:
            return f"<key {part.service} ({part.spelling})>"
