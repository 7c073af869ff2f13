"""List the available profiles, the user's and the shipped ones, with the error of each broken one."""

from __future__ import annotations

from collections.abc import Mapping
from posixpath import exists, join

from nono.errors import NonoError
from nono.named_tuple import NamedTuple
from nono.policy.builtin import shipped as builtin
from nono.policy.profile.files import SUFFIXES, is_path, user_directory, user_profile_names
from nono.policy.profile.store import load_profile, own_document

BUILT_IN, USER, OVERRIDING, FILE = "built-in", "user", "user (overrides built-in)", "file"


class Listed(NamedTuple):
    """One profile; one with an error has only a name and a source."""

    name: str
    source: str  # BUILT_IN, USER, OVERRIDING, or FILE for a path
    description: str | None = None
    extends: tuple[str, ...] = ()
    error: str | None = None


def catalog(environ: Mapping[str, str]) -> list[Listed]:
    """List every profile a name can refer to: shipped ones the user does not override, then the user's."""
    users = user_profile_names(environ)
    shipped = [name for name in builtin.profile_names() if name not in users]
    return [_listed(name, environ) for name in (*shipped, *users)]


def source_of(reference: str, environ: Mapping[str, str]) -> str:
    """Return the source of a profile that can be loaded."""
    if is_path(reference):
        return FILE
    if reference not in user_profile_names(environ):
        return BUILT_IN
    return OVERRIDING if reference in builtin.profile_names() else USER


def extends_of(reference: str, environ: Mapping[str, str]) -> tuple[str, ...]:
    """Return the base names in the profile's own file. Raises ProfileError like load_profile()."""
    extends = own_document(reference, environ).get("extends") or ()
    return (extends,) if isinstance(extends, str) else tuple(extends)


def file_of(reference: str, environ: Mapping[str, str]) -> str | None:
    """Return the file of a profile that is a path or one of the user's; None for others."""
    if is_path(reference):
        return reference
    stem = join(user_directory(environ), reference)
    return next((stem + suffix for suffix in SUFFIXES if exists(stem + suffix)), None)


def _listed(name: str, environ: Mapping[str, str]) -> Listed:
    source = source_of(name, environ)
    try:
        profile = load_profile(name, environ)
        return Listed(name, source, profile.meta.description, extends_of(name, environ))
    except NonoError as error:
        return Listed(name, source, error=error.message)
