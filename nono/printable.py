"""Makes text fit for a terminal by spelling out its control characters."""


def printable(text: str) -> str:
    """Spell out the control characters of text: even a directory name may hold terminal commands."""
    if text.isprintable():
        return text
    # Format characters (category Cf) are spelled out too: some of them reorder what a person reads.
    return "".join(c if c.isprintable() or c in "\t\n" else ascii(c)[1:-1] for c in text)
