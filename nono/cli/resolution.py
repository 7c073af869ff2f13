"""The policy of a typed command: its profile found, its flags resolved."""

from __future__ import annotations

import os
from collections.abc import Mapping

from nono.cli.parse import Invocation
from nono.errors import NonoError
from nono.policy.filesystem import HostFilesystem
from nono.policy.grants import accesses
from nono.policy.resolve import Resolved, resolve


def resolve_given(invocation: Invocation, environ: Mapping[str, str], *, stays: bool = False) -> Resolved:
    """NonoError when flags, profile and host do not fit together.

    stays: this process will supervise, and not keep in memory what a profile is validated with.
    """
    try:
        cwd = os.getcwd()
    except OSError as error:
        raise NonoError(
            f"the current directory cannot be used: {error.strerror}", hint="cd to one that exists"
        ) from error
    name = invocation.given.value("profile")
    fs = HostFilesystem()
    if name is None:
        return resolve(invocation.request, None, environ=environ, cwd=cwd, fs=fs)
    # Imported here: it brings json and re along, which a run without a profile may do without.
    from nono.policy.profile_apart import load_profile_apart
    from nono.policy.profile_store import is_path, load_profile

    profile = load_profile_apart(name, environ) if stays else load_profile(name, environ)
    resolved = resolve(invocation.request, profile, environ=environ, cwd=cwd, fs=fs)
    file = fs.canonical(os.path.join(cwd, name)) if is_path(name) else None
    held = accesses(resolved.capabilities.grants, file) if file is not None else None
    if held is None or not held.writes:
        return resolved
    warning = (
        f"the command may write its own profile, {file}: whatever it grants itself there holds from the "
        "next run on. Keep the profile outside the grants."
    )
    return resolved._replace(warnings=(*resolved.warnings, warning))
