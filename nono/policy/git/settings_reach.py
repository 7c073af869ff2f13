"""Judge what git settings may name, by where they lie: in most places an earlier run may have written them.

nono knows what this run may write, and not what others were granted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from posixpath import basename, dirname, join

from nono.policy.path_expansion import Filesystem, canonical_as_far, is_within

SYSTEM = ("/etc", "/usr", "/opt", "/nix/store")  # home-manager's settings are links to Nix's store
_OF_GIT = (".gitattributes", ".gitconfig", ".githooks", ".git-hooks", ".gitignore", ".gitmessage")
_LEVELS_MAX = 64


class SettingsReach:
    """Tells what settings may name.

    Those of the system, those directly in the home and those in ~/.config/git may name everything; others
    what is in their working tree or their directory, and what has a name of git's in the home.
    """

    def __init__(self, home: str, fs: Filesystem, links_on: Callable[[str], Iterable[str]]) -> None:
        """links_on: Returns the links on the way to a path, each by its own canonical path."""
        self._home = canonical_as_far(home, fs)
        self._of_git = join(self._home, ".config/git")
        self._fs = fs
        self._links_on = links_on

    def doubt(self, settings: str, named: str) -> str | None:
        """Return the file or link by which the settings reach too far, or None. Both absolute, with links."""
        path, read = self._fs.canonical(named), self._fs.canonical(settings)
        if path is None or read is None or self._is_of_git(path):
            return None
        places = (read, *self._links_on(settings), *self._links_on(named))
        return next((place for place in places if not self._reaches(place, path)), None)

    def _reaches(self, place: str, path: str) -> bool:
        """Check whether a file or a link at `place` may lead to `path`."""
        is_own = dirname(place) == self._home or is_within(place, self._of_git)
        return (
            is_own
            or any(is_within(place, each) for each in SYSTEM)
            or is_within(path, around(place, self._home, self._fs))
        )

    def _is_of_git(self, path: str) -> bool:
        is_named_so = dirname(path) == self._home and basename(path).startswith(_OF_GIT)
        return is_named_so or is_within(path, self._of_git)


def around(place: str, home: str, fs: Filesystem) -> str:
    """Return the working tree around a place, as of dotfiles; its directory if there is none.

    Both paths are canonical.
    """
    top = directory = dirname(place)
    for _ in range(_LEVELS_MAX):
        if is_within(home, top):
            break
        if fs.entry(join(top, ".git")) is not None:
            return top
        top = dirname(top)
    return directory
