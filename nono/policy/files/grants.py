"""Turn the paths of groups, a profile and the command line into the grants of a run."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from posixpath import normpath

from nono.errors import ConfigError, NonoError
from nono.policy.builtin.shipped import Group
from nono.policy.capability import Access, Grant
from nono.policy.files.system.entries import PATTERN, entry_grants
from nono.policy.path_expansion import (
    CHILD_RELATIVE_DIRECTORIES,
    XDG,
    Filesystem,
    PathContext,
    ancestry,
    canonical_as_far,
    differs_by_process,
    is_child_relative,
    is_within,
    rule_path,
)
from nono.printable import shell_word

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Literal

type Wanted = Literal["dir", "file", "any"]

# Groups of shared temporary directories: if HOME lies in one, they would grant all of it.
_TEMPORARY_GROUPS = ("system_write_linux", "linux_temp_read")
# Settings in the home whose tools take a key from them too, though they keep it elsewhere (ADR 97).
_SETTINGS_GROUP = "group:user_tools"
_MAY_HOLD_KEY = (
    ".cargo/config",
    ".cargo/config.toml",
    ".config/hatch/config.toml",
    ".mvn/jvm.config",
    ".mvn/maven.config",
    ".pydistutils.cfg",
    ".yarnrc",
    "Gemfile",
)
# Files of a project in the home: in their names and sections words such as `token` tell of no key.
_MAY_HOLD_PASSWORD = (
    "Gemfile.lock",
    "package.json",
    "pyproject.toml",
    "setup.cfg",
    "tox.ini",
)


def group_grants(groups: Iterable[Group], path_context: PathContext, fs: Filesystem) -> Iterator[Grant]:
    """Yield the grants of groups for paths that exist. Raises NonoError if an entry does not expand."""
    for group in groups:
        lists = ((group.read, Access.READ), (group.write, Access.WRITE), (group.readwrite, Access.READWRITE))
        for texts, access in lists:
            for text in texts:
                path, source = path_context.of_group(text), f"group:{group.name}"
                if path.endswith(PATTERN):
                    yield from entry_grants(path.removesuffix(PATTERN), source, fs)
                    continue
                grant = _grant(path, access, source, fs)
                if grant is not None:
                    yield grant


def without_unsafe_temporary(
    grants: Iterable[Grant], path_context: PathContext, guarded: tuple[str, ...], fs: Filesystem
) -> tuple[list[Grant], list[str]]:
    """Drop grants of shared temporary directories that contain a guarded path; also returns warnings."""
    temporary = {canonical_as_far(path, fs) for path in ("/tmp", path_context.tmpdir)}
    sources = {f"group:{name}" for name in _TEMPORARY_GROUPS}
    kept, warnings = [], []
    for grant in grants:
        is_temporary = grant.source in sources and grant.path in temporary
        held = [path for path in guarded if is_within(path, grant.path)] if is_temporary else []
        if held:
            why = f"{held[0]} lies inside it" if held[0] != grant.path else f"it is a part of {guarded[0]}"
            warnings.append(f"{grant.path} is not granted: {why}.")
        else:
            kept.append(grant)
    return kept, [*dict.fromkeys(warnings)]  # several groups grant it, under two names


def without_keys(grants: Iterable[Grant], home: str, fs: Filesystem) -> tuple[list[Grant], list[Grant]]:
    """Return the grants of groups but those of settings that seem to hold a key, and these."""
    kept, dropped = list[Grant](), list[Grant]()
    for grant in grants:
        name = grant.original.removeprefix(f"{home}/") if grant.source == _SETTINGS_GROUP else ""
        is_kept_back = (name in _MAY_HOLD_KEY and _may_hold_key(fs.text(grant.path))) or (
            name in _MAY_HOLD_PASSWORD and _may_hold_password(fs.text(grant.path))
        )
        (dropped if is_kept_back else kept).append(grant)
    return kept, dropped


def _may_hold_key(text: str | None) -> bool:
    # Imported here, as below: few homes have such a file.
    from nono.policy.environment.secret_settings import settings_hold_key

    return text is None or settings_hold_key(text)


def _may_hold_password(text: str | None) -> bool:
    from nono.policy.environment.secret_values import secret_in

    return text is None or any(map(secret_in, text.splitlines()))


def requested_grant(
    original: str, access: Access, wanted: Wanted, source: str, fs: Filesystem
) -> Grant | None:
    """Return the grant of one path a person named; None if the path does not exist.

    original: absolute.
    wanted: the type: "dir" for directory flags, "file" for file flags and fields, "any" for profile
    directories.

    Raises ConfigError or NonoError if the path is of the other type.
    """
    grant = _grant(original, access, source, fs)
    if grant is None:
        return None
    if wanted == "dir" and fs.kind(grant.path) == "socket":
        raise ConfigError(
            f"'{original}' is a Unix socket, and this option takes a directory.",
            hint=f"--allow-unix-socket {shell_word(original)} lets the command connect to it",
        )
    if wanted == "dir" and not grant.is_dir:
        raise ConfigError(
            f"'{original}' is a file, and this option takes a directory.",
            hint=f"{file_flag(access)} {shell_word(original)}",
        )
    if wanted == "file" and grant.is_dir:
        raise NonoError(
            f"'{original}' is a directory, and this option takes a file.",
            hint=f"{directory_flag(access)} {shell_word(original)}",
        )
    return grant


def united(grants: Iterable[Grant]) -> tuple[Grant, ...]:
    """Merge grants to one per path with the union of their access, in order of first mention.

    A person's grant never narrows a group's on the same path, and gives the union its source.
    """
    by_path: dict[tuple[str, bool], Grant] = {}
    for grant in grants:
        key = (grant.path, grant.is_dir)
        known = by_path.get(key)
        if known is None:
            by_path[key] = grant
            continue
        survivor = grant if _rank(grant) < _rank(known) else known
        by_path[key] = survivor._replace(access=known.access.united(grant.access))
    return tuple(by_path.values())


def at_every_mount(grants: Iterable[Grant], fs: Filesystem) -> Iterator[Grant]:
    """Yield the grants, and each grant again for every other path at which a mount shows the same inode.

    A Landlock rule belongs to an inode, whatever path leads to it.
    """
    for grant in grants:
        yield grant
        for path in fs.aliases(grant.path):
            yield grant._replace(path=path)


def on_9p(grants: Iterable[Grant], fs: Filesystem) -> Iterator[str]:
    """Yield a warning for each 9P file system on which a person grants something.

    Its driver makes a file's inode anew once nothing has it open, and Landlock's rules belong to inodes.
    """
    holders = dict.fromkeys(fs.holder(grant.path) for grant in grants if grant.is_users)
    for holder in holders:
        if holder is None or holder.type != "9p":
            continue
        yield (
            f"{holder.point} is a 9P file system, as Windows drives are in WSL2: the kernel may forget what "
            "is granted there and answer Permission denied. Keep the project on a disk of Linux itself."
        )


def accesses(grants: Iterable[Grant], path: str) -> Access | None:
    """Return the total access that the grants give on `path`, which Landlock adds up; None for none."""
    total: Access | None = None
    for grant in covering(grants, path):
        total = grant.access if total is None else total.united(grant.access)
    return total


class GrantTable:
    """Grants by path: a lookup walks up from a path instead of trying all grants."""

    def __init__(self, grants: Iterable[Grant]) -> None:
        self._files: dict[str, Access] = {}
        self._directories: dict[str, Access] = {}
        for grant in grants:
            table = self._directories if grant.is_dir else self._files
            held = table.get(grant.path)
            table[grant.path] = grant.access if held is None else held.united(grant.access)

    def accesses(self, path: str) -> Access | None:
        """Return what accesses() does."""
        total = self._files.get(path)
        for each in ancestry(path):
            held = self._directories.get(each)
            if held is not None:
                total = held if total is None else total.united(held)
        return total


def covering(grants: Iterable[Grant], path: str) -> list[Grant]:
    """Return the grants that cover `path`, the most specific first."""
    upward = ancestry(path)
    found = [grant for grant in grants if grant.path in upward and (grant.is_dir or grant.path == path)]
    return sorted(found, key=lambda grant: len(grant.path), reverse=True)


def leaving(grants: Iterable[Grant]) -> list[Grant]:
    """Return the grants by which a command can leave something.

    Nothing stays in /dev/null, and the links in /dev/fd are the kernel's, for each process its own.
    """
    written = (grant for grant in grants if grant.access.writes and grant.path != "/dev/null")
    return [grant for grant in written if not differs_by_process(grant.path)]


def opens_too_much(path: str, path_context: PathContext, fs: Filesystem) -> bool:
    """Return True for a directory too wide to suggest: the root, a home directory, or a parent of one."""
    bases = filter(None, (path_context.home, *map(path_context.built_in, XDG)))
    return any(is_within(base, path) or is_within(canonical_as_far(base, fs), path) for base in bases)


def directory_flag(access: Access) -> str:
    return {Access.READ: "--read", Access.WRITE: "--write", Access.READWRITE: "--allow"}[access]


def file_flag(access: Access) -> str:
    return f"{directory_flag(access)}-file"


def _grant(original: str, access: Access, source: str, fs: Filesystem) -> Grant | None:
    path = rule_path(original, fs)
    if path is not None and is_child_relative(path):
        # Existence cannot be checked here: nono's own descriptors differ from the command's.
        return Grant(path, access, path in CHILD_RELATIVE_DIRECTORIES, source, path)
    kind = None if path is None else fs.kind(path)
    if path is None or kind is None:
        return None
    return Grant(path, access, kind == "dir", source, "/" + normpath(original).lstrip("/"))


def _rank(grant: Grant) -> int:
    return {"user": 0, "profile": 1}.get(grant.source, 2)
