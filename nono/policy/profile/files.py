"""Find the files of a profile and its bases, among the user's and the shipped ones."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping, Sequence
from posixpath import dirname, exists, join, realpath

from nono import paths
from nono.disk import json_text
from nono.disk.regular_file import read_regular_file
from nono.errors import ProfileError, reason_of
from nono.policy.builtin import shipped
from nono.policy.document.found import BadBase, Found
from nono.policy.suggestions import did_you_mean

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

MAX_PROFILE_BYTES = 1024 * 1024
MAX_DEPTH = 10
SUFFIXES = (".jsonc", ".json")  # in the order of precedence

NAME = r"[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?"
_PATH_STARTS = ("./", "../", "/", "~/")


def find(reference: str, environ: Mapping[str, str], extends: Sequence[str] = ()) -> Found:
    """Find the profile for a path (it contains ``/`` or ends in .json or .jsonc) or a name.

    A name is looked up in the user's profile directory, then among the shipped profiles. In a list separated
    by commas, each profile is a base of the one before it, which overrides it. `extends` holds further bases,
    placed before those that the file itself names.

    Raises ProfileError if the profile is missing or unreadable, or an entry of `extends` cannot be found. Bad
    bases in a file's own list are returned as `bad_bases` for its reader to report.
    """
    finder = _Finder(environ)
    found, *more = map(finder.asked_for, references(reference))
    if extends:
        found = finder.with_flags(found, extends)
    return finder.with_bases(found, more[::-1]) if more else found


def references(text: str) -> list[str]:
    """Return the profiles that `text` names, separated by commas. Raises ProfileError."""
    names = text.split(",") if "," in text and not exists(text) else [text]
    if len(names) > 1 and not all(names):
        raise ProfileError(f"Profile parse error: '{text}' names no profile beside a comma")
    return names


def find_as(raw: bytes, file: str, environ: Mapping[str, str]) -> Found:
    """Return what find() would return for `file` if it contained `raw`."""
    return _Finder(environ).of_raw(file, file, raw)


def user_profile_names(environ: Mapping[str, str]) -> list[str]:
    """Return the sorted names of the files in the user's profile directory."""
    try:
        entries = os.listdir(user_directory(environ))
    except OSError:
        return []
    stems = (entry.removesuffix(suffix) for entry in entries for suffix in SUFFIXES if entry.endswith(suffix))
    return sorted(set(stems))


def user_directory(environ: Mapping[str, str]) -> str:
    """Return the user's profile directory."""
    return join(paths.config_dir(environ), "profiles")


def check_name(name: str) -> None:
    """Raise ProfileError if `name` is not a valid profile name."""
    if not re.fullmatch(NAME, name):
        raise ProfileError(
            f"Profile not found: '{name}': a name has letters, digits and hyphens, a path has a slash",
            hint=did_you_mean(name, shipped.profile_names()),
        )


def check_new_name(name: str) -> None:
    """Raise ProfileError if no profile can be made under `name`."""
    if not re.fullmatch(NAME, name):
        raise ProfileError(f"Invalid profile name '{name}': must be alphanumeric with hyphens only")


def is_path(reference: str) -> bool:
    """Return True if `reference` is a file path rather than a name to look up."""
    return "/" in reference or reference.endswith(SUFFIXES)


def as_base(reference: str) -> str:
    """Return `reference` as an entry of `extends` for any directory: a path becomes absolute."""
    return os.path.abspath(reference) if is_path(reference) else reference


def one_or_list(bases: Sequence[str]) -> str | list[str]:
    """Return the value of `extends`: a string for one base, else a list."""
    return bases[0] if len(bases) == 1 else [*bases]


_Chain = tuple[tuple[str, str | None], ...]  # (name, file) of the profiles that led here, outermost first


class _NowhereError(Exception):
    def __init__(self, what: str, hint: str | None = None) -> None:
        self.what = what
        self.hint = hint


