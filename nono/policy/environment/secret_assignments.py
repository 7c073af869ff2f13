"""Find the values in a command line that a name like that of a secret variable stands before."""

from collections.abc import Collection, Iterator

from nono.policy.environment.secret_names import is_switch, says_secret

_JUDGED = 64  # characters of a value; the whole of it for each "=" would take quadratic time
_RANDOM = "0123456789abcdefghij"  # a value that no name is too weak for


def secret_assignments(text: str, kept: Collection[str] = ()) -> Iterator[tuple[int, int]]:
    """Yield the beginning and end of each value, as in `DB_PASSWORD=x`, `--db-password=x` or `?my_token=x`.

    A value is a word of the shell, quoted as a whole or up to the next blank or quote; in a query it ends
    before the next pair.

    kept: names that are no secrets, as `plain` spells them.
    """
    done = 0
    at = text.find("=")
    while at >= 0:
        start = at
        while start > done and _is_of_name(text[start - 1]):
            start -= 1
        name = plain(text[start:at])
        done = at + 1
        if name and name not in kept and says_secret(name, _RANDOM):
            judged = text[done : done + _JUDGED]
            value = judged[: _end(judged, 0, is_query=False)].strip("\"'")
            if not is_switch(value) and says_secret(name, value):
                end = _end(text, done, is_query=text[start - 1 : start] in ("?", "&"))
                yield done, end
                done = end
        at = text.find("=", done)


def plain(name: str) -> str:
    """Return the name of an option or a key of a query as that of a variable: `--my-key` as `MY_KEY`."""
    return name.strip("-").replace("-", "_").upper()


def _is_of_name(character: str) -> bool:
    return character.isalnum() or character in "_-"


def _end(text: str, at: int, *, is_query: bool) -> int:
    """Return where the value ends that begins at `at`."""
    if text[at : at + 1] in ('"', "'"):
        end = text.find(text[at], at + 1)
        return len(text) if end < 0 else end + 1
    ends = "\"'&;#" if is_query else "\"'"
    return next((i for i in range(at, len(text)) if text[i] in ends or text[i].isspace()), len(text))
