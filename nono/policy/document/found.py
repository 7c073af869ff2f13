"""The files of one profile as they were found: its own and those of its bases."""

from __future__ import annotations

from nono.named_tuple import NamedTuple


class BadBase(NamedTuple):
    """An entry of `extends` that leads nowhere."""

    position: int
    what: str
    hint: str | None = None


class Found(NamedTuple):
    """One profile, and those it extends."""

    name: str  # as it was asked for
    file: str | None  # None: nono ships it
    raw: bytes  # what the file holds
    bases: tuple[Found, ...]
    bad_bases: tuple[BadBase, ...]
    height: int  # 0 without bases

    is_shipped: bool  # no file of the user's takes part

    def all(self) -> list[Found]:
        """It and its bases, each once, those that count more before those that they are laid over."""
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
