"""Reads a capability manifest."""

from __future__ import annotations

from nono.errors import ProfileError
from nono.forked import call_in_fork
from nono.named_tuple import NamedTuple
from nono.policy.capability import NetworkMode
from nono.policy.document.source import read_source
from nono.policy.export.manifest import to_profile
from nono.policy.profile.files import read_file
from nono.policy.profile.host import this_host
from nono.policy.schema.profile import Profile


class Manifest(NamedTuple):
    """One that could be read."""

    profile: Profile  # that says the same
    mode: NetworkMode | None  # of the network, where it is given


def load_manifest(path: str, *, long_lived: bool = False) -> Manifest:
    """ProfileError names every mistake with its place. apart: as nono.policy.profile.store.load."""
    found = call_in_fork(lambda: _load(path)) if long_lived else None
    return found or _load(path)  # a mistake is found here once more, and complained about


def _load(path: str) -> Manifest:
    from nono.policy.document.validate import validate

    try:
        source = read_source(read_file(path), path)
        mode, mistakes = to_profile(source)
        return Manifest(validate(source, this_host(), mistakes).profile, mode)
    except ProfileError as error:
        raise ProfileError(error.message.replace("Profile ", "Manifest ", 1), hint=error.hint) from error
