"""Name the links in a program's own directories that lead to what the run is not granted.

Who keeps single files of ~/.claude with their dotfiles has such links. They cannot be followed, because the
command of an earlier run could have laid them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from posixpath import join

from nono.policy.capability import Grant
from nono.policy.files.denials import DenyRules
from nono.policy.files.grants import accesses, opens_too_much
from nono.policy.files.links import flag_for
from nono.policy.path_expansion import Filesystem, PathContext

ENTRIES_MAX = 500  # of one directory: a command can create any number
_SHOWN_MAX = 5
# Directories whose entries people keep with their dotfiles one by one.
_OF_SETTINGS = ("agents", "commands", "hooks", "output-styles", "prompts", "rules", "skills")


def links_out_of(
    states: Sequence[Grant],
    grants: Sequence[Grant],
    denials: DenyRules,
    path_context: PathContext,
    fs: Filesystem,
) -> Iterator[str]:
    """Yield a warning for each directory in `states` that has such links.

    No option is named for one that leads to all of a person's files.
    """
    for state in states:
        found = [*_links(state, grants, denials, fs)] if state.is_dir else []
        if not found:
            continue
        shown = "; ".join(
            f"{link} leads to {flag_for(wanted).partition(' ')[2]}" for link, wanted in found[:_SHOWN_MAX]
        )
        more = f"; and {len(found) - _SHOWN_MAX} more" if len(found) > _SHOWN_MAX else ""
        offered = [
            wanted for _, wanted in found[:_SHOWN_MAX] if not opens_too_much(wanted.path, path_context, fs)
        ]
        flags = " ".join(dict.fromkeys(map(flag_for, offered)))
        yield (
            f"links in {state.original} lead to what is not granted, and the command cannot use them: "
            f"{shown}{more}.{f' If they are yours: {flags}' if flags else ''}"
        )


def _links(
    state: Grant, grants: Sequence[Grant], denials: DenyRules, fs: Filesystem
) -> Iterator[tuple[str, Grant]]:
    """Yield each link, by its name there, and the grant that it lacks."""
    for name in _names(state.path, fs):
        leads_to = fs.canonical(join(state.path, name))
        kind = None if leads_to is None else fs.kind(leads_to)
        if leads_to is None or kind not in ("dir", "file"):
            continue
        if accesses(grants, leads_to) is None and denials.covering(leads_to) is None:
            yield name, Grant(leads_to, state.access, kind == "dir", "user", leads_to)


def _names(directory: str, fs: Filesystem) -> Iterator[str]:
    """Yield the name of each link in a state directory, and in those of its settings."""
    yield from fs.links_in(directory, ENTRIES_MAX)
    for name in _OF_SETTINGS:
        yield from (join(name, each) for each in fs.links_in(join(directory, name), ENTRIES_MAX))
