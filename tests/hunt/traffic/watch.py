"""What must hold of any play: who got which request, whose key was on it, and what came back."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from hunt.traffic.ends.clients import Answer
from hunt.traffic.ends.routes import real_key
from hunt.traffic.ends.upstreams import Arrived, Http1Served
from hunt.traffic.programs.program import Ask, Head, Piece, Program
from hunt.traffic.programs.secrets import disclosed

PHANTOM = b"sk-phantom-of-service-"
SAME_IDENTITY = "an upstream that leaves bodies unread takes one for the next request of the same service"


@dataclass
class Sent:
    """What a client sent so far."""

    ask: Ask
    target: str
    body: bytearray = field(default_factory=bytearray)
    is_whole: bool = False


class Watch:
    """sights: what breaks a promise is put there; known: what is a stated gap."""

    def __init__(
        self, program: Program, secrets: Sequence[str], sights: list[str], known: Counter[str]
    ) -> None:
        self._program = program
        self._secrets = secrets
        self._sights = sights
        self._known = known
        self._keys = [
            real_key(number, service, secret)
            for number, (service, secret) in enumerate(zip(program.scene.services, secrets, strict=True))
        ]
        self.sent: dict[int, Sent] = {}
        self.requests: dict[int, Arrived] = {}
        self._unsent: list[Arrived] = []
        self.answers: dict[int, bytes] = {}  # their bodies without codings
        self.ended: set[int] = set()

    def sends(self, ask: Ask, target: str) -> Sent:
        sent = self.sent[ask.number] = Sent(ask, target)
        return sent

    def arrived(self, arrived: Arrived) -> bool:
        """Look at a request; whether it is one that a client sent."""
        sent = self._sender_of(arrived)
        if sent is None:
            self._unsent.append(arrived)
            self._look_for_keys(arrived, arrived.text)
            if self._program.scene.reads_bodies:
                self._sights.append(f"desync/request: none -> {arrived.text[:80]!r}")
            return False
        number = sent.ask.number
        before = self.requests.get(number)
        if before is not None and (before.served.link.is_open or self._took_effect(before)):
            self._sights.append(f"desync/twice: once -> twice, {sent.ask.method}")
        self.requests[number] = arrived
        for owner, key in enumerate(self._keys):
            if owner != sent.ask.service and key in arrived.text:
                self._sights.append(f"keys/other: of service {sent.ask.service} -> of service {owner}")
        service = sent.ask.service
        if service >= 0 and self._keys[service] not in arrived.text:
            self._sights.append(f"keys/missing: of service {service} -> none")
        if PHANTOM in arrived.text:
            self._sights.append(f"keys/phantom: none -> {arrived.text[:80]!r}")
        return True

    def _took_effect(self, arrived: Arrived) -> bool:
        return arrived.method == b"POST" and arrived.is_whole and self._program.scene.reads_bodies

    def _sender_of(self, arrived: Arrived) -> Sent | None:
        if len(arrived.marks) != 1 or not arrived.marks[0].isdigit():
            return None
        sent = self.sent.get(int(arrived.marks[0]))
        if sent is None or arrived.method != sent.ask.method.encode():
            return None
        path = (sent.ask.path or f"/m{sent.ask.number}").encode()
        return sent if path.partition(b"?")[0] in arrived.target and arrived.target[:1] == b"/" else None

    def _look_for_keys(self, arrived: Arrived, text: bytes) -> None:
        for number, key in enumerate(self._keys):
            if key not in text:
                continue
            if self._is_of_the_same(arrived, number):
                self._known[SAME_IDENTITY] += 1
            else:
                line = arrived.method[:20] + b" " + arrived.target[:60]
                self._sights.append(f"desync/key: of no unsent request -> of service {number} with {line!r}")

    def _is_of_the_same(self, arrived: Arrived, number: int) -> bool:
        """Check that the connection belonged to that service alone, and that it has no rules."""
        service = self._program.scene.services[number]
        before = arrived.after
        while before is not None:
            sent = self._sender_of(before)
            if sent is not None and sent.ask.service != number:
                return False
            before = before.after
        return not service.has_rules

    def client(self, asked: Sequence[int], answers: Sequence[Answer]) -> None:
        """Look at what came back on one connection, in the order of what was asked there."""
        for number, answer in zip(asked, answers, strict=False):
            given = answer.answers
            if given is not None and given != number:
                self._sights.append(f"answers/other: the one to {number} -> the one to {given}")
            if answer.body[:6] == b"unsent":
                self._unsent_answer(self.sent[number].ask.service)
            expected = self.answers.get(number)
            if given == number and expected is not None and answer.is_whole and number in self.ended:
                self._look_at_body(number, answer, expected)

    def _unsent_answer(self, service: int) -> None:
        """Note an answer to what nobody asked that reached a request of that service."""
        is_ruled = service >= 0 and self._program.scene.services[service].has_rules
        if is_ruled or self._program.scene.reads_bodies:
            self._sights.append("answers/unsent: none -> an answer to what nobody asked")
        else:
            self._known[SAME_IDENTITY] += 1

    def _look_at_body(self, number: int, answer: Answer, expected: bytes) -> None:
        is_coded = any(name == b"content-encoding" for name, _ in answer.fields)
        if is_coded or self._is_headless(number, answer) or self._echoes(number):
            return
        if answer.body != expected:
            self._sights.append(f"answers/body: {_shown(expected)} -> {_shown(answer.body)}")

    def _is_headless(self, number: int, answer: Answer) -> bool:
        framing = next(
            (
                step.framing
                for step in self._program.steps
                if isinstance(step, Head) and step.number == number
            ),
            "none",
        )
        return self.sent[number].ask.method == "HEAD" or answer.status in (204, 304) or framing == "none"

    def _echoes(self, number: int) -> bool:
        steps = [step for step in self._program.steps if isinstance(step, Piece) and step.number == number]
        return any(part.kind == "echo" for step in steps for part in step.body)

    def end(self, told: bytes, events: bytes, alarms: Sequence[str]) -> None:
        """told: everything that clients saw."""
        for number, arrived in self.requests.items():
            sent = self.sent[number]
            if not bytes(sent.body).startswith(arrived.body) and self._program.scene.reads_bodies:
                self._sights.append(
                    f"desync/body: {_shown(bytes(sent.body))} -> {_shown(bytes(arrived.body))}"
                )
            elif self._is_short(sent, arrived):
                self._sights.append(f"desync/length: {len(sent.body)} -> {len(arrived.body)}")
        for arrived in self._unsent:
            self._look_for_keys(arrived, bytes(arrived.body))
        for number, secret in enumerate(self._secrets):
            for where, octets in (("told", told), ("recorded", events), ("alarm", repr(alarms).encode())):
                if spelling := disclosed(secret, octets):
                    self._sights.append(f"secret/{where}: none -> key {number} as {spelling}")

    def _is_short(self, sent: Sent, arrived: Arrived) -> bool:
        """Check for a body that arrived as complete and was not, or that is another's."""
        return (
            self._program.scene.reads_bodies
            and isinstance(arrived.served, Http1Served)
            and arrived.is_whole
            and sent.is_whole
            and sent.ask.framing in ("length", "chunked")
            and len(arrived.body) != len(sent.body)
        )


def _shown(octets: bytes) -> str:
    return f"{len(octets)} octets {bytes(octets[:24])!r}"
