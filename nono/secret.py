"""Keep a secret value out of every repr, log and traceback."""

from __future__ import annotations

from nono.digests import compare_digest

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


class Secret:
    """Holds one secret string.

    Its text leaves only through `reveal`, which only nono.credentials may call (an architecture test searches
    for the word). Python cannot erase a str, so a Secret shortens the list of places to inspect;
    PR_SET_DUMPABLE 0 and RLIMIT_CORE 0 protect the memory itself.
    """

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        return self._text

    def matches(self, candidate: str) -> bool:
        """Compare candidate with the secret, in time that does not depend on where they differ."""
        return compare_digest(_bytes(self._text), _bytes(candidate))

    def appears_in(self, text: bytes) -> bool:
        """Check if text contains the secret. Not for a text whose author must not learn the answer."""
        return _bytes(self._text) in text

    def __repr__(self) -> str:
        return "Secret(...)"

    __str__ = __repr__

    def __format__(self, spec: str) -> str:
        return repr(self)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and self.matches(other._text)

    # Hashing would put a function of the secret into dict layouts, pickling its text into files.
    __hash__ = None  # type: ignore[assignment]  # object.__hash__ is what is being taken away

    def __reduce__(self) -> NoReturn:
        raise TypeError("a Secret is not pickled")
