"""Print a help page for a terminal of any width."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence

from nono.cli.help.page import Entry, Example, Page
from nono.named_tuple import NamedTuple

WIDTH_MAX = 100  # longer lines are hard to read
WIDTH_MIN = 40
_COLUMN_MAX = 30


class Look(NamedTuple):
    """How to print: the number of columns, and whether in colour."""

    width: int
    is_coloured: bool = False

    def heading(self, text: str) -> str:
        return f"\x1b[1m{text}\x1b[0m" if self.is_coloured else text

    def name(self, text: str) -> str:
        return f"\x1b[36m{text}\x1b[0m" if self.is_coloured else text

    def dim(self, text: str) -> str:
        return f"\x1b[2m{text}\x1b[0m" if self.is_coloured else text


def lines_of(page: Page, look: Look, *, is_long: bool) -> Iterator[str]:
    """Yield the lines of a page. The short help has one line for each common option."""
    look = look._replace(width=max(WIDTH_MIN, min(look.width, WIDTH_MAX)))
    yield from paragraph(page.description, look)
    yield ""
    yield from _usage(page.usage, look)
    rest = 0
    for section in page.sections:
        shown = [each for each in section.entries if is_long or not each.is_rare]
        rest += len(section.entries) - len(shown)
        if shown:
            yield ""
            yield look.heading(f"{section.title}:")
            yield from entries(shown, look, is_long=is_long)
    if is_long:
        yield from examples(page.examples, look)
    sentences = list(page.see_also) if is_long else []
    if rest or (page.examples and not is_long):
        words = " ".join(page.words)
        sentences.append(f"{words} --help prints {_more(rest, has_examples=bool(page.examples))}.")
    if sentences:
        yield ""
    for sentence in sentences:
        yield from paragraph(sentence, look)


def _more(rest: int, *, has_examples: bool) -> str:
    found = ["defaults, variables"]
    if rest:
        found.insert(0, f"{rest} more option{'s' if rest > 1 else ''}")
    if has_examples:
        return f"{', '.join(found)} and examples"
    return ", ".join(found).replace(", variables", " and variables")


def entries(shown: Sequence[Entry], look: Look, *, is_long: bool) -> Iterator[str]:
    """Yield a table of titles and texts."""
    column = min(max(len(each.title) for each in shown) + 4, _COLUMN_MAX, look.width * 2 // 5)
    indent, width = " " * column, look.width - column
    for each in shown:
        texts = [*_wrapped(each.text, width)]
        details = "".join(f" [{detail}]" for detail in each.details).strip() if is_long else ""
        if details and len(texts) == 1 and len(texts[0]) + 1 + len(details) <= width:
            texts = [f"{texts[0]} {look.dim(details)}".lstrip()]
        elif details:
            texts += map(look.dim, _wrapped(details, width))
        first = f"  {look.name(each.title)}"
        room = column - 2 - len(each.title)
        if room >= 2 and texts:
            yield f"{first}{' ' * room}{texts.pop(0)}"
        else:
            yield from _titles(each.title, look)
        yield from (f"{indent}{text}" for text in texts)


def _titles(title: str, look: Look) -> Iterator[str]:
    for place, line in enumerate(_wrapped(title, look.width - 4)):
        yield f"{'  ' if place == 0 else '    '}{look.name(line)}"


def examples(shown: Sequence[Example], look: Look) -> Iterator[str]:
    """Yield the examples, each below its purpose."""
    if shown:
        yield ""
        yield look.heading("Examples:")
    for each in shown:
        yield from (look.dim(f"  # {line}") for line in _wrapped(each.text, look.width - 4))
        first, *others = _broken(each.command, look.width - 2)
        yield f"  {first}"
        yield from (f"  {line}" for line in others)


def paragraph(text: str, look: Look) -> Iterator[str]:
    """Yield text as lines."""
    yield from _wrapped(text, look.width)


def _usage(usage: str, look: Look) -> Iterator[str]:
    first, *others = _wrapped(usage, look.width - 7)
    yield f"{look.heading('Usage:')} {first}"
    yield from (f"         {line}" for line in others)


def _broken(command: str, width: int) -> list[str]:
    """Break a command line between words in such a way that its lines can be copied as one command."""
    first, *rest = _wrapped(command, width - 2)
    if not rest:
        return [first]
    others = [f"    {line}" for line in _wrapped(" ".join(rest), width - 6)]
    return [*(f"{line} \\" for line in (first, *others[:-1])), others[-1]]


def _wrapped(text: str, width: int) -> list[str]:
    return textwrap.wrap(text, width, break_on_hyphens=False, break_long_words=False)
