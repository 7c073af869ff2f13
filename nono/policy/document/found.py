"""Represent the files of one profile as found on disk: its own and those of its bases."""

from __future__ import annotations

from nono.named_tuple import NamedTuple


class BadBase(NamedTuple):
    """An entry of `extends` that cannot be found."""

    position: int
    what: str
    hint: str | None = None


class Found(NamedTuple):
    """One profile and the profiles it extends."""

    name: str  # as requested
    file: str | None  # None: nono ships it
    raw: bytes  # content of the file
    bases: tuple[Found, ...]
    bad_bases: tuple[BadBase, ...]
    height: int  # 0 without bases

    is_shipped: bool  # none of the files is the user's

    def all(self) -> list[Found]:
        """Return this profile and its bases, each once, overriding profiles before those they override."""
        reached, waiting = dict[tuple[str, str | None], Found](), [self]
        while waiting:
            found = waiting.pop()
            if found.key not in reached:
                reached[found.key] = found
                waiting += found.bases
        return [*reached.values()]

    @property
    def key(self) -> tuple[str, str | None]:
        return self.name, self.file
