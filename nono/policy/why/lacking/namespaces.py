"""Tell that a failed command makes mounts, or namespaces of its own, which no run may."""

from __future__ import annotations

from collections.abc import Sequence

from nono.policy.why.commands.words import started

# podman and buildah are in the table of `usual`, with the files that they look for first.
MAKE_MOUNTS = frozenset(
    (
        *("bwrap", "unshare", "flatpak", "flatpak-builder", "rootlesskit", "nsjail", "firejail", "apptainer"),
        *("sshfs", "bindfs", "fusermount", "fusermount3"),
    )
)

# Electron too: its programs have names of their own, but a project starts them by this one.
_CONFINE_THEMSELVES = frozenset(
    (
        *("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "electron"),
        *("microsoft-edge", "brave-browser"),
    )
)


def makes_mounts(argv: Sequence[str]) -> str | None:
    """Return the program of a command line that makes mounts or namespaces; None if there is none."""
    return next((each.program for each in started(argv) if each.program in MAKE_MOUNTS), None)


def confines_itself(argv: Sequence[str]) -> str | None:
    """Return the browser of a command line that makes a sandbox for its pages; None if there is none."""
    found = (each for each in started(argv) if each.program in _CONFINE_THEMSELVES)
    return next((each.program for each in found if not each.has_option("--no-sandbox")), None)
