"""Print help pages as man pages, in roff's man macros."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from nono import __version__
from nono.cli.help.page import Entry, Example, Page, Section

_WITH_EXIT_STATUS = frozenset({"run", "shell", "wrap", "learn"})


def command_page(page: Page, actions: Iterable[Page], others: Iterable[str], exit_codes: Page) -> str:
    """Return the man page of a command with those of its actions. others: further pages to mention."""
    name = "-".join(page.words)
    lines = [*_head(name, 1, page.summary), ".SH SYNOPSIS", f".B {_text(page.usage)}"]
    lines += [".SH DESCRIPTION", *_paragraphs(page.description)]
    lines += _body(page, ".SH")
    for action in actions:
        lines += [f".SH {_text(' '.join(action.words)).upper()}", *_paragraphs(action.description)]
        lines += [".PP", f".B {_text(action.usage)}", *_body(action, ".SS")]
    if page.words[-1] in _WITH_EXIT_STATUS:
        lines += _section(exit_codes.sections[0], ".SH", "EXIT STATUS")
    return _ended(lines, others)


def overview_page(page: Page, topics: Iterable[Page], others: Iterable[str]) -> str:
    """Return nono(1)."""
    lines = [*_head("nono", 1, page.summary), ".SH SYNOPSIS", f".B {_text(page.usage)}"]
    lines += [".SH DESCRIPTION", *_paragraphs(page.description), *_body(page, ".SH")]
    for topic in topics:
        lines += [f".SH {_text(topic.summary).upper()}", *_paragraphs(topic.description)]
        for section in topic.sections:
            lines += _section(section, ".SS")
    return _ended(lines, others)


def file_page(name: str, summary: str, description: Iterable[str], sections: Iterable[Section]) -> str:
    """Return the page of a kind of file, in section 5."""
    lines = [*_head(name, 5, summary), ".SH DESCRIPTION"]
    for text in description:
        lines += _paragraphs(text)
    for section in sections:
        lines += _section(section, ".SH")
    return _ended(lines, ("nono(1)",))


def _head(name: str, number: int, summary: str) -> list[str]:
    return [
        f'.TH {_text(name).upper()} {number} "" "nono {__version__}" "nono"',
        ".SH NAME",
        f"{_text(name)} \\- {_text(summary)}",
    ]


def _body(page: Page, heading: str) -> list[str]:
    lines = [line for section in page.sections for line in _section(section, heading)]
    if page.examples:
        lines += [f"{heading} EXAMPLES", *(line for each in page.examples for line in _example(each))]
    for sentence in page.see_also:
        lines += [".PP", *_paragraphs(sentence)]
    return lines


def _section(section: Section, heading: str, title: str | None = None) -> list[str]:
    name = title or section.title
    shown = name.upper() if heading == ".SH" else name
    return [f"{heading} {_text(shown)}", *(line for entry in section.entries for line in _entry(entry))]


def _entry(entry: Entry) -> Iterator[str]:
    yield ".TP"
    names = [f"\\fB{_text(name)}\\fR" for name in entry.title.removesuffix(entry.value).strip().split(", ")]
    value = f" \\fI{_text(entry.value)}\\fR" if entry.value else ""
    yield f"{', '.join(names)}{value}"
    yield _line(entry.text[:1].upper() + entry.text[1:] + ("" if entry.text.endswith("]") else "."))
    if entry.details:
        yield ".br"
        yield _line("; ".join(each[:1].upper() + each[1:] for each in entry.details) + ".")


def _example(example: Example) -> Iterator[str]:
    yield from (".PP", _line(f"{example.text}:"), ".PP", ".RS 4", ".nf", _line(example.command), ".fi", ".RE")


def _paragraphs(text: str) -> Iterator[str]:
    yield _line(text)


def _ended(lines: list[str], others: Iterable[str]) -> str:
    shown = ", ".join(
        f"\\fB{_text(other.partition('(')[0])}\\fR({other.partition('(')[2]}" for other in others
    )
    return "\n".join([*lines, ".SH SEE ALSO", shown, ""])


def _line(text: str) -> str:
    """Escape a line of text: one that starts with a dot or a quote would be a roff request."""
    shown = _text(text)
    return f"\\&{shown}" if shown.startswith((".", "'")) else shown


def _text(text: str) -> str:
    return (
        text.replace("\\", "\\e")
        .replace("-", "\\-")
        .replace("'", "\\(aq")
        .replace("^", "\\(ha")
        .replace("~", "\\(ti")
    )
