"""Which tests a guest runs. Emulated machines are slow: a start of nono takes seconds there."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

TASK = Path("/task.json")  # in a guest
USERS = ("user", "root")
MODULES = Path("/modules")  # in a guest, to be loaded in the order of their names

RELEASES = "tests/kernel/test_notify_releases.py"
LISTENER = (
    "tests/kernel/test_listener.py",
    RELEASES,
    # Half a minute in a guest, and about nono's own order of calls, which `make test` shows.
    f"--deselect={RELEASES}::test_no_signal_makes_a_sent_descriptor_the_number_0",
)
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
DEVICES = "tests/kernel/test_devices.py"  # which Landlock does not hold before V5
# Each kernel has the gates of its machine.
GATES = tuple(
    f"tests/attacks/test_foreign_calls.py::test_{name}"
    for name in (
        "a_foreign_system_call_table_is_refused[user-x32]",
        "a_program_of_32_bit_arm_is_refused_every_call[user]",
        "a_program_of_32_bit_arm_reaches_the_stranger_without_nono[user]",
    )
)


@dataclass(frozen=True, slots=True)
class Task:
    """What one guest runs."""

    arguments: tuple[str, ...]  # of pytest
    user: str  # "user" or "root"
    limit_s: int  # the guest ends after that time in any case
    environment: Mapping[str, str] = field(default_factory=dict)
    # A second one doubles the cost of a process: each change of its memory then stops the other one.
    processors: int = 1

    def to_json(self) -> str:
        return json.dumps(asdict(self))


ATTACKS = (
    "addresses",
    "exec_ways",
    "files",
    "foreign_calls",
    "lifetimes",
    "limits",
    "namespaces",
    "past_landlock",
    "private_network",
    "sends",
    "shared_state",
    "socket_calls",
    "steering",
    "supervisor",
)
# What is simulated is simulated here as well; what differs is this kernel itself.
OWN_RUNGS = ("-k", "not test_ladder or host-default or notify-busy-default")
# On one processor the two sides of a race alternate only when one of them is preempted.
RACES = "tests/attacks/test_races.py"
SHORT_LADDER = tuple(f"{LADDER}[{cell}]" for cell in ("host-default", "host-default-netns"))
FULL = (
    "tests/kernel",
    "tests/e2e/test_ladder.py",
    *(f"tests/attacks/test_{name}.py" for name in ATTACKS),
    *OWN_RUNGS,
)
HUNT = {"HUNT_S": "180", "HUNT_SEED": "11"}
SELECTIONS = {
    "short": (Task((*LISTENER, *LIMITS, *NAMESPACES, DEVICES, *GATES, *SHORT_LADDER), "user", 600),),
    # Numbers and registers of calls, structures, gates, one run: the rest is alike on all machines.
    "machine": (Task((*LISTENER, NAMESPACES[0], *GATES, SHORT_LADDER[0]), "user", 600),),
    "full": (
        *(Task(FULL, user, 5400) for user in USERS),
        *(Task((RACES,), user, 1800, processors=2) for user in USERS),
    ),
    "hunt": tuple(Task(("tests/hunt/test_hunt.py",), user, 3600, HUNT) for user in USERS),
}
