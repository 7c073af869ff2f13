"""Build the page of nono itself: its commands, grouped by use."""

from __future__ import annotations

from collections.abc import Mapping

from nono.cli.help.examples import EXAMPLES
from nono.cli.help.page import Entry, Page, Section

DESCRIPTION = (
    "Runs a program so that the kernel holds it to what you granted, and so that it never holds a real API "
    "key."
)
GROUPS: Mapping[str, str] = {
    "Run": "run shell learn wrap mcp",
    "Sessions": "ps top attach detach logs inspect approvals allow deny stop prune",
    "Review and undo": "rollback undo changes report flows replay audit",
    "Understand": "why doctor setup",
    "Configure": "profile credential trust completion",
    "Other": "proxy purge help version",
}
OPTIONS = (
    Entry(("--silent", "-s"), "print only errors, and what weakens the sandbox"),
    Entry(("--log-file",), "append a run's messages to a file too", "FILE"),
    Entry(("--help", "-h"), "print help"),
    Entry(("--version", "-V"), "print the version"),
)


def overview(commands: Mapping[str, str]) -> Page:
    """Return the page. commands: the help of each by name. Those in no group are listed under "Other"."""
    grouped = {title: names.split() for title, names in GROUPS.items()}
    known = {name for names in grouped.values() for name in names}
    grouped["Other"] += (name for name in commands if name not in known)
    sections = (
        Section(title, tuple(Entry((name,), commands[name]) for name in names if name in commands))
        for title, names in grouped.items()
    )
    return Page(
        ("nono",),
        "run a command in a sandbox, with its keys kept outside",
        DESCRIPTION,
        "nono [OPTIONS] COMMAND [ARGS]...",
        (*(each for each in sections if each.entries), Section("Options", OPTIONS)),
        EXAMPLES["nono"],
        (
            "Start with nono doctor. nono help COMMAND describes one command; nono help environment, "
            "exit-codes and files describe the rest.",
        ),
    )
