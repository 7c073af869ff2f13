"""Build the whole manual: a file name and a text for each man page."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Iterator, Mapping

from nono.cli.help import man
from nono.cli.help.overview import overview
from nono.cli.help.page_of import Values, page_of, subparsers_of
from nono.cli.help.settings import config_sections, profile_sections
from nono.cli.help.topics import TOPICS

# The name, help and parser of each command.
Commands = Iterable[tuple[str, str, argparse.ArgumentParser]]

_PROFILE = (
    "A profile says what a run may do: files, hosts, credentials, limits. It is a JSON file, with comments "
    "and trailing commas allowed, in ~/.config/nono/profiles or anywhere else (nono run --profile "
    "./file.json).",
    "A path may begin with ~ or hold $WORKDIR, $HOME and $TMPDIR. Lists of profiles that one extends are "
    "joined. nono profile guide explains how to write one, and nono profile schema has editors complete "
    "and check it.",
)
_CONFIG = (
    "config.toml in ~/.config/nono holds the settings of a user. A variable or an option wins over it.",
)


def man_pages(commands: Commands, values: Values) -> Iterator[tuple[str, str]]:
    """Yield the file name of each man page, such as nono-run.1, and its text."""
    known = [*commands]
    names = [f"nono-{name}(1)" for name, _, _ in known]
    files = ["nono-profile(5)", "nono-config(5)"]
    topics = [make() for make in TOPICS.values()]
    yield (
        "nono.1",
        man.overview_page(overview({name: text for name, text, _ in known}), topics, [*names, *files]),
    )
    for name, text, parser in known:
        page = page_of(parser, text, values)
        actions = [page_of(each, about, values) for about, each in subparsers_of(parser)]
        yield f"nono-{name}.1", man.command_page(page, actions, ("nono(1)", *files), TOPICS["exit-codes"]())
    yield "nono-profile.5", man.file_page("nono-profile", "profiles of nono", _PROFILE, profile_sections())
    yield "nono-config.5", man.file_page("nono-config", "settings of nono", _CONFIG, config_sections())


def completion_names() -> Mapping[str, str]:
    """Return where each shell looks for nono's completion script, below a prefix."""
    return {
        "bash": "share/bash-completion/completions/nono",
        "zsh": "share/zsh/site-functions/_nono",
        "fish": "share/fish/vendor_completions.d/nono.fish",
    }
