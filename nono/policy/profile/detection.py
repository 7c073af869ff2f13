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
    ".mise.toml": "mise-dev",
    ".tool-versions": "mise-dev",
    # Where there is none of the above: what package managers and workspaces leave.
    "package-lock.json": "node-dev",
    "pnpm-lock.yaml": "node-dev",
    "yarn.lock": "node-dev",
    "Cargo.lock": "rust-dev",
    "go.work": "go-dev",
    "uv.lock": "python-dev",
    "poetry.lock": "python-dev",
    "Pipfile": "python-dev",
    "settings.gradle": "java-dev",
    "settings.gradle.kts": "java-dev",
}

# A file, and the program that works on it.
_PROGRAMS = {
    "bun.lock": "bun",
    "bun.lockb": "bun",
    "pnpm-lock.yaml": "pnpm",
    "yarn.lock": "yarn",
    "package-lock.json": "npm",
    "Cargo.toml": "cargo",
    "go.mod": "go",
    "go.work": "go",
    "uv.lock": "uv",
    "poetry.lock": "poetry",
    "Pipfile": "pipenv",
    "pom.xml": "mvn",
    "build.gradle": "gradle",
    "build.gradle.kts": "gradle",
    "mise.toml": "mise",
    ".mise.toml": "mise",
    ".pre-commit-config.yaml": "pre-commit",
    "lefthook.yml": "lefthook",
}
# Scripts of a project that bring the program.
_WRAPPERS = {"mvn": "mvnw", "gradle": "gradlew"}

# Files of toolchains that no shipped profile has.
_WITHOUT_PROFILE = {
    "Gemfile": "Ruby",
    "composer.json": "PHP",
    "mix.exs": "Elixir",
    "deno.json": "Deno",
    "deno.lock": "Deno",
    "Package.swift": "Swift",
    "stack.yaml": "Haskell",
    "dune-project": "OCaml",
    "global.json": ".NET",
}


def detected(files: Collection[str]) -> Mapping[str, str]:
    """Return the profiles that names at the top of a project ask for, each with one of the names."""
    found: dict[str, str] = {}
    for marker, profile in _MARKERS.items():
        if marker in files and not (profile == "node-dev" and "bun-dev" in found):
            found.setdefault(profile, marker)
    return found


def programs(files: Collection[str]) -> Mapping[str, str]:
    """Return the programs that names at the top of a project ask for, each with one of the names."""
    found: dict[str, str] = {}
    for marker, program in _PROGRAMS.items():
        if marker in files and _WRAPPERS.get(program) not in files:
            found.setdefault(program, marker)
    return found


def without_profile(files: Collection[str]) -> Mapping[str, str]:
    """Return the toolchains that no shipped profile has, each with a name that asks for it."""
    found: dict[str, str] = {}
    for marker, toolchain in _WITHOUT_PROFILE.items():
        if marker in files:
            found.setdefault(toolchain, marker)
    return found
