"""Recognise settings in a file that hold a secret, by the names and the shapes of their values."""

from collections.abc import Iterator
from itertools import pairwise

from nono.policy.environment.secret_names import says_secret
from nono.policy.environment.secret_values import secret_in

_AS_UNDERSCORE = str.maketrans("-./:", "____")


def settings_hold_key(text: str) -> bool:
    """Return True if a line gives a name of a secret a value (``token = ...``) or has a secret's shape.

    For the formats of cargo and hatch (TOML), yarn 1, Maven and Bundler.
    """
    lines = (line for line in map(str.strip, text.splitlines()) if not line.startswith(("#", ";")))
    return any(
        secret_in(line) is not None or any(_is_secret(*pair) for pair in _assignments(line)) for line in lines
    )


def _assignments(line: str) -> Iterator[tuple[str, str]]:
    """Yield names with their values: around equals signs, and a first word with the rest, as yarn has it."""
    for before, after in pairwise(line.split("=")):
        if words := before.split():
            yield words[-1], after.strip()
    first, *rest = line.split(maxsplit=1) or ("",)
    if rest:
        yield first, rest[0]


def _is_secret(name: str, value: str) -> bool:
    spelled = name.strip("\"'").translate(_AS_UNDERSCORE)
    content = value.strip("\"'")
    # hatch has an index's password in `auth`, and may leave it empty.
    is_auth = spelled.lower() == "auth" and bool(content.strip("= \"'"))
    return is_auth or spelled.lower().endswith("_auth") or says_secret(spelled, content)
