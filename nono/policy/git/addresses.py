"""Find the settings of a git repository by which a push or a fetch goes to another place than before."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from nono.named_tuple import NamedTuple
from nono.policy.git.settings import settings_of, unquoted

# By section and last part of the name; what git-lfs sends goes to addresses of its own.
_ADDRESSES = {
    "branch": ("pushremote", "remote"),
    "lfs": ("pushurl", "url"),
    "remote": ("lfspushurl", "lfsurl", "pushdefault", "pushurl", "url"),
    "submodule": ("url",),
    "url": ("insteadof", "pushinsteadof"),
}
# Sections whose addresses are told only of what was there: a new remote leads nothing else away, nor does a
# new branch of a remote that was there.
_OF_KNOWN = frozenset({"branch", "remote", "submodule"})
# Without one of these an address holds again that it stood before.
_STANDS_BEFORE = frozenset(
    {"insteadof", "lfspushurl", "lfsurl", "pushdefault", "pushinsteadof", "pushremote", "pushurl"}
)


class _Address(NamedTuple):
    name: str  # as it is spelled
    values: list[str]


_Known = frozenset[tuple[str, str]]  # sections with what they are about


def rerouted(before: str, after: str, around: Iterable[str] = ()) -> tuple[str, ...]:
    """Return the names of settings by which git fetches from or pushes to another place in `after`.

    around: The other settings that were there before, if the text adds to those.
    """
    was, now = _addresses(before), _addresses(after)
    known = _known((before, *around))
    remotes = {about for section, about in known if section == "remote" and about}
    there = _known((after,))
    found = [
        address.name
        for each, address in now.items()
        if _values(was, each) != address.values
        and (_matters(each, known) or _goes_to_new_remote(each, address.values, remotes))
    ]
    gone = [
        address.name
        for each, address in was.items()
        if each not in now and each.rpartition(".")[2] in _STANDS_BEFORE and _matters(each, there)
    ]
    return tuple(dict.fromkeys((*found, *gone)))


def _values(addresses: dict[str, _Address], name: str) -> list[str]:
    found = addresses.get(name)
    return [] if found is None else found.values


def _addresses(text: str) -> dict[str, _Address]:
    """Return each address by its name in lower case: git reads the old spelling `[remote.NAME]` so."""
    found: dict[str, _Address] = {}
    for name, value in settings_of(text):
        lower = name.lower()
        section, _, rest = lower.partition(".")
        if rest.rpartition(".")[2] in _ADDRESSES.get(section, ()):
            address = found[lower] = _Address(name, _values(found, lower))  # the last spelling
            address.values.append(unquoted(value))  # in place: a command may have written any number
    return found


def _known(texts: Iterable[str]) -> _Known:
    return frozenset(each for text in texts for each in _about(text))


def _about(text: str) -> Iterator[tuple[str, str]]:
    for name, _ in settings_of(text):
        section, _, rest = name.lower().partition(".")
        if section in _OF_KNOWN:
            yield section, rest.rpartition(".")[0]


def _matters(name: str, known: _Known) -> bool:
    section, _, rest = name.partition(".")
    about = rest.rpartition(".")[0]
    return section not in _OF_KNOWN or not about or (section, about) in known


def _goes_to_new_remote(name: str, values: Iterable[str], remotes: set[str]) -> bool:
    """Return True for an address of a branch that is none of the remotes there were, if there were any.

    The person's next push of a branch that a run has made would go to a host of the run's.

    remotes: Those there were.
    """
    if not remotes or not name.startswith("branch."):
        return False
    return any(value != "." and value.lower() not in remotes for value in values)
