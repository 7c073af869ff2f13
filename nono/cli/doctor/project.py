"""Judge what a project needs, which profiles provide it, and what in it needs attention."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from nono.cli.doctor.finding import Finding, Mark
from nono.cli.doctor.hosts_named import hosts_named
from nono.named_tuple import NamedTuple
from nono.policy.environment.secret_names import is_switch, says_secret
from nono.policy.environment.secret_values import secret_in
from nono.policy.git.settings import is_too_large, programs_of
from nono.policy.hosts.host_filter import as_entry
from nono.policy.profile.detection import AGENTS, detected, programs, without_profile
from nono.printable import enumerated

_FOR_HOOKS = ("pre-commit", "lefthook")  # needed once git has a hook that starts them
_SHOWN = 5


class Project(NamedTuple):
    """What was read of a project, and of the machine because of it."""

    names: frozenset[str]  # at the top of the project
    texts: Mapping[str, str] = {}  # by name: the files in hosts_named.FILES
    env_files: Mapping[str, str | None] = {}  # .env and its like, by name; None: too large
    hooks: tuple[str, ...] = ()  # git hooks that would run
    git_settings: str = ""  # the text of .git/config
    installed: frozenset[str] = frozenset()  # programs on PATH, out of those that projects and agents need
    readers: Mapping[str, str] = {}  # the service of each client that reads its key from a variable
    below: Mapping[str, frozenset[str]] = {}  # what the directories at the top hold, by name


def command_of(project: Project) -> tuple[str, ...]:
    """Return the words after `nono` that run an agent, or a shell, with the profiles for the project.

    Only profiles are used: the other names in its files may come from somebody who wants them granted.
    """
    agent = next((program for program in AGENTS if program in project.installed), None)
    profiles = [*([AGENTS[agent]] if agent else []), *_profiles(project)]
    if not profiles:
        return ("run", "--allow", ".", "--", "sh")
    return ("run", "-p", ",".join(profiles), "--allow-cwd", "--", agent or "sh")


def project_findings(project: Project, reaches: Callable[[str], bool]) -> Iterator[Finding]:
    """Yield the findings. `reaches`: says whether the run of command_of() may reach a host."""
    yield from _toolchains(project)
    yield from _programs(project)
    yield from _hosts(project, reaches)
    yield from _git(project)
    yield from _env_files(project)


def _profiles(project: Project) -> Mapping[str, str]:
    """Return the profiles that the files at the top suggest, or else those one level below, as in a monorepo.

    Beside files at the top, those below often belong to documentation or examples.
    """
    if (at_top := detected(project.names)) or without_profile(project.names):
        return at_top
    found: dict[str, str] = {}
    for directory, names in project.below.items():
        for profile, marker in detected(names).items():
            found.setdefault(profile, f"{directory}/{marker}")
    return found


def _toolchains(project: Project) -> Iterator[Finding]:
    found = _profiles(project)
    for profile, marker in found.items():
        yield Finding("profile", Mark.OK, f"{profile} has the toolchain that {marker} asks for")
    for toolchain, marker in without_profile(project.names).items():
        yield Finding(
            "profile",
            Mark.WARN,
            f"{marker} asks for {toolchain}, for which nono ships no profile",
            "nono learn -o NAME -- COMMAND writes one from what a command does",
        )
    if not found and not without_profile(project.names):
        yield Finding("profile", Mark.OK, "no file here asks for a toolchain")


def _programs(project: Project) -> Iterator[Finding]:
    for program, marker in programs(project.names).items():
        if program in project.installed:
            yield Finding("program", Mark.OK, f"{program}, for {marker}, is installed")
        else:
            is_needed = program not in _FOR_HOOKS or bool(project.hooks)
            meaning = f"{marker} asks for {program}, which is not on PATH"
            mark = Mark.MISSING if is_needed else Mark.WARN
            yield Finding("program", mark, meaning, f"install {program}")


def _hosts(project: Project, reaches: Callable[[str], bool]) -> Iterator[Finding]:
    named = hosts_named(project.texts)
    within = [host for host in named if reaches(host)]
    if within:
        yield Finding("hosts", Mark.OK, f"the run below may reach {', '.join(within)}")
    for host, name in named.items():
        if host not in within:
            meaning = f"{name} names {host}, which the run below may not reach"
            remedy = f"if you trust it, add --allow-domain {as_entry(host, 443)}"
            yield Finding("hosts", Mark.WARN, meaning, remedy)


def _git(project: Project) -> Iterator[Finding]:
    if project.hooks:
        meaning = f"git runs {enumerated(project.hooks, _SHOWN)} inside, with what the run is granted"
        yield Finding("git hooks", Mark.OK, meaning)
    if is_too_large(project.git_settings):
        meaning = ".git/config is too large to tell what git runs by it, outside as well"
        yield Finding("git settings", Mark.WARN, meaning, "look at it: git config --local --edit")
        return
    settings = tuple(dict.fromkeys(name for name, _ in programs_of(project.git_settings)))
    if settings:
        yield Finding(
            "git settings",
            Mark.WARN,
            f".git/config has git run programs, outside as well: {enumerated(settings, _SHOWN)}",
            "if these are not yours: git config --local --edit",
        )


def _env_files(project: Project) -> Iterator[Finding]:
    for name, text in project.env_files.items():
        remedy = f'deny it in a profile: "filesystem": {{"deny": ["$WORKDIR/{name}"]}}'
        if text is None:
            yield Finding("env file", Mark.WARN, f"{name} is too large to look for secrets in", remedy)
            continue
        secrets = _secrets(text)
        if not secrets:
            continue
        services = sorted({project.readers[each] for each in secrets if each in project.readers})
        if services:
            keys = " and ".join(f"nono credential set {service}" for service in services)
            flags = " ".join(f"--credential {service}" for service in services)
            remedy = f"{keys}, take the key out of the file, and add {flags}; or {remedy}"
        read = f"the run can read {enumerated(secrets, _SHOWN)} in {name}"
        yield Finding("env file", Mark.WARN, read, remedy)


def _secrets(text: str) -> tuple[str, ...]:
    """Return the names of the variables in an .env file that hold a secret."""
    found = []
    for line in text.splitlines():
        name, equals, value = line.strip().removeprefix("export ").partition("=")
        name, value = name.strip(), value.strip().strip("'\"")
        if not equals or not name.isidentifier() or not name.isascii() or is_switch(value):
            continue
        if says_secret(name, value) or secret_in(value) is not None:
            found.append(name)
    return tuple(dict.fromkeys(found))
