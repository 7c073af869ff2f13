"""Write accepted offers to the user's profile after a run."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from posixpath import basename, dirname, join
from typing import Any

from nono.cli import atomic_write
from nono.disk.file_lock import locked_within
from nono.disk.regular_file import read_regular_file
from nono.errors import ProfileError
from nono.named_tuple import NamedTuple
from nono.policy.builtin import shipped
from nono.policy.profile.catalog import file_of
from nono.policy.profile.files import (
    MAX_PROFILE_BYTES,
    NAME,
    as_base,
    one_or_list,
    references,
    user_directory,
)
from nono.policy.profile.store import load_profile
from nono.policy.why.saving import Addition, added

LOCK_WAIT_S = 2.0


class ChangedMeanwhileError(ProfileError):
    """The profile has changed since the draft was made."""


class Target(NamedTuple):
    """A profile to write, either an existing one or a new one."""

    label: str  # its name for --profile; "" while it has none
    file: str | None  # None: it has no name yet
    is_new: bool
    extends: tuple[str, ...] = ()  # the bases of a new profile; the last one decides

    def suggestion(self, program: str) -> str:
        """Suggest a name for a new profile, based on the profile in use or else on the program."""
        stem = f"{self.extends[-1]}-local" if self.extends else basename(program)
        return re.sub("[^A-Za-z0-9]+", "-", stem).strip("-") or "saved"

    def named(self, name: str, environ: Mapping[str, str]) -> Target:
        return self._replace(label=name, file=join(user_directory(environ), f"{name}.json"))

    @staticmethod
    def problem_with(name: str, environ: Mapping[str, str]) -> str | None:
        """Return why a new profile cannot have that name; None if it can."""
        if not re.fullmatch(NAME, name):
            return f"'{name}' is not a profile name: use letters, digits and hyphens"
        if name in shipped.profile_names():
            return f"'{name}' is a built-in profile; yours needs a name of its own"
        if file_of(name, environ) is not None:
            return f"there is a profile '{name}' already, which was not used in this run"
        return None


class Draft(NamedTuple):
    """A profile as it is to be saved."""

    target: Target
    place: str  # where it is written: no link leads away from there
    before: str  # the text of the file that it was made from; "" for a new one
    document: dict[str, Any]


def target_of(reference: str | None, environ: Mapping[str, str]) -> Target:
    """Return the user's own profile if reference names one, else a new profile that extends reference."""
    names = [] if reference is None else references(reference)
    if len(names) == 1 and (file := file_of(names[0], environ)) is not None:
        return Target(names[0], os.path.abspath(file), is_new=False)
    return Target("", None, is_new=True, extends=tuple(map(as_base, names[::-1])))


def rewritten(target: Target, chosen: Iterable[Addition]) -> Draft:
    """Return the profile with the chosen additions. Raises ProfileError as changed does."""
    return changed(target, lambda document: added(document, chosen))


def changed(target: Target, change: Callable[[Mapping[str, Any]], dict[str, Any]]) -> Draft:
    """Return the profile with the document that `change` returns.

    Raises ProfileError if it cannot be parsed, or cannot be rewritten without loss; OSError if it is gone.
    """
    if target.is_new:
        head: dict[str, Any] = {"extends": one_or_list(target.extends)} if target.extends else {}
        head["meta"] = {"name": target.label}
        if not target.extends:
            head["workdir"] = {"access": "read"}  # the default without a profile
        return Draft(target, target.file or "", "", change(head))
    assert target.file is not None  # an existing profile has one
    place = os.path.realpath(target.file)
    text = _text(place)
    try:
        document = json.loads(text)
        if not isinstance(document, dict):
            raise TypeError("it is not an object")
        return Draft(target, place, text, change(document))
    except (AttributeError, KeyError, ValueError, TypeError, RecursionError) as error:
        raise ProfileError(
            f"{target.file} cannot be rewritten without loss ({error}): it may have comments.",
            hint="add the lines above to it by hand",
        ) from error


def save(draft: Draft, environ: Mapping[str, str]) -> None:
    """Write the profile atomically.

    Raises ProfileError, leaving the file unchanged, if nono could not load the result; ChangedMeanwhileError
    if the file has changed since the draft was made: what another session has saved would be lost. A link
    that leads elsewhere meanwhile is such a change; one at `place` itself is replaced. OSErrors pass through.
    """
    target = draft.target
    assert target.file is not None  # the caller has named a new one
    content = (json.dumps(draft.document, indent=2, ensure_ascii=False) + "\n").encode("utf-8")
    judged = f"{target.file}.{os.getpid()}.json"
    atomic_write.create(judged, content)
    try:
        load_profile(judged, environ)
    finally:
        os.unlink(judged)
    if target.is_new:
        atomic_write.create(target.file, content)
        return
    with _locked(dirname(draft.place)):
        if os.path.realpath(target.file) != draft.place or _text(draft.place) != draft.before:
            raise ChangedMeanwhileError(f"{target.file} has changed meanwhile; nothing was saved.")
        atomic_write.replace_name(draft.place, content, mode=None)


@contextmanager
def _locked(directory: str) -> Iterator[None]:
    """Let no other nono write below `directory` meanwhile. Raises ProfileError after LOCK_WAIT_S.

    The directory is locked, because the file is replaced. A profile may lie in a project, whose command
    can hold that lock too, so nobody waits for it without end.
    """
    opened = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        if not locked_within(opened, LOCK_WAIT_S):
            held = f"another program has held a lock on {directory} for {LOCK_WAIT_S:g} s"
            raise ProfileError(f"{held}; nothing was saved.")
        yield
    finally:
        os.close(opened)


def _text(path: str) -> str:
    """Read a profile. Raises OSError, or ProfileError if it is not text."""
    try:
        return read_regular_file(path, MAX_PROFILE_BYTES).decode()
    except UnicodeDecodeError as error:
        raise ProfileError(f"{path} cannot be rewritten: it is not UTF-8.") from error
