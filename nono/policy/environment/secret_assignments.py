"""Find the values in a command line or text that a name like that of a secret variable stands before."""

from collections.abc import Collection, Iterator

from nono.policy.environment.secret_names import is_switch, says_secret

_JUDGED = 64  # characters of a value; the whole of it for each "=" would take quadratic time
_RANDOM = "0123456789abcdefghij"  # a value that no name is too weak for

_QUOTE_IN_QUOTES = r"'\''"  # as shells, and what quotes for them, write it

_CLOSES_NAME = "\"'\\ "  # between the name and its colon
_FOLLOWS_COLON = (" ", "\t", '"', "'")
_ENDS_MEMBER = "\"',}]\\"


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


def secret_members(
    text: str, kept: Collection[str] = (), added: Collection[str] = ()
) -> Iterator[tuple[int, int]]:
    r"""Yield the beginning and end of each value, as in `"password": "x"` of JSON and `password: x` of YAML.

    Quotes are left in place, also those that a shell or another text has escaped (`\"password\":`). A name
    without quotes takes a blank or a quote behind its colon: `secret:1.2` is the tag of an image.

    kept: names that are no secrets, as `plain` spells them.
    added: names that are, whatever they say.
    """
    done = 0
    at = text.find(":")
    while at >= 0:
        ends = at
        while ends > done and text[ends - 1] in _CLOSES_NAME:
            ends -= 1
        start = ends
        while start > done and _is_of_name(text[start - 1]):
            start -= 1
        name = plain(text[start:ends])
        done = at + 1
        is_quoted = '"' in text[ends:at] or "'" in text[ends:at]
        is_member = is_quoted or text[done : done + 1] in _FOLLOWS_COLON
        is_added = name in added
        if is_member and name and name not in kept and (is_added or says_secret(name, _RANDOM)):
            begins, end = _member_value(text, done)
            value = text[begins : min(end, begins + _JUDGED)]
            if value != "null" and not is_switch(value) and (is_added or says_secret(name, value)):
                yield begins, end
                done = end
        at = text.find(":", done)


def _member_value(text: str, at: int) -> tuple[int, int]:
    """Return where the value begins and ends that follows a colon: in its quotes, or as a word.

    It is empty where an object, an array or the next line follows.
    """
    while text[at : at + 1] in (" ", "\t"):
        at += 1
    escape = "\\" if text.startswith(('\\"', "\\'"), at) else ""
    quote = text[at + len(escape) : at + len(escape) + 1]
    if quote in ('"', "'"):
        begins = at + len(escape) + 1
        return begins, _closing_of_string(text, begins, quote, len(escape))
    if quote in ("{", "["):
        return at, at
    end = next((i for i in range(at, len(text)) if text[i] in _ENDS_MEMBER or text[i].isspace()), len(text))
    return at, end


def _closing_of_string(text: str, at: int, quote: str, escapes: int) -> int:
    r"""Return where a string of JSON or YAML ends; quotes in it are escaped, or in YAML doubled ('it''s').

    escapes: The backslashes before its own quotes. With one, those in it have three: "{\"a\": \"b\\\"c\"}".
    """
    end = text.find(quote, at)
    while end >= 0:
        backslashes = end - at - len(text[at:end].rstrip("\\"))
        if backslashes % (2 + 2 * escapes) == 1 + 2 * escapes:
            at = end + 1
        elif quote == "'" and text.startswith("''", end):
            at = end + 2
        else:
            return max(at, end - escapes)
        end = text.find(quote, at)
    return len(text)


def plain(name: str) -> str:
    """Return the name of an option or a key of a query as that of a variable: `--my-key` as `MY_KEY`."""
    return name.strip("-").replace("-", "_").upper()


def _is_of_name(character: str) -> bool:
    return character.isalnum() or character in "_-"


def _end(text: str, at: int, *, is_query: bool) -> int:
    """Return where the value ends that begins at `at`."""
    if text[at : at + 1] == '"':
        return min(len(text), _closing_of_string(text, at + 1, '"', 0) + 1)
    if text[at : at + 1] == "'":
        end = text.find("'", at + 1)
        while end >= 0 and text.startswith(_QUOTE_IN_QUOTES, end):
            end = text.find("'", end + len(_QUOTE_IN_QUOTES))
        return len(text) if end < 0 else end + 1
    ends = "\"'&;#" if is_query else "\"'"
    return next((i for i in range(at, len(text)) if text[i] in ends or text[i].isspace()), len(text))
