"""Which tests a guest runs. Emulated machines are slow: a start of nono takes seconds there."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

TASK = Path("/task.json")  # in a guest
USERS = ("user", "root")
MODULES = Path("/modules")  # in a guest, to be loaded in the order of their names

LISTENER = ("tests/kernel/test_listener.py", "tests/kernel/test_notify_releases.py")
LADDER = "tests/e2e/test_ladder.py::test_a_run_reaches_exactly_what_its_rung_leaves_open"
LIMITS = tuple(
    f"tests/attacks/test_limits.py::test_{name}"
    for name in (
        "a_command_that_takes_more_memory_than_it_may_is_killed[user-auto]",
        "nothing_gets_out_from_under_its_limits[user-auto]",
        "one_process_or_thread_more_than_there_may_be_is_not_started[user-threads]",
    )
)
NAMESPACES = tuple(
    f"tests/attacks/test_namespaces.py::test_{name}"
    for name in (
        "a_process_outside_is_not_there[user-auto]",
        "temporary_files_stay_inside[user-auto]",
        "what_is_granted_for_reading_in_tmp_cannot_be_written[user]",
        "another_terminal_of_the_user_cannot_be_opened[user---namespaces=auto]",
    )
)


@dataclass(frozen=True, slots=True)
class Task:
    """What one guest runs."""

    arguments: tuple[str, ...]  # of pytest
    user: str  # "user" or "root"
    limit_s: int  # the guest ends after that time in any case
    environment: Mapping[str, str] = field(default_factory=dict)

    def to_json(self) -> str:
        return json.dumps(asdict(self))


@dataclass(frozen=True, slots=True)
class Selection:
    """The tasks on each kernel, one for each user."""

    arguments: tuple[str, ...]
    limit_s: int
    users: tuple[str, ...] = USERS
    environment: Mapping[str, str] = field(default_factory=dict)

    @property
    def tasks(self) -> list[Task]:
        return [Task(self.arguments, user, self.limit_s, self.environment) for user in self.users]


ATTACKS = (
    "addresses",
    "exec_ways",
    "files",
    "foreign_calls",
    "lifetimes",
    "limits",
    "namespaces",
    "private_network",
    "races",
    "sends",
    "shared_state",
    "socket_calls",
    "steering",
    "supervisor",
)
SELECTIONS = {
    "short": Selection(
        (
            *LISTENER,
            *LIMITS,
            *NAMESPACES,
            *(f"{LADDER}[{cell}]" for cell in ("host-default", "host-default-netns")),
        ),
        300,
        ("user",),
    ),
    "full": Selection(
        (
            "tests/kernel",
            "tests/e2e/test_ladder.py",
            *(f"tests/attacks/test_{name}.py" for name in ATTACKS),
            # What is simulated is simulated here as well; what differs is this kernel itself.
            *("-k", "not test_ladder or host-default or notify-busy-default"),
        ),
        5400,
    ),
    "hunt": Selection(("tests/hunt/test_hunt.py",), 3600, environment={"HUNT_S": "180", "HUNT_SEED": "11"}),
}
