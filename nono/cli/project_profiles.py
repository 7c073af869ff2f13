"""Offer the profiles that a project's files call for, once per project, and remember the answer."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from posixpath import join, realpath

from nono import paths
from nono.cli import atomic_write
from nono.disk import json_text
from nono.disk.regular_file import read_regular_file
from nono.errors import NonoError
from nono.policy.profile.detection import detected
from nono.policy.profile.store import own_document
from nono.policy.schema.profile import Profile
from nono.private_dir import open_private_dir

MAX_MEMORY_BYTES = 1024 * 1024
MAX_PROJECTS = 1000  # the oldest are forgotten
_FILE = "projects.json"

# Asks to add a profile: its name, the file that calls for it, and its purpose.
Offer = Callable[[str, str, str], bool]
Answers = dict[str, dict[str, bool]]  # by directory, then by profile


def offer_profile(profile: str, marker: str, description: str) -> bool:
    """Ask to add the profile. Anything but yes means no."""
    # Imported here: most runs ask nothing.
    from nono.approval.ask import confirm
    from nono.cli.text.wrap_text import wrapped

    lines = (
        *wrapped(
            f"{marker} is here. Add the profile {profile} ({description}) to runs in this directory?", "  "
        ),
        "  nono profile show NAME says what it grants; the answer is remembered",
    )
    return confirm(lines, "  [y/N] ", is_pristine=True)


def wanted(profile: Profile, cwd: str, environ: Mapping[str, str], offer: Offer | None) -> list[str]:
    """Return the profiles to add to `profile` for a run in `cwd`.

    offer: Asks a person about a profile that was not offered here before; None if nobody can be asked.
    """
    try:
        found = detected(set(os.listdir(cwd)))
    except OSError:
        return []
    missing = {name: marker for name, marker in found.items() if not _is_in(name, profile, environ)}
    if not missing:
        return []
    answers = _remembered(environ)
    place = realpath(cwd)
    here = answers.get(place, {})
    asked = {name: marker for name, marker in missing.items() if name not in here and offer is not None}
    for name, marker in asked.items():
        assert offer is not None
        here[name] = offer(name, marker, own_document(name, environ)["meta"].get("description", name))
    if asked:
        _remember({**{each: answers[each] for each in answers if each != place}, place: here}, environ)
    return [name for name in missing if here.get(name)]


def _is_in(name: str, profile: Profile, environ: Mapping[str, str]) -> bool:
    """Return True if `profile` already includes the groups that the one called `name` adds."""
    try:
        groups = own_document(name, environ).get("groups", {}).get("include", [])
    except NonoError:
        return True  # a user's broken profile of that name must not be offered
    return set(groups) <= set(profile.groups.include)


def _remembered(environ: Mapping[str, str]) -> Answers:
    try:
        document = json_text.parse(read_regular_file(_path(environ), MAX_MEMORY_BYTES).decode())
        return {
            str(place): {str(name): answer is True for name, answer in answers.items()}
            for place, answers in document.items()
        }
    except (OSError, ValueError, AttributeError):
        return {}  # the person is asked again


def _remember(answers: Answers, environ: Mapping[str, str]) -> None:
    kept = dict([*answers.items()][-MAX_PROJECTS:])
    with suppress(OSError):  # the person is asked again
        os.close(open_private_dir(paths.state_root(environ), create=True))
        atomic_write.replace(_path(environ), f"{json_text.indented_ascii(kept)}\n".encode())


def _path(environ: Mapping[str, str]) -> str:
    return join(paths.state_root(environ), _FILE)
