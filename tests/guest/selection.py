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


ATTACKS = (
    "addresses",
    "exec_ways",
    "files",
    "foreign_calls",
    "lifetimes",
    "private_network",
    "races",
    "sends",
    "socket_calls",
    "supervisor",
)
SELECTIONS = {
    "short": Selection(
        (*LISTENER, *(f"{LADDER}[{cell}]" for cell in ("host-default", "host-default-netns"))), 200
    ),
    "full": Selection(
        (
            "tests/kernel",
            "tests/e2e/test_ladder.py",
            *(f"tests/attacks/test_{name}.py" for name in ATTACKS),
            # What is simulated is simulated here as well; what differs is this kernel itself.
            *("-k", "not test_ladder or host-default or notify-busy-default"),
        ),
        2400,
    ),
}
