"""Remove directories that the command may write from the PATH of programs outside the sandbox."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping

from nono.credentials.helpers.program import DEFAULT_PATH
from nono.policy.capability import Grant
from nono.policy.files.grants import at_every_mount, covering
from nono.policy.host_filesystem import HostFilesystem, way_to


def beside_command(environ: Mapping[str, str], grants: tuple[Grant, ...]) -> dict[str, str]:
    """Return the environment in which programs are found that handle keys while a command runs."""
    written = at_every_mount(grants, HostFilesystem())
    return {**environ, "PATH": unwritten(environ.get("PATH") or DEFAULT_PATH, written)}


def unwritten(search_path: str, grants: Iterable[Grant]) -> str:
    """Return PATH without entries that the command may write, where it could place a bash for env(1)."""
    written = [grant for grant in grants if grant.access.writes]
    kept = [
        entry
        for entry in search_path.split(os.pathsep)
        if not any(covering(written, place) for place in way_to(entry))
    ]
    return os.pathsep.join(kept) or os.defpath
