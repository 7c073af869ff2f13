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
    from nono.policy.profile_inert import without_effect
    from nono.policy.profile_store import load

    loaded = load(name, environ, apart=stays)
    resolved = resolve(invocation.request, loaded.profile, environ=environ, cwd=cwd, fs=fs)
    warnings = (_writable(file, resolved, fs, cwd) for file in loaded.files)
    inert = without_effect(loaded.profile)
    return resolved._replace(
        warnings=(*inert, *resolved.warnings, *(text for text in warnings if text)),
        deprecations=loaded.warnings,
    )


def _writable(file: str, resolved: Resolved, fs: HostFilesystem, cwd: str) -> str | None:
    """What is to be said of a file that decides about the next run, where the command may write it."""
    path = fs.canonical(os.path.join(cwd, file))
    held = accesses(resolved.capabilities.grants, path) if path is not None else None
    if held is None or not held.writes:
        return None
    return (
        f"the command may write its own profile, {path}: whatever it grants itself there holds from the "
        "next run on. Keep the profile outside the grants."
    )
