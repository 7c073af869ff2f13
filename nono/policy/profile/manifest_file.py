"""Read a capability manifest from a file."""

from __future__ import annotations

from nono.errors import ProfileError
from nono.forked import call_in_fork
from nono.named_tuple import NamedTuple
from nono.policy.document.source import read_source
from nono.policy.export.manifest import Beside, to_profile
from nono.policy.profile.files import read_file
from nono.policy.profile.host import this_host
from nono.policy.schema.profile import Profile


class Manifest(NamedTuple):
    """A manifest that was read successfully."""

    profile: Profile  # the equivalent profile
    beside: Beside


def load_manifest(path: str, *, long_lived: bool = False) -> Manifest:
    """Load a manifest. `long_lived` validates in a fork, as for nono.policy.profile.store.load.

    Raises ProfileError that names every mistake with its position.
    """
    found = call_in_fork(lambda: _load(path)) if long_lived else None
    return found or _load(path)  # after a mistake, loading it again here reports it


def _load(path: str) -> Manifest:
    from nono.policy.document.validate import validate

    try:
        source = read_source(read_file(path), path)
        beside, mistakes = to_profile(source)
        return Manifest(validate(source, this_host(), mistakes).profile, beside)
    except ProfileError as error:
        message = error.message.replace("Profile ", "Manifest ", 1).replace(
            ": profile file", ": manifest file", 1
        )
        raise ProfileError(message, hint=error.hint) from error
