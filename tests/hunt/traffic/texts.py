"""What the texts of a program come to in one play, and what goes over the wire for them."""

from __future__ import annotations

from base64 import b64encode
from hashlib import sha1

from hunt.traffic.ends.codings import coded
from hunt.traffic.ends.routes import detector_of, shown
from hunt.traffic.programs.program import Ask, End, Head, More, Part, Parts, Piece, Program
from hunt.traffic.programs.secrets import SPELLINGS, twins
from nono.credentials.values.automaton import stride_for

CLIENT_KEY = b64encode(b"0123456789abcdef").decode()
ACCEPT = b64encode(sha1(CLIENT_KEY.encode() + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest()).decode()


class Texts:
    """which: of the twins is played, 0 or 1. secrets: of each service."""

    def __init__(self, program: Program, which: int) -> None:
        scene = program.scene
        pairs = [twins(scene.seed + number, each.shape) for number, each in enumerate(scene.services)]
        self._program = program
        self._first = [pair[0] for pair in pairs]
        self.secrets = [pair[which] for pair in pairs]

    def resolved(self, parts: Parts) -> bytes:
        return b"".join(map(self._octets, parts))

    def _octets(self, part: Part) -> bytes:
        if part.kind == "text":
            return part.text.encode("latin-1") * part.times
        if part.service >= len(self.secrets):
            return b""
        spell = SPELLINGS[part.spelling]
        if part.kind == "echo":
            return spell(self.secrets[part.service]).encode()
        whole = spell(self._first[part.service]).encode()
        return whole[: min(part.times, len(whole) - 4)]

    def upload_length(self, ask: Ask) -> int:
        """Return the length of the whole body, with one octet more if it never ends."""
        more = [each for each in self._program.steps if isinstance(each, More) and each.number == ask.number]
        length = len(self.resolved(ask.body)) + sum(len(self.resolved(each.body)) for each in more)
        return length + ("open" in ask.flags and not any(each.ends for each in more))

    def answer(self, head: Head, at: int) -> tuple[bytes, list[bytes]]:
        """Return the body of the answer that begins with step `at`, and the part sent with each piece."""
        pieces = list[tuple[bytes, int]]()
        for each in self._program.steps[at:]:
            if isinstance(each, End) and each.number == head.number:
                break
            if isinstance(each, Piece) and each.number == head.number:
                pieces.append((self.resolved(each.body), each.held))
        return b"".join(octets for octets, _ in pieces), coded(head.coding, pieces)

    def near(self) -> list[int]:
        """Count how often each secret's long prefix, which is searched again, is in the bodies of answers.

        The first search looks at every n-th octet, and takes a prefix that lacks n - 1 octets for one.
        """
        pieces = [part for step in self._program.steps if isinstance(step, Piece) for part in step.body]
        lacking = max(map(stride_for, self.secrets), default=1) - 1
        longer = [part._replace(times=part.times + lacking) for part in pieces if part.kind == "beginning"]
        body = self.resolved((*pieces, *longer))
        detectors = map(detector_of, self._program.scene.services, self.secrets)
        return [0 if each is None else len(each.find(body).near) for each in detectors]

    def presented(self, ask: Ask) -> tuple[str, list[tuple[str, str]]]:
        """Return the target and the fields of a request."""
        path = ask.path or f"/m{ask.number}"
        fields = [("x-mark", str(ask.number))]
        if "plain" not in ask.flags:
            fields.append(("accept-encoding", "gzip, deflate, br, zstd"))
        if "expect" in ask.flags:
            fields.append(("expect", "100-continue"))
        if "close" in ask.flags and "upgrade" not in ask.flags:
            fields.append(("connection", "close"))
        if "upgrade" in ask.flags:
            fields += [("connection", "upgrade"), ("upgrade", "websocket")]
            fields += [("sec-websocket-key", CLIENT_KEY), ("sec-websocket-version", "13")]
        if ask.service < 0:
            return path, fields
        target, key = shown(ask.service, self._program.scene.services[ask.service], path)
        return target, [*key, *fields]


def framed(ask: Ask, octets: bytes, *, ends: bool) -> bytes:
    """Frame a piece of a request's body for HTTP/1.1."""
    if ask.framing == "length":
        return octets
    if ask.framing != "chunked":
        return b""
    chunk = b"%x\r\n%b\r\n" % (len(octets), octets) if octets else b""
    return chunk + (b"0\r\n\r\n" if ends else b"")
