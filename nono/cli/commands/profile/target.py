"""Find the profile that `nono learn` starts from, and the file that it writes."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from posixpath import basename, join
from typing import Any

from nono.cli import atomic_write
from nono.disk.regular_file import read_regular_file
from nono.errors import ConfigError, NonoError, reason_of
from nono.named_tuple import NamedTuple
from nono.policy.builtin import shipped
from nono.policy.profile.files import (
    MAX_PROFILE_BYTES,
    NAME,
    as_base,
    is_path,
    one_or_list,
    references,
    user_directory,
)
from nono.policy.profile.store import load, own_document
from nono.policy.schema.profile import Profile
from nono.printable import shell_word


class Target(NamedTuple):
    """The destination of a learned profile, and the profile that it starts from."""

    reference: str  # as --profile accepts it
    path: str | None  # canonical; None: the profile is printed
    document: dict[str, Any]  # the profile's content before anything is learned
    before: bytes | None  # the content of the file; None: it does not exist yet
    profile: Profile | None  # the starting profile including its bases; None: there is none
    is_new: bool

    @property
    def file(self) -> str:
        """Return the path of the profile, or the path to assume if the profile is printed."""
        return self.path or os.path.abspath("learned.json")

    def difference(self, text: str) -> list[str]:
        """Return a unified diff between the file and text; empty if they are equal."""
        # Imported here: nothing else needs it.
        from difflib import unified_diff

        before = (self.before or b"").decode("utf-8", "replace").splitlines()
        name = self.path or self.reference
        old = name if self.before is not None else "/dev/null"
        return list(unified_diff(before, text.splitlines(), old, name, lineterm=""))

    def write(self, text: str) -> None:
        """Write text atomically. Raises NonoError if the file has changed meanwhile or cannot be written."""
        assert self.path is not None
        try:
            if os.path.realpath(self.path) != self.path or _read(self.path) != self.before:
                raise NonoError(f"{self.path} has changed while the command ran; nothing was written.")
            if self.before is None:
                atomic_write.create(self.path, text.encode("utf-8"))
            else:
                atomic_write.replace_name(self.path, text.encode("utf-8"), mode=None)
        except OSError as error:
            raise NonoError(f"{self.path} could not be written: {reason_of(error)}") from error


def target_of(output: str | None, profile: str | None, environ: Mapping[str, str]) -> Target:
    """Find the target for -o (output) and --profile.

    Raises ConfigError if the two contradict each other, ProfileError if a profile cannot be loaded.
    """
    path = None
    if output is not None:
        path = os.path.realpath(output if is_path(output) else _user_file(output, environ))
        _refuse_bytes(path)
    before = None if path is None else _read(path)
    if path is not None and before is not None:
        if profile not in (None, output):
            raise ConfigError(
                f"-o {output} is there already, and --profile names another one.",
                hint=f"--profile {shell_word(output or '')} adds to it",
            )
        reference = path if is_path(output or "") else str(output)
        loaded = load(reference, environ, long_lived=True).profile
        _refuse_comments(before, path)
        return Target(reference, path, own_document(reference, environ), before, loaded, is_new=False)
    bases = [] if profile is None else [as_base(each) for each in references(profile)[::-1]]
    document: dict[str, Any] = {"extends": one_or_list(bases)} if bases else {}
    if path is not None:
        document["meta"] = {"name": basename(path).removesuffix(".json")}
    begins_with = None if profile is None else load(profile, environ, long_lived=True).profile
    reference = "FILE" if path is None else path if is_path(output or "") else str(output)
    return Target(reference, path, document, None, begins_with, is_new=True)


def _refuse_bytes(path: str) -> None:
    """Raise ConfigError for a path that is no text: a profile holds its name."""
    try:
        path.encode()
    except UnicodeEncodeError as error:
        raise ConfigError(
            f"-o {shell_word(path)}: this path is no UTF-8, and a profile holds its own name as text.",
            hint="another path",
        ) from error


def _refuse_comments(raw: bytes, path: str) -> None:
    """Raise ConfigError if the file has comments, because rewriting would lose them."""
    try:
        json.loads(raw)
    except ValueError as error:
        raise ConfigError(
            f"{path} has comments, which would be lost when what is learned is added to it.",
            hint="-o another one, with --profile for this one: it extends it",
        ) from error


def _user_file(name: str, environ: Mapping[str, str]) -> str:
    if not re.fullmatch(NAME, name):
        raise ConfigError(
            f"-o '{name}': a profile's name is alphanumeric with hyphens.",
            hint="a file has a slash in its path",
        )
    if name in shipped.profile_names():
        raise ConfigError(
            f"-o {name}: a shipped profile has that name.", hint=f"-o {name}-local --profile {name}"
        )
    return join(user_directory(environ), f"{name}.json")


def _read(path: str) -> bytes | None:
    try:
        return read_regular_file(path, MAX_PROFILE_BYTES)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise NonoError(f"{path} cannot be read: {error.strerror}") from error
