"""Load a profile: find it, validate it unless cached, fold it with its bases."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from nono.named_tuple import NamedTuple
from nono.policy.document.fold import fold, shipped
from nono.policy.profile.files import find
from nono.policy.schema.build import build_profile
from nono.policy.schema.profile import Profile

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    from nono.policy.document.found import Found
    from nono.policy.document.when import Host


class Loaded(NamedTuple):
    """A profile with its bases merged in."""

    profile: Profile
    warnings: tuple[str, ...]  # whole lines, about old names
    files: tuple[str, ...]  # the user's files involved; empty if all are shipped
    document: Mapping[str, Any]  # the profile as a document


def load_profile(reference: str, environ: Mapping[str, str]) -> Profile:
    """Load the profile alone; see load()."""
    return load(reference, environ).profile


def profile_of(document: Mapping[str, Any], file: str, environ: Mapping[str, str]) -> Profile:
    """Return the profile that `file` would be if it contained `document`. Raises ProfileError like load()."""
    # Imported here: only commands that write profiles need json and pydantic.
    import json

    from nono.policy.document.check import validated
    from nono.policy.profile.files import find_as
    from nono.policy.profile.host import this_host

    found = find_as(json.dumps(document).encode(), file, environ)
    return build_profile(validated(found, this_host())["document"])


def own_document(reference: str, environ: Mapping[str, str]) -> dict[str, Any]:
    """Return the document in the profile's own file, without bases. Raises ProfileError like load()."""
    return _own(find(reference, environ))


def _own(found: Found) -> dict[str, Any]:
    if found.file is None:
        return shipped(found)
    from nono.policy.document.check import own_document as checked_document
    from nono.policy.profile.host import this_host

    return checked_document(found, this_host())


def labels_of(
    fields: Iterable[str], reference: str, environ: Mapping[str, str], extends: Sequence[str] = ()
) -> dict[str, str]:
    """Return the label of the profile whose own file has each field, such as "network.block".

    Takes the rest like load(), which has succeeded. Leaves out what only an override for a platform sets.
    """
    wanted, labels = [*fields], dict[str, str]()
    for found in find(reference, environ, extends).all():
        document = _own(found)
        for field in wanted:
            section, _, name = field.partition(".")
            value = document.get(section) or {}
            if value.get(name) if name else value:
                labels.setdefault(field, f"profile {found.name}")
    return labels


def load(
    reference: str, environ: Mapping[str, str], extends: Sequence[str] = (), *, long_lived: bool = False
) -> Loaded:
    """Load the profile for a path or a name (nono.policy.profile.files), with its bases merged in.

    extends: further bases, as if they came first in the file's own list.
    long_lived: validate in a process that exits, since a supervisor would keep 12 MB of pydantic for hours.

    Call it before any thread runs if `long_lived`. Raises ProfileError if the profile is missing, unreadable
    or invalid, or its inheritance fails.
    """
    found = find(reference, environ, extends)
    if found.is_shipped:
        document = fold(found, shipped)
        return Loaded(build_profile(document), (), (), document)
    # Imported here: a shipped profile needs neither digest nor host, and hashlib imports OpenSSL.
    from nono.policy.profile import cache
    from nono.policy.profile.host import this_host

    host = this_host()
    key = cache.key_of(found, host)
    entry = cache.kept(key, environ)
    if entry is None:
        if long_lived:
            from nono.forked import call_in_fork

            entry = call_in_fork(lambda: _validated(found, host))
        # Usually the profile has a mistake if the fork did not return: validating it here reports it.
        entry = entry or _validated(found, host)
        cache.keep(key, entry, environ)
    files = [each.file for each in found.all() if each.file is not None]
    return Loaded(build_profile(entry["document"]), tuple(entry["warnings"]), tuple(files), entry["document"])


def _validated(found: Found, host: Host) -> dict[str, Any]:
    from nono.policy.document.check import validated  # imports pydantic into this process

    return validated(found, host)
