"""Find the paths that match a pattern on this disk: `*` within a name, `**` for any number of directories.

The search happens once, at the start: later files are not covered.
"""

from collections.abc import Iterator
from posixpath import join

from nono.errors import ConfigError
from nono.policy.path_expansion import Filesystem, is_pattern, is_within

MAX_LOOKED_AT = 50_000  # names; large source trees have more, and a start must not read them all
NOT_IN_PATTERNS = "?[]"


def matches(pattern: str, fs: Filesystem, *, stays_inside: bool) -> tuple[str, ...]:
    """Return the sorted paths that match an absolute pattern. Directories behind symlinks are not searched.

    `stays_inside` drops symlinks that lead outside the directory where the search began.

    Raises ConfigError if the search would take too long.
    """
    segments = [segment for segment in pattern.split("/") if segment]
    first = next(position for position, segment in enumerate(segments) if is_pattern(segment))
    root = "/" + "/".join(segments[:first])
    found = sorted(set(_Search(pattern, fs).matches(root, segments[first:])))
    if not stays_inside:
        return tuple(found)
    home = fs.canonical(root)
    kept = ((path, fs.canonical(path)) for path in found)
    return tuple(
        path for path, real in kept if home is not None and real is not None and is_within(real, home)
    )


class _Search:
    def __init__(self, pattern: str, fs: Filesystem) -> None:
        self.pattern = pattern
        self.fs = fs
        self.looked_at = 0

    def matches(self, root: str, segments: list[str]) -> Iterator[str]:
        """Yield the matches of `segments` in a directory, which need not exist."""
        pending = [(root, segments)]  # no recursion: a command can make directories as deep as it likes
        while pending:
            directory, (segment, *rest) = pending.pop()
            if segment == "**" and rest:
                pending.append((directory, rest))
            if is_pattern(segment):
                found = self._entries(directory, segment)
            else:
                found = self._entry(join(directory, segment))
            for path, is_directory in found:
                if not rest:
                    yield path
                if is_directory and segment == "**":
                    pending.append((path, [segment, *rest]))
                elif is_directory and rest:
                    pending.append((path, rest))

    def _entry(self, path: str) -> Iterator[tuple[str, bool]]:
        entry = self.fs.entry(path)
        if entry is not None:
            yield path, entry.kind == "dir"

    def _entries(self, directory: str, segment: str) -> Iterator[tuple[str, bool]]:
        names = self.fs.names(directory)
        self.looked_at += len(names)
        if self.looked_at > MAX_LOOKED_AT:
            raise ConfigError(
                f"the pattern '{self.pattern}' leads through more than {MAX_LOOKED_AT} files.",
                hint="name the directory further down, or fewer `**`",
            )
        for name in names:
            if _fits(name, segment):
                yield from self._entry(join(directory, name))


def _fits(name: str, segment: str) -> bool:
    """Return True if `name` matches `segment`, in which each `*` stands for any text."""
    head, *middle, tail = segment.split("*")
    if len(name) < len(head) + len(tail) or not (name.startswith(head) and name.endswith(tail)):
        return False
    rest = name[len(head) : len(name) - len(tail)]
    for part in middle:
        _, is_there, rest = rest.partition(part) if part else ("", "x", rest)
        if not is_there:
            return False
    return True
