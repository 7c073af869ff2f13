"""Keep links that a command planted, or that a repository contains, from redirecting grants.

A link counts as planted by a command if it is where this run or a shipped group may write, and as part of a
repository if an entry that begins in $WORKDIR leaves $WORKDIR through it. Other links belong to the user:
~/.cache on another disk, dotfiles kept in one place, /bin. Behind these, where another run may write, a link
leads no further than the working tree around it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from posixpath import dirname, isabs, join

from nono.errors import NonoError, SandboxError
from nono.named_tuple import NamedTuple
from nono.policy.builtin import shipped
from nono.policy.capability import Grant
from nono.policy.files.grants import accesses, at_every_mount, directory_flag, file_flag, opens_too_much
from nono.policy.path_expansion import (
    Filesystem,
    PathContext,
    canonical_as_far,
    is_child_relative,
    is_within,
)
from nono.policy.socket_grant import SocketGrant

_STORE = "/nix/store"  # nothing changes there
_LINKS_MAX = 40  # as in path_resolution(7)


class Way(NamedTuple):
    """The requested path of an entry, whose links are examined one by one."""

    path: str  # absolute, with links not followed, except that it begins with the canonical $WORKDIR
    stays_in: str | None = None  # the canonical $WORKDIR, for an entry of a profile that begins there
    is_typed: bool = True  # by a person for this run; False: an entry of a profile or group


class Planted(NamedTuple):
    """A link that must not be followed."""

    link: str
    leads_to: str  # including the rest of the path
    reason: str

    def __str__(self) -> str:
        return f"'{self.link}' is a link that leads to '{self.leads_to}', and {self.reason}"


type Asked[AnyGrant: (Grant, SocketGrant)] = tuple[AnyGrant, Way]


def way_of_profile(text: str, path: str, path_context: PathContext, workdir: str) -> Way:
    """Return the Way of an entry that expands to `path`, or of one match of it. workdir: canonical."""
    if not path_context.begins_in_workdir(text):
        return Way(path, is_typed=False)
    return Way(join(workdir, path[len(path_context.workdir) :].lstrip("/")), workdir, is_typed=False)


class LinkGuard:
    """Judges the links in the paths that one run asks for."""

    def __init__(self, asked: Iterable[Asked[Grant]], path_context: PathContext, fs: Filesystem) -> None:
        """asked: Everything that this run may be granted."""
        self._context = path_context
        self._fs = fs
        self._known: dict[str, tuple[str, ...]] = {}
        self._written: list[str] = []
        self._shipped: list[str] | None = None
        grants = [(grant, way) for grant, way in asked if grant.access.writes and grant.is_dir]
        self._add(grant for grant, way in grants if not self._links(way))
        self._add([grant for grant, way in grants if self._links(way) and self.planted(way) is None])

    def planted(self, way: Way) -> Planted | None:
        """Return the first link in the path that must not be followed."""
        for link in self._links(way):
            if self._may_be_laid(link):
                reason = "a command could have made it"
            elif way.stays_in is not None and self._leaves(link, way.stays_in):
                reason = f"it leaves {way.stays_in}"
            elif not way.is_typed and self._is_strange(link, way.path):
                reason = "a command could have made it in another run"
            else:
                continue
            return Planted(link, canonical_as_far(way.path, self._fs), reason)
        return None

    def kept[AnyGrant: (Grant, SocketGrant)](
        self, asked: Sequence[Asked[AnyGrant]], warnings: list[str]
    ) -> list[AnyGrant]:
        """Return the grants except those through a planted link, adding a warning for each of these.

        Raises NonoError if a flag named the path: the user meant it, and the hint gives the path to type
        instead.
        """
        judged, told = [(grant, self.planted(way)) for grant, way in asked], set[str]()
        kept = [grant for grant, planted in judged if planted is None]
        for grant, planted in judged:
            if planted is None or self._adds_nothing(grant, kept):
                continue
            if grant.source == "user":
                raise self._refusal(f"Refusing to grant '{grant.original}'", planted, _flag(grant))
            offer = (
                ""
                if opens_too_much(grant.path, self._context, self._fs)
                else f" If it is yours: {flag_for(grant)}"
            )
            of_it = f"{planted}.{offer}"
            if f"{grant.original}{of_it}" not in told:  # two groups may have the same entry
                warnings.append(f"'{grant.original}' is not granted ({grant.source}): {of_it}")
            told.add(f"{grant.original}{of_it}")
        return kept

    def refuse(self, what: str, way: Way, flag: str) -> None:
        """Raise SandboxError if the path has a planted link. what: What is refused. flag: What would help."""
        planted = self.planted(way)
        if planted is not None:
            raise self._refusal(what, planted, flag)

    def _refusal(self, what: str, planted: Planted, flag: str) -> SandboxError:
        """Return the error, with the option that helps unless it would grant all of a person's files."""
        hint = f"name what it leads to: {_typed(flag, planted.leads_to)}"
        if opens_too_much(planted.leads_to, self._context, self._fs):
            hint = "look at that link: what it leads to is too much for one run"
        return SandboxError(f"{what}: {planted}.", hint=hint)

    def _adds_nothing(self, grant: Grant | SocketGrant, kept: Sequence[Grant | SocketGrant]) -> bool:
        if isinstance(grant, SocketGrant):
            return False
        held = accesses((each for each in kept if isinstance(each, Grant)), grant.path)
        return held is not None and held.covers(grant.access)

    def _links(self, way: Way) -> tuple[str, ...]:
        known = self._known.get(way.path)
        if known is None:
            is_plain = self._fs.canonical(way.path) == way.path and "/.." not in way.path  # nearly always
            is_plain = is_plain or is_child_relative(way.path)  # links of the kernel
            known = () if is_plain else tuple(links_on_the_way(way.path, self._fs))
            self._known[way.path] = known
        return known

    def _may_be_laid(self, link: str) -> bool:
        directory = dirname(link)
        if is_within(directory, "/proc"):  # only the kernel creates links there
            return False
        if any(is_within(directory, root) for root in self._written):
            return True
        if self._shipped is None:
            self._shipped = [*_written_by_groups(self._context, self._fs)]
        return any(is_within(directory, root) for root in self._shipped)

    def _leaves(self, link: str, directory: str) -> bool:
        return is_within(link, directory) and not is_within(canonical_as_far(link, self._fs), directory)

    def _is_strange(self, link: str, path: str) -> bool:
        """Check whether a link behind the user's own leads away from where it lies.

        What the user keeps in ~/dotfiles and links to is what a run in there may turn.
        """
        home = canonical_as_far(self._context.home, self._fs)
        spelled = join(home, path[len(self._context.home) :].lstrip("/"))
        if not is_within(path, self._context.home) or is_within(spelled, link):
            return False
        # Imported here: hardly any link is behind another.
        from nono.policy.git.settings_reach import SYSTEM, around

        entry, leads_to = self._fs.entry(link), canonical_as_far(path, self._fs)
        is_others = entry is not None and not entry.is_own
        if is_others or dirname(link) in ("/", home) or any(is_within(link, each) for each in SYSTEM):
            return False
        return not (is_within(leads_to, _STORE) or is_within(leads_to, around(link, home, self._fs)))

    def _add(self, grants: Iterable[Grant]) -> None:
        self._written += (grant.path for grant in at_every_mount(grants, self._fs))


