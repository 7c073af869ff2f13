"""Compare two texts by lines, in bounded time: difflib takes hours for what a command can write."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from difflib import Match, SequenceMatcher
from itertools import accumulate, takewhile

from nono.named_tuple import NamedTuple

STEPS_MAX = 4_000_000  # about half a second


class _Range(NamedTuple):
    """Lines of both texts: from, and up to but without."""

    before_from: int
    before_to: int
    after_from: int
    after_to: int


class LineMatcher(SequenceMatcher[str]):
    """Compares as SequenceMatcher does, until STEPS_MAX. Then it only sets equal ends of a range apart."""

    b2j: dict[str, list[int]]  # where the second text has a line; documented in difflib's source alone

    def __init__(self, before: Sequence[str], after: Sequence[str], *, autojunk: bool = True) -> None:
        super().__init__(None, before, after, autojunk)
        # A search looks, for each line of its range, at every place where the other text has that line.
        self._steps = [0, *accumulate(1 + len(self.b2j.get(line, ())) for line in before)]
        self._before, self._after = before, after
        self._left = STEPS_MAX

    def find_longest_match(
        self, alo: int = 0, ahi: int | None = None, blo: int = 0, bhi: int | None = None
    ) -> Match:
        """Return a block that both ranges have, an empty one if none is found."""
        within = _Range(
            alo, len(self._before) if ahi is None else ahi, blo, len(self._after) if bhi is None else bhi
        )
        steps = self._steps[within.before_to] - self._steps[within.before_from]
        if steps > self._left:
            return self._equal_end(within)
        self._left -= steps
        return super().find_longest_match(*within)

    def _equal_end(self, within: _Range) -> Match:
        alo, ahi, blo, bhi = within
        same = self._equal(zip(range(alo, ahi), range(blo, bhi), strict=False))
        if same:
            return Match(alo, blo, same)
        same = self._equal(zip(reversed(range(alo, ahi)), reversed(range(blo, bhi)), strict=False))
        return Match(ahi - same, bhi - same, same)

    def _equal(self, places: Iterable[tuple[int, int]]) -> int:
        """Return how many lines are equal at the first of these places."""
        equal = takewhile(lambda place: self._before[place[0]] == self._after[place[1]], places)
        return sum(1 for _ in equal)


def unified(
    before: Sequence[str], after: Sequence[str], names: tuple[str, str] | None, context: int
) -> Iterator[str]:
    """Yield a unified diff without line ends; nothing for equal texts.

    names: Of the texts, for the first two lines; None leaves these out.
    """
    for number, group in enumerate(LineMatcher(before, after).get_grouped_opcodes(context)):
        if not number and names is not None:
            yield f"--- {names[0]}"
            yield f"+++ {names[1]}"
        first, last = group[0], group[-1]
        yield f"@@ -{_extent(first[1], last[2])} +{_extent(first[3], last[4])} @@"
        for tag, old_from, old_to, new_from, new_to in group:
            if tag == "equal":
                yield from (f" {line}" for line in before[old_from:old_to])
                continue
            yield from (f"-{line}" for line in before[old_from:old_to])
            yield from (f"+{line}" for line in after[new_from:new_to])


def _extent(begin: int, end: int) -> str:
    """Return a range of lines as diff(1) writes it: an empty one by the line before it."""
    count = end - begin
    return f"{begin + 1}" if count == 1 else f"{begin + 1 if count else begin},{count}"
