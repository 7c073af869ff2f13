"""Warn of a script whose interpreter on PATH is not the one that it has outside."""

from __future__ import annotations

import os

from nono.launch.prepare import Prepared
from nono.policy.environment.inheritance import child_environment
from nono.policy.files.grants import accesses
from nono.policy.host_filesystem import HostFilesystem
from nono.policy.why.lacking.looked_up import name_looked_up, passed_over
from nono.policy.why.usual_table import place_of_program
from nono.printable import shell_word

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


def other_interpreter(prepared: Prepared, head: bytes, environ: Mapping[str, str]) -> str | None:
    """Return a warning if env(1) finds another interpreter inside than outside; None: it does not.

    head: The beginning of the script.
    """
    name = name_looked_up(head)
    if name is None:
        return None
    grants = prepared.capabilities.grants

    def may_start(path: str) -> bool:
        access = accesses(grants, os.path.realpath(path))
        return access is not None and access.reads

    asked = {name: value for name, value in environ.items() if name == "PATH"}
    search_path = child_environment(asked, prepared.resolved.environment).get("PATH", "")
    found = passed_over(_programs(name, search_path), may_start)
    if found is None:
        return None
    first, taken = found
    path = os.path.realpath(first)
    place = place_of_program(path, prepared.resolved.path_context, HostFilesystem())
    option = f"--read-file {shell_word(path)}" if place is None else f"--read {shell_word(place)}"
    return f"this script runs with {taken}, because {first}, which is first on PATH, is not granted: {option}"


def _programs(name: str, search_path: str) -> Iterator[str]:
    for part in search_path.split(os.pathsep):
        path = os.path.join(part, name)
        if os.path.isfile(path) and os.access(path, os.X_OK):
            yield path
