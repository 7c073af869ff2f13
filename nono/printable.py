"""Make text safe for a terminal, or for a line that a person copies into a shell."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_SELECTORS = (*range(0xFE00, 0xFE10), *range(0xE0100, 0xE01F0))  # of a variation
# Letters, marks and a symbol by category, yet invisible.
UNSEEN = frozenset(
    "\u034f\u115f\u1160\u17b4\u17b5\u180b\u180c\u180d\u180f\u2800\u3164\uffa0" + "".join(map(chr, _SELECTORS))
)
_QUOTES, _BEFORE_A_QUOTE = "'\"", " $('\""
_PLAIN = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789@%+=:,./-_")


def printable(text: str) -> str:
    """Escape the control characters of text: even the name of a directory may contain terminal commands."""
    if text.isprintable() and UNSEEN.isdisjoint(text):
        return text
    # Format characters (category Cf) are escaped too: some of them reorder what a person reads.
    return "".join(c if _is_seen(c) or c in "\t\n" else _escaped(c) for c in text)


def printable_line(text: str) -> str:
    """Escape line ends too: the name of a directory may look like a line of nono."""
    return printable(text).replace("\n", "\\n")


def spelled(path: str) -> str:
    """Return a path as valid UTF-8. Undecodable bytes (surrogates in Python) become ``\\xNN``."""
    return path.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def shell_word(text: str) -> str:
    """Quote text as one word of a shell, on one line. bash and zsh read what is not printable in `$'...'`.

    Names in a suggestion may have been chosen by the command. Like shlex.quote, which imports re.
    Blanks in a row are spelled as well: where a terminal ends its line, they would indent the rest of a name.
    """
    if not text.isprintable() or "  " in text or not UNSEEN.isdisjoint(text):
        return "$'" + "".join(map(_in_quotes, text)).replace("  ", " \\x20") + "'"
    return text if text and _PLAIN.issuperset(text) else "'" + text.replace("'", "'\"'\"'") + "'"


def enumerated(names: Sequence[str], names_max: int, quote: Callable[[str], str] = str) -> str:
    """Join the first names with commas, and say how many more there are: a command can make any number."""
    more = len(names) - names_max
    return ", ".join(map(quote, names[:names_max])) + (f" and {more:,} more" if more > 0 else "")


def without_middle(line: str, columns: int) -> str:
    """Leave out the middle of a longer line: a command can make a name that fills every screen before it."""
    if len(line) <= columns:
        return line
    half = columns // 2
    return f"{line[:half]}...({len(line) - 2 * half:,} more)...{line[-half:]}"


def held_together(line: str) -> str:
    """Return a line with NUL for each blank within quotes, so that no quoted name is broken.

    The rest of a broken name could pass for an option that nono offers.
    """
    if "'" not in line or " " not in line:
        return line
    held, before, quote, reads_escapes, is_escaped = list(line), " ", "", False, False
    for at, character in enumerate(line):
        if not quote:
            if character in _QUOTES and before in _BEFORE_A_QUOTE:
                quote, reads_escapes = character, before == "$"
        elif is_escaped:
            is_escaped = False
        elif character == " ":
            held[at] = "\0"
        elif character == "\\" and reads_escapes:
            is_escaped = True
        elif character == quote:
            quote = ""
        before = character
    return "".join(held)


def _is_seen(character: str) -> bool:
    return character.isprintable() and character not in UNSEEN


def _in_quotes(character: str) -> str:
    if character in "\\'":
        return f"\\{character}"
    if _is_seen(character) or character.isascii() or _is_byte(character):
        return printable_line(character).replace("\t", "\\t")
    return "".join(f"\\x{byte:02x}" for byte in character.encode("utf-8", "surrogatepass"))


def _is_byte(character: str) -> bool:
    """Return True for what os.fsdecode makes of a byte that is not UTF-8."""
    return "\udc80" <= character <= "\udcff"


def _escaped(character: str) -> str:
    if _is_byte(character):
        return f"\\x{ord(character) - 0xDC00:02x}"
    return ascii(character)[1:-1]
