"""Make text safe for a terminal, or for a line that a person copies into a shell."""

_PLAIN = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789@%+=:,./-_")


def printable(text: str) -> str:
    """Escape the control characters of text: even the name of a directory may contain terminal commands."""
    if text.isprintable():
        return text
    # Format characters (category Cf) are escaped too: some of them reorder what a person reads.
    return "".join(c if c.isprintable() or c in "\t\n" else ascii(c)[1:-1] for c in text)


def printable_line(text: str) -> str:
    """Escape line ends too: the name of a directory may look like a line of nono."""
    return printable(text).replace("\n", "\\n")


def shell_word(text: str) -> str:
    """Quote text as one word of a shell, on one line.

    Names in a suggestion may have been chosen by the command. Like shlex.quote, which imports re.
    """
    shown = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)
    return shown if shown and _PLAIN.issuperset(shown) else "'" + shown.replace("'", "'\"'\"'") + "'"
