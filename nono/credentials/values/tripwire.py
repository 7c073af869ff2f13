"""Find real secrets in an upstream's answer before the child reads it (the tripwire)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import chain

from nono.credentials.values import spellings
from nono.credentials.values.escapes import Form, Span, around_escapes, forms, has_forms, without_nuls
from nono.credentials.values.holding import Mode, mode_for
from nono.credentials.values.leak_mask import NOWHERE, LeakMask, Occurrences, masked
from nono.credentials.values.spellings import MIN_WATCHED_CHARACTERS
from nono.secret import Secret

_GUESSABLE_CHARACTERS = 20  # a shorter secret may be chosen by a person, and so be in a list of candidates
# The search compares every n-th octet of a spelling with every n-th octet of a text. That is n times as fast,
# and nobody who does not know the secret gets ten of these octets right.
_SEARCHED_OCTETS = 10
_MOST_SKIPPED = 8
# Half an escape may stand before the secret: "%5" before "a1%2F..." becomes "Z1/..." when escapes are undone.
# So a text with its escapes undone is searched for the secret without its first octets.
_SWALLOWED_OCTETS = 8
_SWALLOWED_OF_GUESSABLE = 2  # "\u00" before "41"; leaving out more would leave too little of a password
# A long text is searched only if it has a run of octets long enough for a spelling. Whether it has one is not
# secret. In random octets, no run is seen in this many samples.
_SAMPLES_OF_RUN = 12
_LONG_BYTES = 4 * 1024
_WHOLE_OCTETS = 8 * _GUESSABLE_CHARACTERS  # of a spelling: no secret that a person may have chosen has more
_HEX_DIGITS = frozenset("0123456789abcdefABCDEF")
# Without a prefilter, the search takes the same time for text that is nearly the secret. The library uses no
# prefilter if too many different octets could begin a match or are rare.
_DECOYS = [bytes((n, n + 1, n + 1, n, n + 1, n, n, n + 1)) for n in range(0xE0, 0xF0, 2)]


def tripwire_for(secrets: Sequence[Secret], *, basic: bool = False) -> Tripwire | None:
    """Build a watcher for secrets; None if each is too short to be distinguished from other text.

    `basic`: each secret is the ``user:password`` of RFC 7617, and its password is watched for too.
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
        "_reach",
        "_sampled",
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
        self.guessable = min(map(len, cores)) < _GUESSABLE_CHARACTERS
        tokens = self.mode.tokens
        every = chain.from_iterable(spellings.spellings(text, tokens=tokens) for text in texts)
        self._spellings = sorted(set(every))
        self._beginnings = sorted({each for each in map(spellings.beginning, cores) if each is not None})
        self._reach = max(map(len, self._spellings))
        shortest = min(map(len, self._spellings))
        self._stride = max(1, min(_MOST_SKIPPED, shortest // _SEARCHED_OCTETS, *map(_stride, cores)))
        self._sampled = min([shortest, *map(len, self._beginnings)]) // _SAMPLES_OF_RUN if tokens else 0
        self._search: Callable[[bytes], object] = self._first_search
        self._search_undone: Callable[[bytes], object] = self._first_search_undone

    def __repr__(self) -> str:
        return "Tripwire(...)"

    def _first_search(self, text: bytes) -> object:
        """Build the automaton on first use, so that a run that never uses its credential does not wait."""
        self._search = _automaton([*self._spellings, *self._beginnings], self._stride, whole=self.guessable)
        return self._search(text)

    def _first_search_undone(self, text: bytes) -> object:
        ends = {each[self._swallowed(each) :] for each in self._spellings}
        stride = max(1, min(self._stride, min(map(len, ends)) // _SEARCHED_OCTETS))
        self._search_undone = _automaton([*ends, *self._beginnings], stride, whole=self.guessable)
        return self._search_undone(text)

    def _swallowed(self, spelling: bytes) -> int:
        """Return how many octets at the beginning of `spelling` may be missing where escapes are undone."""
        most, rest = (_SWALLOWED_OF_GUESSABLE, 6) if self.guessable else (_SWALLOWED_OCTETS, _SEARCHED_OCTETS)
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

    def find(self, text: bytes) -> Occurrences:
        """Search `text` as it is and with its escapes undone."""
        if len(text) > _LONG_BYTES and self._sampled and not self._has_room(text):
            return NOWHERE
        found = bool(self._search(text))
        if has_forms(text):
            found = self._is_in_forms(text) or found
        return self._located(text) if found else NOWHERE

    def _has_room(self, text: bytes) -> bool:
        """Return False if no run of octets in `text` is long enough for a spelling, even in UTF-16."""
        if text[:1] == b"\0" and text == bytes(len(text)):  # of which disk images are full
            return False
        if self._has_run(text):
            return True
        narrowed = without_nuls(text)
        return narrowed is not None and self._has_run(narrowed)

    def _has_run(self, text: bytes) -> bool:
        return b"\1" * _SAMPLES_OF_RUN in text[:: self._sampled].translate(self.mode.is_of_spelling)

    def _is_in_forms(self, text: bytes) -> bool:
        """Undo the escapes of the parts of `text` that could hold an escaped spelling, and search them."""
        found = False
        octets, tokens = self.mode.octets, self.mode.tokens
        if (narrowed := without_nuls(text)) is not None:
            text = narrowed
            found = bool(self._search(text))
        if suspect := around_escapes(text, self._reach, octets, tokens=tokens):
            for form in forms(suspect, tokens=tokens):
                found = bool(self._search_undone(form.text)) or found
        return found

    def _located(self, text: bytes) -> Occurrences:
        """Locate the spellings of which the automaton found a part. Rare, so it may be slow."""
        spans = [*self._spans(text, self._spellings)]
        for form in forms(text, tokens=self.mode.tokens):
            spans += self._spans_undone(form)
        whole = _merged(spans)
        beginnings = self._spans(text, self._beginnings)
        return Occurrences(whole, near=len(_merged([*whole, *beginnings])) > len(whole))

    def _spans_undone(self, form: Form) -> Iterator[Span]:
        """Yield the spans of spellings in `form`, as positions in the text that it was made from.

        An escape that begins before the secret and swallows its first octets belongs to the secret.
        """
        found = list[tuple[int, int, bytes]]()  # start, end, and the octets that the spelling has lost
        for each in self._spellings:
            swallowed = self._swallowed(each)
            at = form.text.find(each[swallowed:])
            while at >= 0:
                start, missing = at, swallowed
                while missing and start and form.text[start - 1] == each[missing - 1]:
                    start, missing = start - 1, missing - 1
                found.append((start, at + len(each) - swallowed, each[:missing]))
                at = form.text.find(each[swallowed:], at + 1)
        if not found:
            return
        # Look up all places at once, because looking up one reads the whole text.
        are_escapes = form.are_escapes([at for start, _, _ in found for at in (max(start - 1, 0), start)])
        spans, all_lost = list[Span](), list[bytes]()
        for (start, end, lost), before, first in zip(found, are_escapes[::2], are_escapes[1::2], strict=True):
            # A possible password counts as found: a closer look takes time that could be measured unless
            # the answer is ended.
            if not lost or before or first or self.guessable:
                begin = max(start - 1, 0) if lost and before else start
            elif width := form.escape_before(start, lost, tokens=self.mode.tokens):
                begin, lost = start - width, b""
            else:
                continue
            spans += [(begin, begin + 1), (begin, end)]
            all_lost.append(lost)
        places = form.origin(spans)
        for (begin, escaped), (_, end), lost in zip(places[::2], places[1::2], all_lost, strict=True):
            # Leave the text before the secret as it is, so that the mask reveals nothing of its first octets.
            is_in_plain = lost and form.steps[0].text.endswith(lost, begin, escaped)
            yield (escaped - len(lost) if is_in_plain else begin), end

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


def _stride(text: str) -> int:
    """Return the largest stride that still compares too many octets of `text` to be guessed."""
    if text.startswith("eyJ"):  # of a JSON Web Token, many people know all but the signature
        return (len(text) - text.rfind(".") - 1) // _SEARCHED_OCTETS
    end = spellings.beginning(text)
    shared = spellings.shared_characters(text)
    secret = (len(text) if end is None else len(end)) - shared
    stride = min(_MOST_SKIPPED, secret // _SEARCHED_OCTETS)
    # In hex of hex, every second octet is a 3 or a 6.
    return stride - 1 + stride % 2 if _HEX_DIGITS.issuperset(text[shared:]) else stride


def _automaton(wanted: Sequence[bytes], stride: int, *, whole: bool) -> Callable[[bytes], object]:
    """Return a search that is true for texts that hold one of `wanted`, and for few others.

    `whole`: not true for a text that holds only a part of one.
    """
    # Imported here: a run without a credential has nothing to search for.
    from ahocorasick_rs import BytesAhoCorasick, Implementation, MatchKind

    ends = (each[-(_WHOLE_OCTETS if whole else 2 * stride * _SEARCHED_OCTETS) :] for each in wanted)
    parts = {each[phase::stride] for each in ends for phase in range(stride)}
    # A DFA takes one step for each octet, whatever it is: the time of a search must not tell how much of the
    # secret a text holds.
    search = BytesAhoCorasick(
        sorted({*parts, *_DECOYS}), matchkind=MatchKind.Standard, implementation=Implementation.DFA
    ).find_matches_as_indexes
    return search if stride == 1 else lambda text: search(text[::stride])
