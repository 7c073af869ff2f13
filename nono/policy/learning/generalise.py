"""Reduce the observed paths to few grants, none wider than the directories allowed during learning."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from posixpath import join

from nono.named_tuple import NamedTuple
from nono.policy.builtin.shipped import Group
from nono.policy.capability import Access, Grant
from nono.policy.files.denials import DenyRules
from nono.policy.files.grants import accesses, group_grants
from nono.policy.learning.observation import Need, Refused
from nono.policy.path_expansion import XDG, Filesystem, PathContext, canonical_as_far, is_within

DEPTH_MAX = 64  # components of a path
ALIKE_MIN = 3  # entries of one directory that are replaced by a grant of it
_PATTERN_CHARACTERS = frozenset("*?[]{}\\$")


class Bounds(NamedTuple):
    """The limits of what may be granted."""

    directories: tuple[Grant, ...]  # no grant of a directory lies above one of these
    home: str  # canonical, as are the next two
    workdir: str
    temporary: str
    deny_rules: DenyRules  # nothing they cover is granted either


class Additions(NamedTuple):
    """The grants a profile needs on top of the profiles it extends."""

    groups: tuple[str, ...] = ()
    workdir: Access | None = None
    allow: tuple[str, ...] = ()  # paths as a profile spells them
    read: tuple[str, ...] = ()
    write: tuple[str, ...] = ()
    allow_file: tuple[str, ...] = ()
    read_file: tuple[str, ...] = ()
    write_file: tuple[str, ...] = ()
    left_out: tuple[Refused, ...] = ()  # observed, but a profile cannot grant it


def generalise(
    needs: Iterable[Need], bounds: Bounds, groups: Sequence[Group], path_context: PathContext, fs: Filesystem
) -> Additions:
    """Return the smallest grants a person would write for `needs`, using the shipped `groups` that fit."""
    workdir: Access | None = None
    temporary: Access | None = None
    others: list[Need] = []
    for need in needs:
        if is_within(need.path, bounds.workdir):
            workdir = need.access.united(workdir or need.access)
        elif is_within(need.path, bounds.temporary):
            temporary = need.access.united(temporary or need.access)
        else:
            others.append(need)
    included, others = _by_groups(others, groups, path_context, fs)
    if temporary is Access.READ and bounds.temporary == "/tmp":
        included.append("linux_temp_read")
        temporary = None
    kept, left_out = [], []
    for need in others:
        reason = _unfit(need, bounds, fs)
        if reason is None:
            kept.append(need)
        else:
            left_out.append(Refused(need.path, need.access.value, reason))
    found = _grants(kept, bounds)
    if temporary is not None:
        found[bounds.temporary, True] = temporary

    def listed(access: Access, *, is_dir: bool) -> tuple[str, ...]:
        chosen = (path for (path, kind), held in found.items() if held is access and kind is is_dir)
        return tuple(sorted(spelled(path, bounds, path_context, fs) for path in chosen))

    return Additions(
        groups=tuple(sorted(included)),
        workdir=workdir,
        allow=listed(Access.READWRITE, is_dir=True),
        read=listed(Access.READ, is_dir=True),
        write=listed(Access.WRITE, is_dir=True),
        allow_file=listed(Access.READWRITE, is_dir=False),
        read_file=listed(Access.READ, is_dir=False),
        write_file=listed(Access.WRITE, is_dir=False),
        left_out=tuple(sorted(left_out)),
    )


def includable(
    groups: Iterable[Group],
    wide: frozenset[str],
    deny_rules: DenyRules,
    path_context: PathContext,
    fs: Filesystem,
) -> tuple[Group, ...]:
    """Return the groups usable for observed paths: of one runtime or tool, without anything sensitive."""

    def fits(grant: Grant) -> bool:
        is_narrow = grant.path not in wide and not is_within("/tmp", grant.path) and grant.path != "/run"
        return is_narrow and not any(is_within(denial.path, grant.path) for denial in deny_rules.denials)

    return tuple(
        group
        for group in groups
        if group.applies
        and not group.deny
        and (grants := list(group_grants([group], path_context, fs)))
        and all(map(fits, grants))
    )


def _by_groups(
    needs: list[Need], groups: Sequence[Group], path_context: PathContext, fs: Filesystem
) -> tuple[list[str], list[Need]]:
    """Return the groups that cover some of `needs`, and the needs that no group covers."""
    included: list[str] = []
    for group in groups:
        grants = list(group_grants([group], path_context, fs))
        left = [need for need in needs if not _covers(grants, need)]
        if len(left) < len(needs):
            included.append(group.name)
            needs = left
    return included, needs


def _covers(grants: Sequence[Grant], need: Need) -> bool:
    return accesses(grants, need.path) is need.access  # exactly: no group that grants more


def _unfit(need: Need, bounds: Bounds, fs: Filesystem) -> str | None:
    """Return the reason a profile cannot grant the path; None if it can."""
    path = need.path
    if not can_be_spelled(path):
        return "its name cannot be written in a profile"
    if bounds.deny_rules.covering(path) is not None:
        return "sensitive"
    if fs.canonical(path) != path or (fs.kind(path) == "dir") is not need.is_dir:
        return "it is not there any more, or something else is"
    if path.count("/") > DEPTH_MAX:
        return "it lies too deep"
    if need.is_dir and not _may_be_granted(path, need.access, bounds):
        return "too wide to be granted as a whole"
    return None


def can_be_spelled(path: str) -> bool:
    """Return True if a profile can spell `path` at all."""
    return path.isprintable() and _PATTERN_CHARACTERS.isdisjoint(path)


def _may_be_granted(directory: str, access: Access, bounds: Bounds) -> bool:
    held = accesses((grant for grant in bounds.directories if grant.is_dir), directory)
    return held is not None and held.covers(access)


def _grants(needs: Iterable[Need], bounds: Bounds) -> dict[tuple[str, bool], Access]:
    """Gather reads and writes separately, so that neither widens the other."""
    found: dict[tuple[str, bool], Access] = {}
    kept = list(needs)
    for access in (Access.READ, Access.WRITE):
        wanted = (
            (need.path, need.is_dir)
            for need in kept
            if (need.access.reads if access is Access.READ else need.access.writes)
        )
        for place in _gathered(wanted, access, bounds):
            found[place] = access.united(found.get(place, access))
    return found


class _Node:
    """A name in the tree of all paths used."""

    __slots__ = ("below", "is_file", "is_whole")

    def __init__(self) -> None:
        self.below: dict[str, _Node] = {}
        self.is_file = False
        self.is_whole = False  # the directory itself was listed, or its names changed


def _gathered(paths: Iterable[tuple[str, bool]], access: Access, bounds: Bounds) -> list[tuple[str, bool]]:
    """Return paths, each with True for a directory; one directory may replace several paths in it."""
    root = _Node()
    for path, is_dir in paths:
        node = root
        for name in path.split("/")[1:]:
            node = node.below.setdefault(name, _Node())
        if is_dir:
            node.is_whole = True
        else:
            node.is_file = True
    return list(_collapsed(root, "/", access, bounds))


def _collapsed(node: _Node, path: str, access: Access, bounds: Bounds) -> Iterator[tuple[str, bool]]:
    if node.is_whole:
        yield path, True
        return
    if node.is_file:
        yield path, False
        return
    below = [
        place
        for name, child in node.below.items()
        for place in _collapsed(child, join(path, name), access, bounds)
    ]
    if len(below) >= ALIKE_MIN and _may_be_granted(path, access, bounds):
        yield path, True
        return
    yield from below


def spelled(path: str, bounds: Bounds, path_context: PathContext, fs: Filesystem) -> str:
    """Spell `path` so that it works for another user and with relocated directories."""
    if path == bounds.temporary:
        return "$TMPDIR"
    for name in XDG:
        base = path_context.built_in(name)
        if base and path_context.environ.get(name) and is_within(path, canonical_as_far(base, fs)):
            return f"${name}" + path[len(canonical_as_far(base, fs)) :]
    home = canonical_as_far(path_context.home, fs)
    if home != "/" and is_within(path, home):
        return "~" + path[len(home) :]
    return path
