"""Where profiles are found: files, the user's directory, the shipped ones, and the bases they extend."""

from __future__ import annotations

import json
import os
import re
import stat
from collections.abc import Mapping
from posixpath import exists, join
from typing import Any

from nono import paths
from nono.errors import ProfileError
from nono.policy import builtin
from nono.policy.merge import merge
from nono.policy.nearest import did_you_mean
from nono.policy.profile import Profile, from_shipped

MAX_PROFILE_BYTES = 1024 * 1024
MAX_DEPTH = 10

_NAME = r"[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?"


def load_profile(reference: str, environ: Mapping[str, str]) -> Profile:
    """The profile that a path (it has a ``/`` or ends in .json) or a name means, its bases merged in.

    A name is looked up in the user's profile directory first, then among the shipped ones. ProfileError:
    not found, not readable, not a valid profile, or an inheritance that does not work out.
    """
    return _Loader(environ).load(reference)


def own_document(reference: str, environ: Mapping[str, str]) -> dict[str, Any]:
    """What the file of that profile itself says, its bases left out. ProfileError as for load_profile."""
    return _Loader(environ).own(reference)


def user_profile_names(environ: Mapping[str, str]) -> list[str]:
    """The names of the files in the user's profile directory, sorted."""
    try:
        entries = os.listdir(_user_directory(environ))
    except OSError:
        return []
    return sorted(entry.removesuffix(".json") for entry in entries if entry.endswith(".json"))


def is_path(reference: str) -> bool:
    """Whether a reference means a file, rather than a name to look up."""
    return "/" in reference or reference.endswith((".json", ".jsonc"))


class _Loader:
    """One look-up; remembers whether a file of the user's took part, which is what pydantic is for."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self.environ = environ
        self.is_shipped = True

    def load(self, reference: str) -> Profile:
        merged = self._with_bases(self.own(reference), (reference,))
        if self.is_shipped:
            return from_shipped(merged)
        from nono.policy.profile_schema import validate

        return validate(merged, reference)[1]

    def own(self, reference: str) -> dict[str, Any]:
        document = self._file(reference) if is_path(reference) else self._named(reference)
        if document is None:
            raise self._not_found(reference)
        return document

    def _with_bases(self, document: Mapping[str, Any], chain: tuple[str, ...]) -> dict[str, Any]:
        extends = document.get("extends") or ()
        bases = (extends,) if isinstance(extends, str) else tuple(extends)
        folded: dict[str, Any] = {}
        for name in bases:
            folded = merge(folded, self._base(name, chain))
        return merge(folded, document)

    def _base(self, name: str, chain: tuple[str, ...]) -> dict[str, Any]:
        trail = " -> ".join((*chain, name))
        if name in chain:
            raise ProfileError(f"Profile inheritance error: circular dependency detected: {trail}")
        if len(chain) > MAX_DEPTH:
            raise ProfileError(
                f"Profile inheritance error: inheritance chain too deep (max {MAX_DEPTH}): {trail}"
            )
        if not re.fullmatch(_NAME, name):
            raise ProfileError(f"Profile inheritance error: invalid base profile name '{name}'")
        document = self._named(name)
        if document is None:
            raise ProfileError(
                f"Profile inheritance error: base profile '{name}' not found", hint=self._nearest(name)
            )
        return self._with_bases(document, (*chain, name))

    def _named(self, name: str) -> dict[str, Any] | None:
        if not re.fullmatch(_NAME, name):
            raise ProfileError(
                f"Profile parse error: Invalid profile name '{name}': must be alphanumeric with hyphens only"
            )
        stem = join(_user_directory(self.environ), name)
        if exists(f"{stem}.jsonc"):  # it would come first, so it may not be passed over
            raise ProfileError(
                f"Profile parse error: {stem}.jsonc: comments in profiles are not available yet"
            )
        if exists(f"{stem}.json"):
            return self._file(f"{stem}.json")
        return builtin.profile_document(name) if name in builtin.profile_names() else None

    def _file(self, path: str) -> dict[str, Any]:
        from nono.policy.profile_schema import validate  # pydantic, which shipped profiles do without

        self.is_shipped = False
        return validate(parse_document(_read(path), path), path)[0]

    def _not_found(self, name: str) -> ProfileError:
        return ProfileError(f"Profile not found: {name}", hint=self._nearest(name))

    def _nearest(self, name: str) -> str | None:
        return did_you_mean(name, [*builtin.profile_names(), *user_profile_names(self.environ)])


def parse_document(raw: bytes, path: str) -> object:
    """The JSON value in raw (RFC 8259). ProfileError: not UTF-8, not JSON, or a key given twice."""
    try:
        return json.loads(raw.decode("utf-8"), object_pairs_hook=_without_duplicates)
    except UnicodeDecodeError as error:
        raise ProfileError(f"Profile parse error: invalid UTF-8: {path}: byte {error.start}") from error
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}"
        raise ProfileError(f"Profile parse error: {path}: {where}: {error.msg}") from error
    except (ValueError, RecursionError) as error:
        raise ProfileError(f"Profile parse error: {path}: {error}") from error


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    document = dict(pairs)
    if len(document) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"duplicate field '{twice}'")
    return document


def _read(path: str) -> bytes:
    try:
        # O_NONBLOCK: a FIFO in the place of a profile must not hold nono up for ever.
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except FileNotFoundError as error:
        raise ProfileError(f"Profile read error at {path}: profile file not found") from error
    except (OSError, ValueError) as error:
        raise ProfileError(f"Profile read error at {path}: {error}") from error
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise ProfileError(f"Profile read error at {path}: not a regular file")
    with open(descriptor, "rb") as file:
        raw = file.read(MAX_PROFILE_BYTES + 1)
    if len(raw) > MAX_PROFILE_BYTES:
        raise ProfileError(f"Profile read error at {path}: larger than {MAX_PROFILE_BYTES} bytes")
    return raw


def _user_directory(environ: Mapping[str, str]) -> str:
    return join(paths.config_dir(environ), "profiles")
