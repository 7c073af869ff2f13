"""Parse memory and process limits, which a command shares with everything it starts."""

from __future__ import annotations

from collections.abc import Iterable

from nono.errors import SandboxError, UsageError
from nono.policy.capability import Grant, Limits
from nono.policy.path_expansion import is_within

CGROUP_ROOT = "/sys/fs/cgroup"
MEMORY_MIN = 1 << 20  # bytes; too little for any program, usually a forgotten unit
MEMORY_MAX = (1 << 63) - 1  # the kernel treats values from here on as "no limit"
PROCESSES_MAX = 1 << 22  # PID_MAX_LIMIT, also the largest number pids.max accepts
DIGITS_MAX = 19  # of MEMORY_MAX

PREFIXES = tuple(enumerate("KMGT", start=1))
# Upper-case suffix of a number -> bytes.
UNITS: dict[str, int] = (
    {"": 1, "B": 1}
    | {f"{letter}{ending}": 1024**power for power, letter in PREFIXES for ending in ("", "I", "IB")}
    | {f"{letter}B": 1000**power for power, letter in PREFIXES}
)


def limits_of(memory: str | None, max_processes: str | None) -> Limits:
    """Parse --memory and --max-processes; None means the flag was not given.

    Raises UsageError if `memory` is not a size or `max_processes` is not a number.
    """
    return Limits(
        None if memory is None else memory_size(memory),
        None if max_processes is None else process_count(max_processes),
    )


def memory_size(text: str) -> int:
    """Parse a size such as 512M into bytes: a whole number and a unit, in either case.

    Raises UsageError if `text` is malformed, below 1 MiB or more than MEMORY_MAX.
    """
    digits = text.rstrip("BIKMGTbikmgt")
    unit = UNITS.get(text[len(digits) :].upper())
    if not (digits.isascii() and digits.isdecimal()) or unit is None:
        raise UsageError(
            f"--memory '{text}' is not a size: a whole number and a unit are expected.",
            hint="K, M, G and T (or KiB, MiB, ...) count in 1024s; KB, MB, GB and TB in 1000s: --memory 512M",
        )
    if len(digits.lstrip("0")) > DIGITS_MAX or (size := int(digits) * unit) > MEMORY_MAX:
        raise UsageError(f"--memory '{text}' is more than any machine can have.")
    if size < MEMORY_MIN:
        hint = f"did you mean {int(digits)}M?" if size else "leave --memory out for no limit"
        raise UsageError(f"--memory '{text}' is less than 1 MiB, in which nothing runs.", hint=hint)
    return size


def process_count(text: str) -> int:
    """Parse a process limit. Raises UsageError unless it is a number from 1 to PROCESSES_MAX."""
    is_number = text.isascii() and text.isdecimal() and len(text.lstrip("0")) <= len(str(PROCESSES_MAX))
    if not is_number or not 1 <= int(text) <= PROCESSES_MAX:
        raise UsageError(f"--max-processes '{text}' is not a number from 1 to {PROCESSES_MAX}.")
    return int(text)


def shown_size(size: int) -> str:
    """Format bytes for a person, e.g. "512 MiB", rounded down to a tenth of a unit."""
    for power, letter in reversed(PREFIXES):
        if size >= 1024**power:
            whole, tenth = divmod(size * 10 // 1024**power, 10)
            return f"{whole}.{tenth} {letter}iB" if tenth else f"{whole} {letter}iB"
    return f"{size} bytes"


def refuse_lifting(limits: Limits, grants: Iterable[Grant], cgroups: str = CGROUP_ROOT) -> None:
    """Raise SandboxError if limits are set and a grant would let the command lift them in the cgroup files.

    `cgroups` is the cgroup mount point.
    """
    if not limits.is_set:
        return
    for grant in grants:
        if grant.access.writes and (is_within(grant.path, cgroups) or is_within(cgroups, grant.path)):
            raise SandboxError(
                f"the grant to write '{grant.original}' (source: {grant.source}) reaches {cgroups}, where "
                "the command could lift its own limits.",
                hint="grant it for reading, leave it out, or leave out --memory and --max-processes",
            )
