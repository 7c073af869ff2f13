"""What a peer sends is parsed in turns of the loop, and a fault in one of them is not forgotten."""

from __future__ import annotations

import asyncio

import pytest

from nono.proxy.http2.intake import Intake
from nono.proxy.transport import turns


class _Transport(asyncio.Transport):
    aborted = False
    reading = True

    def is_closing(self) -> bool:
        return self.aborted

    def is_reading(self) -> bool:
        return self.reading

    def pause_reading(self) -> None:
        self.reading = False

    def resume_reading(self) -> None:
        self.reading = True

    def abort(self) -> None:
        self.aborted = True


def test_a_fault_in_a_later_turn_ends_the_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turns, "SHARE_S", 0.0)
    transport, taken = _Transport(), list[bytes]()

    def take(piece: bytes) -> None:
        taken.append(piece)
        if piece == b"2":
            raise RuntimeError("a bug")

    async def run() -> None:
        failed = asyncio.Event()
        asyncio.get_running_loop().set_exception_handler(lambda *_: failed.set())
        intake_of_test = Intake(turns.Turns(), take, lambda: 1)
        intake_of_test.start(transport)
        intake_of_test.feed(b"123")
        await failed.wait()
        intake_of_test.when_empty(lambda: taken.append(b"lost"))

    asyncio.run(run())
    assert transport.aborted
    assert taken == [b"1", b"2", b"lost"]


def test_a_fault_in_what_a_lost_connection_left_ends_it_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turns, "SHARE_S", 0.0)
    taken = list[bytes]()

    def take(piece: bytes) -> None:
        taken.append(piece)
        if piece == b"2":
            raise RuntimeError("a bug")

    async def run() -> None:
        failed = asyncio.Event()
        asyncio.get_running_loop().set_exception_handler(lambda *_: failed.set())
        intake = Intake(turns.Turns(), take, lambda: 1)
        intake.start(_Transport())
        intake.feed(b"123")
        intake.when_empty(lambda: taken.append(b"lost"))
        assert taken == [b"1"]
        await failed.wait()

    asyncio.run(run())
    assert taken == [b"1", b"2", b"lost"]


def test_nothing_is_read_until_what_arrived_is_parsed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turns, "SHARE_S", 0.0)
    transport, taken = _Transport(), list[tuple[bytes, bool]]()

    async def run() -> None:
        parsed = asyncio.Event()
        intake = Intake(turns.Turns(), lambda piece: taken.append((piece, transport.reading)), lambda: 1)
        intake.start(transport)
        intake.feed(b"1")
        assert transport.is_reading()
        intake.feed(b"23")
        assert not transport.is_reading()
        intake.when_empty(parsed.set)
        await parsed.wait()

    asyncio.run(run())
    assert taken == [(b"1", True), (b"2", True), (b"3", False)]
    assert transport.is_reading()
