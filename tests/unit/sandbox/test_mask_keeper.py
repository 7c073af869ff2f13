"""After which change the mask keeper looks at its masks again."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator

import pytest

from nono.kernel import inotify
from nono.sandbox import mask_keeper
from nono.sandbox.plan.enforcement import StaticFilter
from nono.sandbox.plan.plan import MaskRule, SandboxPlan

PLAN = SandboxPlan(
    *(1, 0, 0, 0, (), (), (), StaticFilter.OPEN_NET, None),
    masks=(MaskRule("/home/ada/secret", "file"),),
    unmasked=("/home/ada/absent",),
    pinned=("/home/ada",),
)


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
    monkeypatch.setattr(mask_keeper, "_watch_and_mask", lambda plan, _: looked.append(plan))
    os.write(changes, b"-")
    mask_keeper._serve(PLAN, queue, command)
    assert looked == ([PLAN] if looks else [])
    for descriptor in (queue, changes, command, ends):
        os.close(descriptor)


def test_what_changes_without_an_event_is_looked_at_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    queue, changes = os.pipe()
    command, ends = os.pipe()
    looked: list[SandboxPlan] = []

    def look(plan: SandboxPlan, _: int) -> None:
        looked.append(plan)
        if len(looked) == 2:
            os.write(ends, b"-")

    monkeypatch.setattr(mask_keeper, "AGAIN_S", 0.001)
    monkeypatch.setattr(mask_keeper, "_watch_and_mask", look)
    served = PLAN._replace(looks_again=True)
    mask_keeper._serve(served, queue, command)
    assert looked == [served, served]
    for descriptor in (queue, changes, command, ends):
        os.close(descriptor)


def test_changes_of_other_names_do_not_put_the_next_look_off(monkeypatch: pytest.MonkeyPatch) -> None:
    queue, changes = os.pipe()
    command, ends = os.pipe()
    looked: list[SandboxPlan] = []

    def look(plan: SandboxPlan, _: int) -> None:
        looked.append(plan)
        os.write(ends, b"-")

    until = time.monotonic() + 5

    def changed_names(_: int) -> Iterator[str | None]:  # of a queue that never runs empty
        assert time.monotonic() < until, "no look"
        yield "other"

    monkeypatch.setattr(mask_keeper, "AGAIN_S", 0.001)
    monkeypatch.setattr(mask_keeper, "_watch_and_mask", look)
    monkeypatch.setattr(inotify, "changed_names", changed_names)
    served = PLAN._replace(looks_again=True)
    os.write(changes, b"-")
    mask_keeper._serve(served, queue, command)
    assert looked == [served]
    for descriptor in (queue, changes, command, ends):
        os.close(descriptor)