def links_on_the_way(path: str, fs: Filesystem) -> Iterator[str]:
    """Yield the symlinks that the kernel follows to an absolute `path`, each by its own canonical path."""
    here, names, left = "/", path.split("/")[::-1], _LINKS_MAX
    while names and left:
        name = names.pop()
        if name in ("", "."):
            continue
        if name == "..":
            here = dirname(here)
            continue
        step = join(here, name)
        entry = fs.entry(step)
        if entry is None or entry.target is None:
            here = step
            continue
        yield step
        left -= 1
        if isabs(entry.target):
            here = "/"
        names += entry.target.split("/")[::-1]


def _written_by_groups(path_context: PathContext, fs: Filesystem) -> Iterator[str]:
    """Yield the directories that some run can write, whatever its profile: it may have left a link."""
    home = canonical_as_far(path_context.home, fs)
    for group in shipped.groups().values():
        for text in (*group.write, *group.readwrite) if group.applies else ():
            try:
                path = fs.canonical(path_context.of_group(text))
            except NonoError:  # an unset variable: no run has that grant
                continue
            if path is not None and not is_within(home, path):  # no run is granted a whole home
                yield path
                yield from fs.aliases(path)


def _typed(flag: str, path: str) -> str:
    # Imported here: it imports re, and only an error message needs it.
    from shlex import quote

    return f"{flag} {quote(path)}"


def flag_for(grant: Grant | SocketGrant) -> str:
    """Return the option that grants the same, as a person types it."""
    return _typed(_flag(grant), grant.path)


def _flag(grant: Grant | SocketGrant) -> str:
    if isinstance(grant, SocketGrant):
        return grant.flag
    return directory_flag(grant.access) if grant.is_dir else file_flag(grant.access)
