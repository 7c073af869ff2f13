"""Search texts for many spellings at once, in a time that does not depend on what the spellings are."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from nono.credentials.values import spellings

# The search compares every n-th octet of a spelling with every n-th octet of a text. That is n times as fast,
# and nobody who does not know the secret gets ten of these octets right.
SEARCHED_OCTETS = 10
MOST_SKIPPED = 8
GUESSABLE_CHARACTERS = 20  # a shorter secret may be chosen by a person, and so be in a list of candidates
_WHOLE_OCTETS = 8 * GUESSABLE_CHARACTERS  # of a spelling: no secret that a person may have chosen has more
_HEX_DIGITS = frozenset("0123456789abcdefABCDEF")
# Without a prefilter, the search takes the same time for text that is nearly the secret. The library uses no
# prefilter if too many different octets could begin a match or are rare.
_DECOYS = [bytes((n, n + 1, n + 1, n, n + 1, n, n, n + 1)) for n in range(0xE0, 0xF0, 2)]


def stride_for(text: str) -> int:
    """Return the largest stride that still compares too many octets of `text` to be guessed."""
    if text.startswith("eyJ"):  # of a JSON Web Token, many people know all but the signature
        return (len(text) - text.rfind(".") - 1) // SEARCHED_OCTETS
    end = spellings.beginning(text)
    shared = spellings.shared_characters(text)
    secret = (len(text) if end is None else len(end)) - shared
    stride = min(MOST_SKIPPED, secret // SEARCHED_OCTETS)
    # In hex of hex, every second octet is a 3 or a 6.
    return stride - 1 + stride % 2 if _HEX_DIGITS.issuperset(text[shared:]) else stride


def automaton(wanted: Sequence[bytes], stride: int, *, whole: bool) -> Callable[[bytes], object]:
    """Return a search that is true for texts that hold one of `wanted`, and for few others.

    whole: not true for a text that holds only a part of one.
    """
    # Imported here: a run without a credential has nothing to search for.
    from ahocorasick_rs import BytesAhoCorasick, Implementation, MatchKind

    ends = (each[-(_WHOLE_OCTETS if whole else 2 * stride * SEARCHED_OCTETS) :] for each in wanted)
    parts = {each[phase::stride] for each in ends for phase in range(stride)}
    # A DFA takes one step for each octet, whatever it is: the time of a search must not tell how much of the
    # secret a text holds.
    search = BytesAhoCorasick(
        sorted({*parts, *_DECOYS}), matchkind=MatchKind.Standard, implementation=Implementation.DFA
    ).find_matches_as_indexes
    return search if stride == 1 else lambda text: search(text[::stride])
