"""Find real secrets in an upstream's answer before the command reads it (the tripwire)."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain

from nono.credentials.values import spellings
from nono.credentials.values.automaton import (
    GUESSABLE_CHARACTERS,
    MOST_SKIPPED,
    SEARCHED_OCTETS,
    automaton,
    stride_for,
)
from nono.credentials.values.escapes import IS_LEAD, Form, Span, forms, has_escapes, without_nuls
from nono.credentials.values.holding import Mode, mode_for
from nono.credentials.values.leak_mask import NOWHERE, LeakMask, Occurrences, masked
from nono.credentials.values.runs import long_runs
from nono.credentials.values.spellings import MIN_WATCHED_CHARACTERS
from nono.credentials.values.suspects import around_escapes
from nono.secret import Secret

# Half an escape may stand before the secret: "%5" before "a1%2F..." becomes "Z1/..." when escapes are undone.
# So a text with its escapes undone is searched for the secret without its first octets.
_SWALLOWED_OCTETS = 8
_SWALLOWED_OF_GUESSABLE = 2  # "\u00" before "41"; leaving out more would leave too little of a password
_MOST_FOR_OCTET = 64  # of text for one octet of a spelling: "%26%23x0041%3B" in UTF-32
# Most places from which a spelling could begin are ruled out by what is undone of the octets that follow.
_COMPARED_OCTETS = 2
_COMPARED_TEXT = _COMPARED_OCTETS * _MOST_FOR_OCTET
_LONG_BYTES = 4 * 1024  # only the runs of a longer text are searched; finding them takes time too
# Octets of the shortest run that is searched: the first for a password, whatever its length. The steps in
# which an answer goes on depend on its long runs, so they tell about how long a key is, and no more.
_LONG_RUNS = (MIN_WATCHED_CHARACTERS - _SWALLOWED_OF_GUESSABLE, 16, 24, 48)
# Between parts of a text. A line end first would make a soft line break of the "=" that a part ends with.
_APART = b"\1\n"


def tripwire_for(secrets: Sequence[Secret], *, basic: bool = False) -> Tripwire | None:
    """Build a watcher for secrets; None if each is too short to be distinguished from other text.

    basic: each secret is the ``user:password`` of RFC 7617, and its password is watched for too.
    """
    texts = spellings.watched(secrets, basic=basic)
    return Tripwire(texts, spellings.cores(spellings.texts(secrets, basic=basic))) if texts else None


def unwatched_warning(secrets: Sequence[Secret], *, basic: bool = False) -> str | None:
    """Return a warning for the person if one of the secrets cannot be watched for, else None."""
    if all(len(text) >= MIN_WATCHED_CHARACTERS for text in spellings.texts(secrets, basic=basic)):
        return None
    return (
        f"the credential is shorter than {MIN_WATCHED_CHARACTERS} characters:"
        " responses are not searched for it, because they would hold it by chance"
    )


class Tripwire:
    """Search for one credential in plain text, in base64, in hex, and escaped in any usual way."""

    __slots__ = (
        "_beginnings",
        "_long_run",
        "_reach",
        "_search",
        "_search_undone",
        "_spellings",
        "_stride",
        "guessable",
        "mode",
    )

    def __init__(self, texts: Sequence[str], cores: Sequence[str]) -> None:
        """`texts`: at least one, each of MIN_WATCHED_CHARACTERS or more. `cores`: their secret parts."""
        self.mode: Mode = mode_for(texts)
        self.guessable = min(map(len, cores)) < GUESSABLE_CHARACTERS
        tokens = self.mode.tokens
        every = chain.from_iterable(spellings.spellings(text, tokens=tokens) for text in texts)
        self._spellings = sorted(set(every))
        self._beginnings = sorted({each for each in map(spellings.beginning, cores) if each is not None})
        self._reach = max(map(len, self._spellings))
        shortest = min(map(len, self._spellings))
        self._stride = max(1, min(MOST_SKIPPED, shortest // SEARCHED_OCTETS, *map(stride_for, cores)))
        found = min([shortest, *map(len, self._beginnings)])
        possible = _LONG_RUNS[:1] if self.guessable else [each for each in _LONG_RUNS if each <= found]
        self._long_run = possible[-1]
        self._search: Callable[[bytes], object] = self._first_search
        self._search_undone: Callable[[bytes], object] = self._first_search_undone

    def __repr__(self) -> str:
        return "Tripwire(...)"

    def _first_search(self, text: bytes) -> object:
        """Build the automaton on first use, so that a run that never uses its credential does not wait."""
        self._search = automaton([*self._spellings, *self._beginnings], self._stride, whole=self.guessable)
        return self._search(text)

    def _first_search_undone(self, text: bytes) -> object:
        ends = {each[self._swallowed(each) :] for each in self._spellings}
        stride = max(1, min(self._stride, min(map(len, ends)) // SEARCHED_OCTETS))
        self._search_undone = automaton([*ends, *self._beginnings], stride, whole=self.guessable)
        return self._search_undone(text)

    def _swallowed(self, spelling: bytes) -> int:
        """Return how many octets at the beginning of `spelling` may be missing where escapes are undone."""
        most, rest = (_SWALLOWED_OF_GUESSABLE, 6) if self.guessable else (_SWALLOWED_OCTETS, SEARCHED_OCTETS)
        return max(0, min(most, len(spelling) - rest))

    def stream(self) -> LeakMask:
        return LeakMask(self.find, self.mode)

    def mask_text(self, value: bytes) -> bytes | None:
        """Return `value` without the secret; None if it was clean."""
        spans = self.find(value).spans
        return masked(value, spans) if spans else None

    def occurs_in(self, text: bytes) -> bool:
        """Return True if `text`, a short one such as an environment, holds the secret in any spelling.

        Slower than the automaton, but finished before that would be built. So no start waits for it, nor for
        the code that undoes escapes, unless a value looks like the secret with escapes in it.
        """
        if any(spelling in text for spelling in self._spellings):
            return True
        suspects = filter(self._looks_escaped, text.split(b"\0"))
        escaped = (form.text for each in suspects for form in forms(each, tokens=self.mode.tokens))
        return any(spelling in each for each in escaped for spelling in self._spellings)

    def _looks_escaped(self, value: bytes) -> bool:
        shortest = min(map(len, self._spellings))
        escapes = sum(map(value.count, (b"%", b"\\", b"&")))
        if not escapes or len(value) < shortest:
            return False
        # A few escapes leave parts of the secret unchanged.
        return escapes * 8 >= shortest or any(
            spelling[at : at + 4] in value for spelling in self._spellings for at in range(len(spelling) - 3)
        )

    def long_runs(self, text: bytes) -> Sequence[Span]:
        if len(text) <= _LONG_BYTES or not self.mode.tokens:
            return ((0, len(text)),)
        return long_runs(text, self._long_run, self.mode.is_of_spelling)

    def find(self, text: bytes, runs: Sequence[Span] | None = None) -> Occurrences:
        """Search `text` as it is and with its escapes undone."""
        runs = self.long_runs(text) if runs is None else runs
        searched = _APART.join([text[start:end] for start, end in runs])
        if not searched:
            return NOWHERE
        plain = without_nuls(searched)  # all that was in one piece still is
        found = bool(self._search(plain))
        if has_escapes(plain):
            found = self._is_in_escapes(plain) or found
        return self._located(_only(text, runs)) if found else NOWHERE

    def _is_in_escapes(self, text: bytes) -> bool:
        """Undo the escapes of the parts of `text` that could hold an escaped spelling, and search them."""
        parts = self._suspects(text)
        if not parts:
            return False
        suspect = _APART.join([text[start:end] for start, end in parts])
        found = False
        for form in Form(suspect, ()).undone(tokens=self.mode.tokens):
            found = bool(self._search_undone(form.text)) or found
        return found

    def _suspects(self, text: bytes) -> list[Span]:
        """Return the parts of `text`, which has no NULs, that could hold an escaped spelling."""
        octets, is_of_run, _, _ = mode = self.mode
        # A part of a guessable secret counts as found, whatever stands beside the run that it is in.
        clip = is_of_run if self.guessable else None
        return around_escapes(text, self._reach, octets, tokens=mode.tokens, is_of_run=clip)

    def _located(self, text: bytes) -> Occurrences:
        """Locate the spellings of which the automaton found a part. Rare, so it may be slow.

        What is found in a run of octets depends on nothing outside it, so a stream, which is searched run by
        run, is masked like the whole.
        """
        form = Form(text, ()).without_nuls()
        spans = [*form.origin(self._spans(form.text, self._spellings))]
        begins = dict[bytes, list[bytes]]()
        for part in self._suspects(form.text):
            for undone in form.part(part).undone(tokens=self.mode.tokens):
                spans += self._spans_undone(undone, text, begins)
        whole = _merged(spans)
        ends = [end for _, end in whole]
        near = [
            start
            for start, end in self._spans(text, self._beginnings)
            if (at := bisect_right(ends, start)) == len(ends) or whole[at][0] >= end
        ]
        return Occurrences(whole, near)

    def _spans_undone(self, form: Form, text: bytes, begins: dict[bytes, list[bytes]]) -> Iterator[Span]:
        """Yield the spans of spellings in `form`, as positions in `text`, which it was made from.

        The first octets of a spelling may be missing in `form`: half an escape before it has swallowed them.
        begins: See `_whole_from`.
        """
        found = list[tuple[int, int, bytes, int]]()  # start, end, the spelling, and how many octets it lacks
        for each in self._spellings:
            swallowed = self._swallowed(each)
            at = form.text.find(each[swallowed:])
            while at >= 0:
                start, missing = at, swallowed
                while missing and start and form.text[start - 1] == each[missing - 1]:
                    start, missing = start - 1, missing - 1
                found.append((start, at + len(each) - swallowed, each, missing))
                at = form.text.find(each[swallowed:], at + 1)
        if not found:
            return
        # Look up all places at once, because looking up one reads the whole text.
        places = form.origin([(start, stop) for start, end, *_ in found for stop in (start + 1, end)])
        for (_, _, each, missing), (_, escaped), (begin, end) in zip(
            found, places[::2], places[1::2], strict=True
        ):
            if missing:
                earliest = max(begin - missing * _MOST_FOR_OCTET, 0)
                starts = range(escaped - 1, earliest - 1, -1)
                whole = self._whole_from(text, each, starts, end, begins)
                # A possible password counts as found: a closer look takes time that could be measured unless
                # the answer is ended.
                if whole is None and not self.guessable:
                    continue
                begin = begin if whole is None else whole
            yield begin, end

    def _whole_from(
        self,
        text: bytes,
        spelling: bytes,
        places: Iterable[int],
        end: int,
        begins: dict[bytes, list[bytes]],
    ) -> int | None:
        """Return the first of `places` from which `text` up to `end` spells all of `spelling`.

        begins: How octets of `text` begin once undone. Filled here, because a text that is dense with escapes
          repeats itself, and the forms of it share most places.
        """
        for at in places:
            if text[at] != spelling[0] and not IS_LEAD[text[at]]:
                continue
            following = text[at : min(at + _COMPARED_TEXT, end)]
            if following not in begins:
                begins[following] = self._beginnings_of(following)
            if not any(map(spelling.startswith, begins[following])):
                continue
            spelled = [each.text for each in forms(text[at:end], tokens=self.mode.tokens)]
            # The last escape may stand for more than the last octet.
            if any(each.startswith(spelling) and len(each) < len(spelling) + 4 for each in spelled):
                return at
        return None

    def _beginnings_of(self, text: bytes) -> list[bytes]:
        """Return the first octets of `text` in each of its forms."""
        undone = [each.text for each in forms(text, tokens=self.mode.tokens)]
        return [*{each[:_COMPARED_OCTETS] for each in (without_nuls(text), *undone)}]

    def _spans(self, text: bytes, wanted: Sequence[bytes]) -> list[Span]:
        spans = list[Span]()
        for each in wanted:
            at = text.find(each)
            while at >= 0:
                spans.append((at, at + len(each)))
                at = text.find(each, at + 1)
        return _merged(spans)


def _merged(spans: Sequence[Span]) -> list[Span]:
    """Join overlapping spans, so that no part remains of a secret that begins or ends with another."""
    merged = list[Span]()
    for start, end in sorted(spans):
        if merged and start < merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((start, end))
    return merged


def _only(text: bytes, runs: Sequence[Span]) -> bytes:
    """Return `text` without what is outside `runs`, whose escapes may take long to undo.

    The octet after a run stays, because a backslash at the run's end may escape it.
    """
    kept = bytearray(b"\1") * len(text)
    for start, end in runs:
        kept[start : end + 1] = text[start : end + 1]
    return bytes(kept)
