"""Tell that a failed command makes namespaces and mounts of its own, which no run may."""

from __future__ import annotations

from collections.abc import Sequence

from nono.policy.why.command_words import started

# podman and buildah are in the table of `usual`, with the files that they look for first.
MAKE_MOUNTS = frozenset(
    {"bwrap", "unshare", "flatpak", "flatpak-builder", "rootlesskit", "nsjail", "firejail", "apptainer"}
)


def makes_mounts(argv: Sequence[str]) -> str | None:
    """Return the program of a command line that makes namespaces and mounts; None if there is none."""
    return next((each.program for each in started(argv) if each.program in MAKE_MOUNTS), None)
