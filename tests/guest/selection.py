"""Which tests a guest runs. Emulated machines are slow: a start of nono takes seconds there."""

from __future__ import annotations

from dataclasses import dataclass

LISTENER = ("tests/kernel/test_listener.py", "tests/kernel/test_notify_releases.py")
LADDER = "tests/e2e/test_ladder.py::test_a_run_that_can_be_held_starts_and_reaches_what_its_rung_leaves_open"


@dataclass(frozen=True, slots=True)
class Selection:
    """Arguments of pytest, and the seconds after which the guest ends all the same."""

    arguments: tuple[str, ...]
    limit_s: int


SELECTIONS = {
    "short": Selection(
        (
            *LISTENER,
            f"{LADDER}[host-default]",
            f"{LADDER}[host-default-netns]",
            "tests/attacks/test_sends.py",
        ),
        200,
    ),
    "full": Selection(
        (
            "tests/kernel",
            "tests/attacks",
            "tests/e2e/test_ladder.py",
            # What is simulated is simulated here as well; what differs is this kernel itself.
            "-k",
            "not test_ladder or host- or notify-busy-default",
        ),
        1500,
    ),
}
