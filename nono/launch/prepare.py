"""Find out everything that can be known before a run: its program, and how the kernel will enforce it."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Collection, Iterable, Sequence

from nono.errors import NonoError, SandboxError, UsageError
from nono.named_tuple import NamedTuple
from nono.policy.capability import CapabilitySet, Grant, NetworkMode, SandboxPolicy
from nono.policy.resolve import Resolved
from nono.printable import shell_word
from nono.sandbox.command import Command
from nono.sandbox.plan.enforcement import Enforcement, Refusal
from nono.sandbox.plan.facts import HostFacts
from nono.sandbox.plan.ladder import choose_enforcement
from nono.sandbox.plan.namespaces_verdict import with_namespaces, without_supervisor

TYPE_CHECKING = False
if TYPE_CHECKING:
    from nono.sandbox.launcher import Probe
    from nono.supervisor.limits.placement import Place

_REFUSED = (errno.EROFS, errno.EACCES, errno.EPERM)
# Directories of a user's programs, below the home.
_OF_USERS = (".local/bin", "bin", ".cargo/bin", "go/bin", ".npm-global/bin", ".opencode/bin")
# Commands of shells that are no programs, or not everywhere.
_OF_SHELLS = frozenset(
    """alias bg cd declare eval exec export fg jobs let local popd pushd read readonly set shift shopt
    source trap type typeset ulimit umask unalias unset wait""".split()  # noqa: SIM905 - reads better than a list
)
_OTHER_HOME = "you cannot create anything there; HOME=DIR nono ... uses another home, for the command too"


class Prepared(NamedTuple):
    """Everything about a run that can be known, and shown, before it starts."""

    resolved: Resolved
    facts: HostFacts
    enforcement: Enforcement
    program: str | None  # None: not looked up, because nothing will be started
    argv: tuple[str, ...]
    cgroups: Place | None = None  # where its cgroup goes, if it has limits

    @property
    def capabilities(self) -> CapabilitySet:
        return self.resolved.capabilities

    def command(self, environment: dict[str, str]) -> Command:
        """Return the command, to be started with `environment`."""
        assert self.program is not None  # or it was a dry run
        spelled = self.resolved.path_context.workdir
        # As a shell has it: without "." and "..".
        is_kept = os.path.normpath(spelled) == spelled and "PWD" not in dict(self.resolved.environment.fixed)
        return Command(
            self.program, self.argv, environment, self.capabilities.workdir, spelled if is_kept else None
        )


def probe_for(capabilities: CapabilitySet) -> Probe:
    """Return what has to be probed to choose the enforcement."""
    # Imported here: a wrap has no launcher.
    from nono.sandbox.launcher import Probe

    policy = capabilities.sandbox_policy
    chooses_rung = capabilities.network is NetworkMode.PROXY and policy in (
        SandboxPolicy.AUTO,
        SandboxPolicy.NETNS,
    )
    is_served = capabilities.wants_opens_served or capabilities.wants_sockets_served
    return Probe(chooses_rung or is_served, policy is SandboxPolicy.NETNS)


def enforcement_of(capabilities: CapabilitySet, facts: HostFacts, *, is_supervised: bool) -> Enforcement:
    """Choose the enforcement, like choose_enforcement. Raises SandboxError on a refusal."""
    chosen = choose_enforcement(capabilities, facts)
    if not isinstance(chosen, Refusal):
        if is_supervised:
            chosen = with_namespaces(chosen, capabilities, facts.own_namespaces)
        else:
            chosen = without_supervisor(chosen, capabilities.namespaces)
    if isinstance(chosen, Refusal):
        raise SandboxError(chosen.message, hint=chosen.hint)
    return chosen


def ready_state_directories(grants: Iterable[Grant]) -> None:
    """Create missing state directories, parents included, with mode 0700.

    Raises NonoError if one cannot be created, or could be another user's link that redirects the command.
    """
    for grant in grants:
        try:
            if not os.path.lexists(grant.path):
                os.makedirs(grant.path, mode=0o700, exist_ok=True)  # another run may make it now
            found = os.lstat(grant.path)
            # The path was canonical when the policy was resolved, so a link is new and may lead anywhere.
            if not stat.S_ISDIR(found.st_mode) or _may_be_of_somebody_else(grant.original):
                raise NonoError(
                    f"the state directory '{grant.original}' is not a directory of your own.",
                    hint="remove it, and nono makes another",
                )
        except OSError as error:
            raise NonoError(
                f"the state directory '{grant.path}' cannot be made: {error.strerror}",
                hint=_OTHER_HOME if error.errno in _REFUSED else f"mkdir -p {shell_word(grant.path)}",
            ) from error


def _may_be_of_somebody_else(path: str) -> bool:
    """Check for another user's entry or a link in a directory that everybody may write to, such as /tmp."""
    found, beside = os.lstat(path), os.stat(os.path.dirname(path))
    is_own = stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid()
    return bool(beside.st_mode & 0o002) and not is_own


