"""Tells from the files of a project which profile its tools come with."""

from __future__ import annotations

from collections.abc import Collection, Mapping

# A file at the top of a project, and the profile that it asks for. Bun's first: its projects have a
# package.json as well.
_MARKERS = {
    "bun.lock": "bun-dev",
    "bun.lockb": "bun-dev",
    "package.json": "node-dev",
    "Cargo.toml": "rust-dev",
    "go.mod": "go-dev",
    "pyproject.toml": "python-dev",
    "requirements.txt": "python-dev",
    "setup.py": "python-dev",
    "pom.xml": "java-dev",
    "build.gradle": "java-dev",
    "build.gradle.kts": "java-dev",
    "mise.toml": "mise-dev",
}


def detected(files: Collection[str]) -> Mapping[str, str]:
    """Return the profiles that names at the top of a project ask for, each with one of the names."""
    found: dict[str, str] = {}
    for marker, profile in _MARKERS.items():
        if marker in files and not (profile == "node-dev" and "bun-dev" in found):
            found.setdefault(profile, marker)
    return found
