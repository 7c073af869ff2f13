"""Makes text fit for a terminal, or for a line that is to be copied into a shell."""

_PLAIN = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789@%+=:,./-_")


def printable(text: str) -> str:
    """Spell out the control characters of text: even a directory name may hold terminal commands."""
    if text.isprintable():
        return text
    # Format characters (category Cf) are spelled out too: some of them reorder what a person reads.
    return "".join(c if c.isprintable() or c in "\t\n" else ascii(c)[1:-1] for c in text)


def shell_word(text: str) -> str:
    """Quote text as one word of a shell, on one line: the names in a suggestion may be the command's.

    Like shlex.quote, which imports re.
    """
    shown = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)
    return shown if shown and _PLAIN.issuperset(shown) else "'" + shown.replace("'", "'\"'\"'") + "'"