def place_of_limits(capabilities: CapabilitySet, ours: Collection[int]) -> Place:
    """Return where a cgroup for the command can be created. Raises SandboxError if nowhere.

    ours: Pids of this process and of its children that are not part of the command yet.
    """
    # Imported here: few runs have limits.
    from nono.policy.limits import refuse_lifting
    from nono.supervisor.limits import cgroup, placement

    limits = capabilities.limits
    place = placement.choose(cgroup.look(ours), limits.controllers)
    if isinstance(place, placement.Unavailable):
        raise SandboxError(
            f"limits (--memory, --max-processes) need a cgroup v2 of nono's own: {place.cause}.",
            hint=place.remedy,
        )
    for mounted in place.mounted:
        refuse_lifting(limits, capabilities.grants, mounted)
    return place


def program_of(resolved: Resolved, name: str, search_path: str) -> str:
    """Find the program. Raises NonoError as find_program() does, or if the policy says not to start it.

    A path is relative to where the command starts.
    """
    resolved.commands.refuse(name)
    starts_in, workdir = resolved.capabilities.workdir, resolved.path_context.workdir
    try:
        return find_program(name, search_path, starts_in)
    except NonoError as error:
        is_relative = "/" in name and not name.startswith("/")
        if is_relative and starts_in != workdir and os.path.lexists(os.path.join(workdir, name)):
            raise NonoError(
                f"Command execution failed: {name}: the working directory is not shared, so the command "
                f"would start in {starts_in}",
                hint=f"--read {shell_word(workdir)}" if resolved.workdir_offer is None else "--allow-cwd",
            ) from error
        if error.hint is None and (hint := _in_home(name, resolved.path_context.home)) is not None:
            raise NonoError(error.message, hint=hint) from error
        raise


def _in_home(name: str, home: str) -> str | None:
    """Return a hint if a directory has the program that settings of a shell put on PATH.

    A job of cron, a service and a command given to ssh start without those settings.
    """
    for below in _OF_USERS if "/" not in name else ():
        if _is_executable(os.path.join(home, below, name)):
            put = shell_word(f"PATH={os.path.join(home, below)}:") + '"$PATH"'
            return f"your shell may find it in ~/{below}, which is not on PATH here: env {put} nono ..."
    return None


def find_program(name: str, search_path: str, workdir: str) -> str:
    """Return the absolute path that execvp(3) would execute. Raises NonoError if there is none."""
    if not name:
        raise UsageError(
            "COMMAND: its first word is empty.",
            hint='an unset variable in quotes, as in "$NAME", is an empty word',
        )
    if "/" in name:
        candidates = [os.path.join(workdir, name)]
    else:
        candidates = [
            os.path.join(part, name) for part in search_path.split(os.pathsep) if os.path.isabs(part)
        ]
    for candidate in candidates:
        if _is_executable(candidate):
            return os.path.normpath(candidate)
    reason, hint = _why_none(name, candidates, workdir)
    raise NonoError(
        f"Command execution failed: {name}: {reason}", hint=hint or _passed_over(name, search_path, workdir)
    )


def _passed_over(name: str, search_path: str, workdir: str) -> str | None:
    """Return a hint if a relative part of PATH has the program. It is not searched: any directory could."""
    for part in search_path.split(os.pathsep) if "/" not in name else ():
        if part and not os.path.isabs(part) and _is_executable(os.path.join(workdir, part, name)):
            there = os.path.join(".", part, name)
            return f"nono searches no relative part of PATH, such as {part}: {shell_word(there)} names it"
    return None


def _why_none(name: str, candidates: Sequence[str], workdir: str) -> tuple[str, str | None]:
    """Return why none of the candidates is a program, and what would help."""
    if "/" not in name:
        there = next(filter(os.path.isfile, candidates), None)
        if there is not None:
            flaw, hint = _flaw(there, there)
            return f"not found on PATH; {there} {flaw}", hint
        if name.startswith("-"):
            return "not found on PATH", "what stands after -- is the command; options of nono stand before it"
        if name.partition("=")[0].isidentifier() and "=" in name and " " not in name:
            return "not found on PATH", f"it sets a variable, as shells do: env {shell_word(name)} COMMAND"
        if name == "cd":
            return "not found on PATH", "it is a part of shells: --workdir DIR says where the command starts"
        if name in _OF_SHELLS:
            return "not found on PATH", f"it is a part of shells: bash -c '{name} ...'"
        quoted = f"quotes make it one name: leave them out, or sh -c {shell_word(name)}"
        is_here = os.path.isfile(os.path.join(workdir, name))
        here = f"./{shell_word(name)} is the one in this directory" if is_here else None
        return "not found on PATH", quoted if " " in name.strip() else here
    try:
        os.stat(candidates[0])
    except FileNotFoundError:
        return ("a link that leads nowhere" if os.path.islink(candidates[0]) else "no such file"), None
    except OSError as error:
        return f"{error.strerror}, outside the sandbox too", None
    flaw, hint = _flaw(candidates[0], name)
    return f"it {flaw}", hint


def _flaw(path: str, name: str) -> tuple[str, str | None]:
    """Return what keeps a file that is there from being a program, and what would help."""
    if os.path.isdir(path):
        return "is a directory", None
    if not os.path.isfile(path):
        return "is not a regular file", None
    if os.statvfs(path).f_flag & os.ST_NOEXEC:
        return "is on a file system that is mounted noexec", "copy it to another"
    return "is not executable", f"chmod +x {shell_word(name)}"


def _is_executable(path: str) -> bool:
    try:
        return stat.S_ISREG(os.stat(path).st_mode) and os.access(path, os.X_OK)
    except OSError:
        return False
