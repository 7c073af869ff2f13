"""Find what a person's git settings name: git ends with an error where it may not open one of these.

Sources: git-config(1), gitignore(5), gitattributes(5), githooks(5).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from posixpath import basename, dirname, join

from nono.named_tuple import NamedTuple
from nono.policy.path_expansion import Filesystem, Kind, canonical_as_far, is_within, parent_resolved

_FILES = frozenset({
    "blame.ignorerevsfile", "commit.template", "core.attributesfile", "core.excludesfile",
    "gpg.ssh.allowedsignersfile", "mailmap.file",
})  # fmt: skip
_HOOKS = "core.hookspath"
_INCLUDES = ("include", "includeif")
_WORDS = ("file", "path", "template")  # without one of these there is nothing to look for
_NAMES = (".gitconfig", "config")  # of settings, among the other files that git reads
_READ_MAX = 32  # files


class Named(NamedTuple):
    """A file or a directory that the settings name."""

    path: str  # canonical
    original: str  # absolute, links not followed
    is_dir: bool
    doubt: str | None  # what leads to it and must not


def named_by(
    granted: Iterable[str],
    home: str,
    fs: Filesystem,
    is_trusted: Callable[[str], bool],
    doubt: Callable[[str, str], str | None],
) -> Iterator[Named]:
    """Yield what the settings among the granted files name and is there; never the home or what contains it.

    is_trusted: Tells whether a canonical path may be read and followed.
    doubt: Returns what keeps settings from naming a path, or None; both absolute, links not followed.
    """
    top = canonical_as_far(home, fs)
    for settings in granted:
        if basename(settings) not in _NAMES:
            continue
        for by, original, wanted in _named_by(settings, home, fs, is_trusted, doubt, set()):
            path = fs.canonical(original)
            if path is not None and fs.kind(path) == wanted and not is_within(top, path) and is_trusted(path):
                yield Named(path, original, wanted == "dir", doubt(by, original))


def _named_by(
    settings: str,
    home: str,
    fs: Filesystem,
    is_trusted: Callable[[str], bool],
    doubt: Callable[[str, str], str | None],
    read: set[str],
) -> Iterator[tuple[str, str, Kind]]:
    """Yield the file, each path that it names, and the kind that is meant; then those of what it includes.

    settings: Absolute; a relative include begins in its directory, even where it is a link.
    read: The canonical paths of files read before, which are not read again.
    """
    path = fs.canonical(settings)
    if path is None or path in read or len(read) == _READ_MAX:
        return
    if not (is_trusted(path) and is_trusted(parent_resolved(settings, fs))):  # the last name may be a link
        return
    read.add(path)
    text = fs.text(path)
    if text is None or not any(word in text.lower() for word in _WORDS):
        return
    # Imported here: most settings name no file, and it imports re.
    from nono.policy.git.settings import settings_of, unquoted

    for name, value in settings_of(text):
        section, _, rest = name.lower().partition(".")
        named = _expanded(unquoted(value), home)
        if section in _INCLUDES and rest.rpartition(".")[2] == "path":
            included = named or join(dirname(settings), unquoted(value))
            yield settings, included, "file"
            if doubt(settings, included) is None:
                yield from _named_by(included, home, fs, is_trusted, doubt, read)
        elif named is not None and (name.lower() in _FILES or name.lower() == _HOOKS):
            yield settings, named, "dir" if name.lower() == _HOOKS else "file"


def _expanded(value: str, home: str) -> str | None:
    """Return an absolute path; None for one that depends on where git runs."""
    if value.startswith("~/"):
        return join(home, value[2:])
    return value if value.startswith("/") else None
