"""Loads a profile: found, validated unless that was done before, folded with its bases."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from nono.named_tuple import NamedTuple
from nono.policy.document.fold import fold, shipped
from nono.policy.profile.files import find
from nono.policy.schema.annotations import build
from nono.policy.schema.profile import Profile


class Loaded(NamedTuple):
    """A profile with its bases merged in."""

    profile: Profile
    warnings: tuple[str, ...]  # of old names, as whole lines
    files: tuple[str, ...]  # the user's that took part; empty: nono ships it as it is
    document: Mapping[str, Any]  # the same as a document


def load_profile(reference: str, environ: Mapping[str, str], extends: Sequence[str] = ()) -> Profile:
    """The profile alone; see load."""
    return load(reference, environ, extends).profile


def profile_of(document: Mapping[str, Any], file: str, environ: Mapping[str, str]) -> Profile:
    """The profile that file would be if it held document. ProfileError as for load."""
    # Imported here: json and pydantic are for those who write profiles.
    import json

    from nono.policy.document.check import validated
    from nono.policy.profile.files import find_as
    from nono.policy.profile.host import this_host

    found = find_as(json.dumps(document).encode(), file, environ)
    return build(Profile, validated(found, this_host())["document"])  # type: ignore[no-any-return]  # of Any


def own_document(reference: str, environ: Mapping[str, str]) -> dict[str, Any]:
    """What the file of that profile itself says, its bases left out. ProfileError as for load."""
    found = find(reference, environ)
    if found.file is None:
        return shipped(found)
    from nono.policy.document.check import own_document as checked_document
    from nono.policy.profile.host import this_host

    return checked_document(found, this_host())


def load(
    reference: str, environ: Mapping[str, str], extends: Sequence[str] = (), *, long_lived: bool = False
) -> Loaded:
    """The profile that a path or a name means (nono.policy.profile.files), its bases merged in.

    extends: further bases, as if they stood first in the file's own list. apart: validates in a process that
    ends, as a supervisor would keep 12 MB of pydantic for hours; call it before a thread runs.

    ProfileError: not found, not readable, not a valid profile, or an inheritance that does not work out.
    """
    found = find(reference, environ, extends)
    if found.is_shipped:
        document = fold(found, shipped)
        return Loaded(build(Profile, document), (), (), document)
    # Imported here: a shipped profile needs neither digest nor host, and hashlib brings OpenSSL.
    from nono.policy.profile import cache
    from nono.policy.profile.host import this_host

    host = this_host()
    key = cache.key_of(found, host)
    entry = cache.kept(key, environ)
    if entry is None:
        if long_lived:
            from nono.policy.profile.isolated import validate_in_fork

            entry = validate_in_fork(found, host)
        else:
            from nono.policy.document.check import validated

            entry = validated(found, host)
        cache.keep(key, entry, environ)
    files = [each.file for each in found.all() if each.file is not None]
    return Loaded(
        build(Profile, entry["document"]), tuple(entry["warnings"]), tuple(files), entry["document"]
    )
