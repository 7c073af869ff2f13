"""After which change the mask keeper looks at its masks again."""

from __future__ import annotations

import os
import select
import time
from collections.abc import Iterator
from socket import socketpair
from types import SimpleNamespace

import pytest

from nono.kernel import inotify
from nono.sandbox import mask_keeper
from nono.sandbox.launcher import Launcher
from nono.sandbox.plan.enforcement import StaticFilter
from nono.sandbox.plan.plan import MaskRule, SandboxPlan

PLAN = SandboxPlan(
    *(1, 0, 0, 0, (), (), (), StaticFilter.OPEN_NET, None),
    masks=(MaskRule("/home/ada/secret", "file"),),
    unmasked=("/home/ada/absent",),
    pinned=("/home/ada",),
)


def untold(path: str) -> None:
    raise AssertionError(f"{path} lay open")


@pytest.mark.parametrize(
    ("name", "looks"),
    [
        pytest.param("secret", True, id="a mask"),
        pytest.param("absent", True, id="a path that may come"),
        pytest.param("ada", True, id="a directory above"),
        pytest.param(None, True, id="names that were lost: the queue was full"),
        pytest.param("other", False, id="another name"),
    ],
)
def test_a_change_that_may_uncover_a_path_is_looked_at(
    name: str | None, looks: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    queue, changes = os.pipe()
    command, ends = os.pipe()
    looked: list[SandboxPlan] = []

    def changed_names(descriptor: int) -> Iterator[str | None]:
        os.read(descriptor, 1)
        os.write(ends, b"-")  # the command has ended when the keeper looks again
        yield name

    monkeypatch.setattr(inotify, "changed_names", changed_names)
    monkeypatch.setattr(mask_keeper, "_watch_and_mask", lambda plan, _, __: looked.append(plan))
    os.write(changes, b"-")
    mask_keeper._serve(PLAN, queue, None, command, untold)
    assert looked == ([PLAN] if looks else [])
    for descriptor in (queue, changes, command, ends):
        os.close(descriptor)


def _looks_until(number: int, monkeypatch: pytest.MonkeyPatch, *, is_changing: bool = False) -> int:
    """Return how often the keeper looks before a command ends, which it does at look `number`."""
    queue, changes = os.pipe()
    command, ends = os.pipe()
    looked: list[SandboxPlan] = []

    def look(plan: SandboxPlan, _: int, __: object) -> None:
        looked.append(plan)
        if len(looked) == number:
            os.write(ends, b"-")

    if is_changing:
        os.write(changes, b"-")
    monkeypatch.setattr(mask_keeper, "AGAIN_S", 0.001)
    monkeypatch.setattr(mask_keeper, "_watch_and_mask", look)
    mask_keeper._serve(PLAN._replace(looks_again=True), queue, None, command, untold)
    for descriptor in (queue, changes, command, ends):
        os.close(descriptor)
    return len(looked)


def test_what_changes_without_an_event_is_looked_at_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    assert _looks_until(2, monkeypatch) == 2


def test_a_server_kept_busy_puts_the_next_look_off_by_no_more_than_seconds(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(mask_keeper, "PAUSES", 1e9)
    monkeypatch.setattr(mask_keeper, "PAUSE_S_MAX", 0.001)
    assert _looks_until(2, monkeypatch) == 2


def test_changes_of_other_names_do_not_put_the_next_look_off(monkeypatch: pytest.MonkeyPatch) -> None:
    until = time.monotonic() + 5

    def changed_names(_: int) -> Iterator[str | None]:  # of a queue that never runs empty
        assert time.monotonic() < until, "no look"
        yield "other"

    monkeypatch.setattr(inotify, "changed_names", changed_names)
    assert _looks_until(1, monkeypatch, is_changing=True) == 1


def test_each_path_that_lay_open_is_told_once() -> None:
    masked, masking = os.pipe()
    teller = mask_keeper.Teller(masking)
    for path in ("/home/ada/secret", "/home/ada/\udcff\n", "/home/ada/secret"):
        teller.tell(path)
    ours, theirs = socketpair()
    launcher = Launcher(0, ours, theirs, masked)
    assert launcher.uncovered() == ["/home/ada/secret", "/home/ada/\udcff\n"]
    assert launcher.uncovered() == []
    os.close(masking)
    launcher.close()


def test_telling_waits_for_nobody() -> None:
    """The supervisor reads at the end: a command that uncovers thousands of paths must not stop it."""
    masked, masking = os.pipe()
    teller = mask_keeper.Teller(masking)
    for number in range(2000):
        teller.tell(f"/{number:0100d}")
    os.close(masked)
    teller.tell("/another")
    os.close(masking)


def test_a_change_of_another_name_shortens_the_wait_for_the_next_look(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A command that makes one just before could double it."""
    queue, command, now_s = 7, 8, 100.0
    waits_ms: list[float] = []
    looks_s: list[float] = []

    def poll(wait_ms: float) -> list[tuple[int, int]]:
        nonlocal now_s
        waits_ms.append(wait_ms)
        if looks_s:
            return [(command, select.POLLIN)]
        now_s += 0.9 if len(waits_ms) == 1 else wait_ms / 1000
        return [(queue, select.POLLIN)] if len(waits_ms) == 1 else []

    poller = SimpleNamespace(register=lambda *_: None, poll=poll)
    monkeypatch.setattr(mask_keeper, "select", SimpleNamespace(poll=lambda: poller, POLLIN=select.POLLIN))
    monkeypatch.setattr(mask_keeper, "time", SimpleNamespace(monotonic=lambda: now_s))
    monkeypatch.setattr(inotify, "changed_names", lambda _: ["other"])
    monkeypatch.setattr(mask_keeper, "_watch_and_mask", lambda *_: looks_s.append(now_s))
    mask_keeper._serve(PLAN._replace(looks_again=True), queue, None, command, untold)
    assert [waits_ms, looks_s] == [pytest.approx([1000, 100, 1000]), pytest.approx([101])]