class _Finder:
    def __init__(self, environ: Mapping[str, str]) -> None:
        self.environ = environ
        self.known: dict[str | None, dict[str, Found]] = {}  # by file, then name; added with their bases

    def asked_for(self, reference: str) -> Found:
        found = self.file(reference, reference, ()) if is_path(reference) else self.named(reference)
        if found is None:
            raise ProfileError(
                f"Profile not found: {reference}",
                hint=self.nearest(reference) or "nono profile list names those there are",
            )
        return found

    def named(self, name: str) -> Found | None:
        check_name(name)
        path = _file_of(user_directory(self.environ), name)
        return self.file(name, path, ()) if path is not None else self._shipped(name, ())

    def file(self, name: str, path: str, chain: _Chain) -> Found:
        known = self.known.setdefault(path, {})
        if name not in known:
            raw = read_file(path)
            known[name] = self._with_bases(name, path, raw, _extends(raw), chain)
        return known[name]

    def of_raw(self, name: str, path: str, raw: bytes) -> Found:
        return self._with_bases(name, path, raw, _extends(raw), ())

    def with_flags(self, found: Found, extends: Sequence[str]) -> Found:
        """Return `found` with the bases of --extends in front of its own. Raises ProfileError."""
        chain: _Chain = ((found.name, found.file),)
        bases = []
        for name in extends:
            try:
                base = self.file(name, name, chain) if is_path(name) else self._base(name, found.file, chain)
            except _NowhereError as error:
                raise ProfileError(f"Profile inheritance error: {error.what}", hint=error.hint) from error
            bases.append(base)
        return self.with_bases(found, bases)

    @staticmethod
    def with_bases(found: Found, more: Sequence[Found]) -> Found:
        """Return `found` with further bases in front of its own."""
        bases = _distinct((*more, *found.bases))
        return found._replace(
            bases=tuple(bases),
            height=1 + max(base.height for base in bases),
            is_shipped=found.file is None and all(base.is_shipped for base in bases),
        )

    def nearest(self, name: str) -> str | None:
        names = [*shipped.profile_names(), *user_profile_names(self.environ)]
        if name in names:
            # The directory has the entry, and named() did not find a file behind it.
            return f"{user_directory(self.environ)} has a link of that name that leads to no file"
        return did_you_mean(name, names)

    def _shipped(self, name: str, chain: _Chain) -> Found | None:
        if name not in shipped.profile_names():
            return None
        known = self.known.setdefault(None, {})
        if name not in known:
            raw = shipped.profile_bytes(name)
            known[name] = self._with_bases(name, None, raw, _extends(raw), chain)
        return known[name]

    def _with_bases(
        self, name: str, file: str | None, raw: bytes, extends: Sequence[str], chain: _Chain
    ) -> Found:
        chain = (*chain, (name, file))
        bases, bad = list[Found](), list[BadBase]()
        for position, base in enumerate(extends):
            try:
                bases.append(self._base(base, file, chain))
            except _NowhereError as error:
                bad.append(BadBase(position, error.what, error.hint))
        height = 1 + max((base.height for base in bases), default=-1)
        is_shipped = file is None and all(base.is_shipped for base in bases)
        return Found(name, file, raw, tuple(_distinct(bases)), tuple(bad), height, is_shipped)

    def _base(self, name: str, file: str | None, chain: _Chain) -> Found:
        """Find a base of `file`; files beside it come first. Raises _NowhereError."""
        trail = " -> ".join((*(each for each, _ in chain), name))
        found = self._base_at(name, file, chain, trail)
        if len(chain) + found.height > MAX_DEPTH:
            raise _NowhereError(f"inheritance chain too deep (max {MAX_DEPTH}): {trail}")
        return found

    def _base_at(self, name: str, file: str | None, chain: _Chain, trail: str) -> Found:
        if len(chain) > MAX_DEPTH:
            raise _NowhereError(f"inheritance chain too deep (max {MAX_DEPTH}): {trail}")
        if file is not None and name.startswith(_PATH_STARTS):
            path = realpath(join(dirname(realpath(file)), self._at_home(name)))
            self._refuse_circle(name, path, chain, trail)
            if not exists(path):
                raise _NowhereError(f"base profile '{name}' not found")
            return self.file(name, path, chain)
        if not re.fullmatch(NAME, name):
            hint = f"a file is named with its directory: ./{name}" if is_path(name) else None
            raise _NowhereError(f"invalid base profile name '{name}'", hint)
        # Shipped profiles extend only shipped ones: a user's file of the same name must not replace a base.
        beside = [] if file is None else [dirname(realpath(file)), user_directory(self.environ)]
        for directory in beside:
            if (own := _file_of(directory, name, file)) is not None:
                self._refuse_circle(name, own, chain, trail)
                return self.file(name, own, chain)
        self._refuse_circle(name, None, chain, trail)
        found = self._shipped(name, chain)
        if found is None:
            itself = any(name == each for each, _ in chain)
            if itself:
                raise _NowhereError(f"circular dependency detected: {trail}")
            raise _NowhereError(f"base profile '{name}' not found", self.nearest(name))
        return found

    def _refuse_circle(self, name: str, path: str | None, chain: _Chain, trail: str) -> None:
        is_there = (
            any(_is_same(path, file) for _, file in chain)
            if path is not None
            else any(each == name and file is None for each, file in chain)
        )
        if is_there:
            raise _NowhereError(f"circular dependency detected: {trail}")

    def _at_home(self, path: str) -> str:
        return join(paths.home(self.environ), path[2:]) if path.startswith("~/") else path


def _file_of(directory: str, name: str, but: str | None = None) -> str | None:
    """Return the file for a name, except `but`, so that a profile can extend the one it hides."""
    candidates = (join(directory, name + suffix) for suffix in SUFFIXES)
    return next((path for path in candidates if exists(path) and not _is_same(path, but)), None)


def _is_same(path: str, other: str | None) -> bool:
    return other is not None and realpath(path) == realpath(other)


def _distinct(bases: Iterable[Found]) -> list[Found]:
    return [*{base.key: base for base in reversed([*bases])}.values()][::-1]


def _extends(raw: bytes) -> list[str]:
    """Return the names in `extends` as far as readable; validation of the file reports mistakes."""
    try:
        document: Any = json_text.parse(raw.decode())
    except (ValueError, RecursionError):
        from nono.policy.document.jsonc import parse  # imported here: few files have comments

        root, _ = parse(raw.decode("utf-8", "replace"))
        document = root.plain() if root is not None else None
    extends = document.get("extends") if isinstance(document, dict) else None
    names = [extends] if isinstance(extends, str) else extends
    return [name for name in names if isinstance(name, str)] if isinstance(names, list) else []


def read_file(path: str) -> bytes:
    """Read a profile. Raises ProfileError if it is missing, not a regular file, or too large."""
    try:
        return read_regular_file(path, MAX_PROFILE_BYTES)
    except FileNotFoundError as error:
        # namespace/name is a pack's name; ./x/y can only be a file.
        is_pack = re.fullmatch(r"[^/.~][^/]*/[^/]+", path) and not path.endswith(SUFFIXES)
        hint = f"a file: ./{path}; packs are not available yet" if is_pack else None
        raise ProfileError(f"Profile read error at {path}: profile file not found", hint=hint) from error
    except (OSError, ValueError) as error:
        raise ProfileError(f"Profile read error at {path}: {reason_of(error)}") from error
