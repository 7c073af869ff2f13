"""Text with its control characters spelled out, fit for a terminal."""


def printable(text: str) -> str:
    """Spell out the control characters of text: a directory's name may hold a terminal's commands."""
    if text.isprintable():
        return text
    # Format characters (category Cf) are spelled out too: some of them reorder what a person reads.
    return "".join(c if c.isprintable() or c in "\t\n" else ascii(c)[1:-1] for c in text)
