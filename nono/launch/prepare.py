"""What is known of a run before it starts: its program, and how this kernel will hold it."""

import os
import stat
from collections.abc import Collection, Iterable
from typing import TYPE_CHECKING, NamedTuple

from nono.errors import NonoError, SandboxError
from nono.policy.capability import CapabilitySet
from nono.policy.resolve import Resolved
from nono.sandbox.facts import HostFacts
from nono.sandbox.plan import Enforcement, Refusal, choose_enforcement

if TYPE_CHECKING:
    from nono.supervisor.cgroup_place import Place


class Prepared(NamedTuple):
    """Everything about a run that can be known, and shown, before it starts."""

    resolved: Resolved
    facts: HostFacts
    enforcement: Enforcement
    program: str | None  # None: it was not looked for, as nothing will be started
    argv: tuple[str, ...]
    cgroups: "Place | None" = None  # where its limits will be held, if it has any

    @property
    def capabilities(self) -> CapabilitySet:
        return self.resolved.capabilities


def enforcement_of(capabilities: CapabilitySet, facts: HostFacts) -> Enforcement:
    """As choose_enforcement, with the refusal as the error that ends the command."""
    chosen = choose_enforcement(capabilities, facts)
    if isinstance(chosen, Refusal):
        raise SandboxError(chosen.message, hint=chosen.hint)
    return chosen


def make_directories(missing: Iterable[str]) -> None:
    """The command's own state directories, for its user alone. NonoError when one cannot be made."""
    for path in missing:
        try:
            os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
            # It was not there when the policy was made: what is there now may lead anywhere.
            os.mkdir(path, 0o700)
        except OSError as error:
            raise NonoError(
                f"the state directory '{path}' cannot be made: {error.strerror}",
                hint=f"mkdir -p {path}",
            ) from error


def place_of_limits(capabilities: CapabilitySet, ours: Collection[int]) -> "Place":
    """Where a cgroup for the command can be made. SandboxError: nowhere.

    ours: this process, and those of its own that are no part of the command yet.
    """
    # Imported here: few runs have limits.
    from nono.policy.limits import refuse_lifting
    from nono.supervisor import cgroup, cgroup_place

    limits = capabilities.limits
    place = cgroup_place.choose(cgroup.look(ours), limits.controllers)
    if isinstance(place, cgroup_place.Unavailable):
        raise SandboxError(
            f"limits (--memory, --max-processes) need a cgroup v2 of nono's own: {place.cause}.",
            hint=place.remedy,
        )
    for mounted in place.mounted:
        refuse_lifting(limits, capabilities.grants, mounted)
    return place


def program_of(resolved: Resolved, name: str, search_path: str) -> str:
    """find_program, unless nono has been told not to start one of that name."""
    resolved.commands.refuse(name)
    return find_program(name, search_path, resolved.capabilities.workdir)


def find_program(name: str, search_path: str, workdir: str) -> str:
    """The absolute path that execvp(3) would execute. NonoError when there is none."""
    if "/" in name:
        candidates = [os.path.join(workdir, name)]
    else:
        candidates = [
            os.path.join(part, name) for part in search_path.split(os.pathsep) if os.path.isabs(part)
        ]
    for candidate in candidates:
        if _is_executable(candidate):
            return os.path.normpath(candidate)
    if "/" not in name:
        where = "not found on PATH"
    elif os.path.lexists(candidates[0]):
        where = "not an executable file"
    else:
        where = "no such file"
    raise NonoError(f"Command execution failed: {name}: {where}")


def _is_executable(path: str) -> bool:
    try:
        return stat.S_ISREG(os.stat(path).st_mode) and os.access(path, os.X_OK)
    except OSError:
        return False
