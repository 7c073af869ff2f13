"""What each field of a profile means, in a sentence: for editors and for the guide."""

from collections.abc import Mapping

WORDS: Mapping[str, str] = {}
