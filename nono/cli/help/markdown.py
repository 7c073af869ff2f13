"""Print help pages as Markdown for the documentation."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from nono.cli.help.page import Entry, Page, Section


def markdown(page: Page, actions: Iterable[Page] = (), *, depth: int = 1) -> str:
    """Return a page, followed by those of its actions."""
    lines = [
        f"{'#' * depth} {' '.join(page.words)}",
        "",
        page.description,
        "",
        "```text",
        page.usage,
        "```",
        "",
    ]
    for section in page.sections:
        lines += [f"{'#' * (depth + 1)} {section.title}", "", *table(section), ""]
    if page.examples:
        lines += [f"{'#' * (depth + 1)} Examples", ""]
        for each in page.examples:
            lines += [f"{each.text}:", "", "```sh", each.command, "```", ""]
    lines += [line for sentence in page.see_also for line in (sentence, "")]
    return "\n".join(lines) + "".join(f"\n{markdown(each, depth=depth + 1)}" for each in actions)


def table(section: Section) -> Iterator[str]:
    """Yield the lines of a table of entries."""
    yield "| name | meaning |"
    yield "|---|---|"
    yield from (f"| {_name(entry)} | {_about(entry)} |" for entry in section.entries)


def _name(entry: Entry) -> str:
    return f"`{_cell(entry.title)}`".replace("``", "")


def _about(entry: Entry) -> str:
    details = "".join(f"<br>{_cell(escaped(detail))}" for detail in entry.details)
    return f"{_cell(escaped(entry.text))}{details}"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


def escaped(text: str) -> str:
    """Escape what Markdown or HTML would take for its own."""
    escaped = text.replace("&", "&amp;").replace("<", "&lt;")
    return "".join(f"\\{c}" if c in "*_[]`" else c for c in escaped)
