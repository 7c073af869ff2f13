"""Make text safe for a terminal, or for a line that a person copies into a shell."""

_PLAIN = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789@%+=:,./-_")


def printable(text: str) -> str:
    """Escape the control characters of text: even the name of a directory may contain terminal commands."""
    if text.isprintable():
        return text
    # Format characters (category Cf) are escaped too: some of them reorder what a person reads.
    return "".join(c if c.isprintable() or c in "\t\n" else _escaped(c) for c in text)


def printable_line(text: str) -> str:
    """Escape line ends too: the name of a directory may look like a line of nono."""
    return printable(text).replace("\n", "\\n")


def spelled(path: str) -> str:
    """Return a path as valid UTF-8. Undecodable bytes (surrogates in Python) become ``\\xNN``."""
    return path.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def shell_word(text: str) -> str:
    """Quote text as one word of a shell, on one line. bash and zsh read what is not printable in `$'...'`.

    Names in a suggestion may have been chosen by the command. Like shlex.quote, which imports re.
    """
    if not text.isprintable():
        return "$'" + "".join(map(_in_quotes, text)) + "'"
    return text if text and _PLAIN.issuperset(text) else "'" + text.replace("'", "'\"'\"'") + "'"


def _in_quotes(character: str) -> str:
    if character in "\\'":
        return f"\\{character}"
    if character.isprintable() or character.isascii() or _is_byte(character):
        return printable_line(character).replace("\t", "\\t")
    return "".join(f"\\x{byte:02x}" for byte in character.encode("utf-8", "surrogatepass"))


def _is_byte(character: str) -> bool:
    """Return True for what os.fsdecode makes of a byte that is not UTF-8."""
    return "\udc80" <= character <= "\udcff"


def _escaped(character: str) -> str:
    if _is_byte(character):
        return f"\\x{ord(character) - 0xDC00:02x}"
    return ascii(character)[1:-1]
