"""Build the pages that belong to no command: environment variables, files and exit codes."""

from __future__ import annotations

from collections.abc import Iterator

from nono.cli.args.options import GLOBALS, LEGACY_ENVIRONMENT, OPTIONS
from nono.cli.help.page import Entry, Page, Section

# Variables that do not stand for an option.
READ = {
    "NONO_KEYRING_TIMEOUT_SECS": "how long to wait for the system keyring",
    "NONO_NO_SAVE_PROMPT": "1 to never offer to save what was denied in a profile",
    "NO_COLOR": "if set, print no colours",
    "CLICOLOR_FORCE": "if set and not 0, print colours even if the output is not a terminal",
    "COLUMNS": "the width of tables and help, if it is not that of the terminal",
    "SHELL": "the shell that nono shell runs",
    "XDG_CONFIG_HOME": "where config.toml and profiles are, in nono/ [default: ~/.config]",
    "XDG_STATE_HOME": "where sessions, logs and credentials are, in nono/ [default: ~/.local/state]",
    "XDG_CACHE_HOME": "where the caches of projects are, in nono/ [default: ~/.cache]",
}
SET = {
    "NONO_CAP_FILE": "a file about the rules of the run, for nono why --self",
    "HTTPS_PROXY, HTTP_PROXY, NO_PROXY": "the proxy, where the run has one",
    "SSL_CERT_FILE and others": "the certificates of the proxy, in the variables that clients read",
    "OPENAI_BASE_URL, OPENAI_API_KEY and others": "the address and the placeholder of each service",
    "TMPDIR": "the command's own directory for temporary files",
    "XDG_RUNTIME_DIR": "left out or as TMPDIR, in a run with a proxy that is granted nothing in yours",
}
EXIT_CODES = {
    "0": "success",
    "1": "nono failed, refused, got no command, or found no such program; stderr says why",
    "2": "an option, value or word for nono is wrong, or profile validate --strict found an old name",
    "126": "the command could not be started in the sandbox",
    "127": "the kernel did not start the command: it, or its interpreter, is missing or not granted",
    "128+N": "signal N ended the command",
    "137": "also: --startup-timeout ended it",
    "148": "you left a session that goes on (Ctrl-] d)",
    "any other": "the exit status of the command",
}
FILES = {
    "~/.config/nono/config.toml": "settings",
    "~/.config/nono/profiles/NAME.json": "your profiles",
    "~/.local/state/nono/sessions": "a record of each session",
    "~/.local/state/nono/audit": "the audit logs",
    "~/.local/state/nono/credentials.json": "stored keys, if no system keyring answers",
    "~/.cache/nono": "caches of projects; may be removed at any time",
}


def environment() -> Page:
    """Return the page on environment variables."""
    sections = (
        Section("Instead of an option", tuple(_of_options())),
        Section("Read by nono", _entries(READ)),
        Section("Set for the command", _entries(SET)),
        Section(
            "Old names, still read", _entries({old: f"use {new}" for old, new in LEGACY_ENVIRONMENT.items()})
        ),
    )
    description = (
        "An option on the command line wins over its variable, and a variable over a profile. "
        "Commas separate several hosts or services in one variable."
    )
    return Page(
        ("nono", "environment"), "environment variables", description, "NAME=VALUE nono COMMAND", sections
    )


def exit_codes() -> Page:
    """Return the page on exit codes."""
    description = "nono exits with the status of the command, unless nono itself fails."
    usage = "nono COMMAND; echo $?"
    return Page(
        ("nono", "exit-codes"),
        "exit codes",
        description,
        usage,
        (Section("Exit codes", _entries(EXIT_CODES)),),
    )


def files() -> Page:
    """Return the page on files."""
    return Page(("nono", "files"), "files of nono", "Files that nono reads and writes, for each user.",
                "nono purge removes them", (Section("Files", _entries(FILES)),))  # fmt: skip


TOPICS = {"environment": environment, "exit-codes": exit_codes, "files": files}


def _of_options() -> Iterator[Entry]:
    seen = set[str]()
    for option in (*OPTIONS, *GLOBALS):
        if option.env and option.available and option.env not in seen and option.help:
            seen.add(option.env)
            yield Entry((option.env,), f"{option.flags[0]}: {option.help}")


def _entries(table: dict[str, str]) -> tuple[Entry, ...]:
    return tuple(Entry((name,), text) for name, text in table.items())
