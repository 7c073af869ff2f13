"""Keep nono's own state and profiles unreachable for a command, by every path that leads to them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from posixpath import join, normpath

from nono import paths
from nono.errors import NonoError
from nono.named_tuple import NamedTuple
from nono.policy.capability import Denial, Grant
from nono.policy.files.denials import denials_of
from nono.policy.files.grants import at_every_mount
from nono.policy.path_expansion import (
    Filesystem,
    ancestry,
    canonical_as_far,
    is_within,
    parent_resolved,
)

OWN_PROFILES = "nono's own profiles"


class StateRoot(NamedTuple):
    """A path of a directory that no sandbox may access."""

    spelled: str
    canonical: str
    path: str  # the canonical path or an alias: a link to it, or another mount of it


class OwnState(NamedTuple):
    """The locations of nono's state."""

    roots: tuple[StateRoot, ...]
    links: tuple[StateRoot, ...]  # symlinks leading there

    @property
    def paths(self) -> tuple[str, ...]:
        return tuple(root.path for root in self.roots)

    def refuse(self, grant: Grant, fs: Filesystem) -> None:
        """Raise NonoError if `grant` overlaps nono's state."""
        refuse_state_roots(grant, (*self.roots, *self.links) if grant.access.writes else self.roots, fs)

    def overlaps(self, grant: Grant, fs: Filesystem) -> bool:
        """Return True if refuse() would raise."""
        try:
            self.refuse(grant, fs)
        except NonoError:
            return True
        return False


def own_state(environ: Mapping[str, str], fs: Filesystem) -> OwnState:
    """Return where nono's state is, with every alias."""
    protected = paths.protected_roots(environ)
    return OwnState(tuple(_roots(protected, fs)), tuple(_links_on_the_way(protected, fs)))


def refuse_state_roots(grant: Grant, roots: Iterable[StateRoot], fs: Filesystem) -> None:
    """Raise NonoError if `grant` is inside a protected state root, or is a directory above one."""
    for granted in at_every_mount((grant,), fs):
        for root in roots:
            is_inside = is_within(granted.path, root.path)
            if is_inside or (granted.is_dir and is_within(root.path, granted.path)):
                also = "" if root.path == root.canonical else f", which another mount shows at '{root.path}'"
                raise NonoError(
                    f"Refusing to grant '{grant.path}' (source: {grant.source}) because it overlaps "
                    f"protected nono state root '{root.canonical}'{also}.",
                    hint=None if is_inside else "grant the directories inside it that the command needs",
                )


def own_denials(grants: Sequence[Grant], environ: Mapping[str, str], fs: Filesystem) -> Iterator[Denial]:
    """Deny nono's own profiles if a grant would let the command write the rules of the next run.

    Reading them changes nothing, so read grants are left alone.
    """
    written = [grant for grant in grants if grant.access.writes]
    denials = [
        denial for path in _configuration(environ, fs) for denial in denials_of(path, OWN_PROFILES, fs)
    ]
    places = [*at_every_mount(written, fs)]
    for denial in denials:
        if any(is_within(each.path, denial.path) or is_within(denial.path, each.path) for each in places):
            yield denial


def _configuration(environ: Mapping[str, str], fs: Filesystem) -> Iterator[str]:
    """Yield the configuration directories and their links, because the targets of these count too."""
    for config in paths.config_dirs(environ):
        yield config
        for directory in (config, join(config, "profiles")):
            for name in fs.names(directory):
                entry = fs.entry(path := join(directory, name))
                if entry is not None and entry.kind == "link":
                    yield path


def _roots(protected: Iterable[str], fs: Filesystem) -> Iterator[StateRoot]:
    for spelled in protected:
        canonical = canonical_as_far(spelled, fs)
        for path in (canonical, *fs.aliases(canonical, of_tree=True)):
            yield StateRoot(spelled, canonical, path)


def _links_on_the_way(targets: Iterable[str], fs: Filesystem) -> Iterator[StateRoot]:
    """Yield the symlinks leading to `targets`: replacing one decides where the next run looks."""
    names = {path for target in targets for path in ancestry(normpath(target))}
    for link in sorted(parent_resolved(name, fs) for name in names if _is_link(name, fs)):
        for path in (link, *fs.aliases(link)):
            yield StateRoot(link, link, path)


def _is_link(name: str, fs: Filesystem) -> bool:
    return fs.canonical(name) not in (None, parent_resolved(name, fs))
