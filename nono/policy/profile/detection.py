"""Detect from the files of a project which profiles its tools need."""

from __future__ import annotations

from collections.abc import Collection, Mapping

# File names at the top of a project, and the profile that each suggests. Bun's come first, because its
# projects have a package.json too.
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
    # For projects without any of these: files of package managers and workspaces.
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

# File names, and the program that works on each.
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
# Scripts in a project that replace the program.
_WRAPPERS = {"mvn": "mvnw", "gradle": "gradlew"}

# The agents of the shipped profiles, by program.
AGENTS = {
    "claude": "claude-code",
    "codex": "codex",
    "gemini": "gemini-cli",
    "opencode": "opencode",
    "goose": "goose",
    "aider": "aider",
    "openclaw": "openclaw",
    "qwen": "qwen-code",
    "copilot": "copilot-cli",
}
# Agents without a shipped profile, and where they keep their state (docs/agents.md), by program. Not their
# caches: a run has others, and Kilo outside imports what it finds in its own (ADR 108).
STATE_OF_OTHER_AGENTS = {
    "amp": ("~/.config/amp", "~/.local/share/amp"),
    "cline": ("~/.cline",),
    "cn": ("~/.continue",),
    "gptme": ("~/.local/share/gptme",),
    "kilo": (
        "~/.config/kilo",
        "~/.local/share/kilo",
        "~/.local/state/kilo",
        "~/.local/state/kilo-sandbox-policy",
    ),
    "mini": ("~/.config/mini-swe-agent",),
    "openhands": ("~/.openhands",),
    "pi": ("~/.pi",),
}
_OF_NO_AGENT = frozenset({"default", "linux-host-compat", *_MARKERS.values()})

# Files of toolchains without a shipped profile.
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
    """Return the profiles that file names at the top of a project suggest, each with one of the names."""
    found: dict[str, str] = {}
    for marker, profile in _MARKERS.items():
        if marker in files and not (profile == "node-dev" and "bun-dev" in found):
            found.setdefault(profile, marker)
    return found


def programs(files: Collection[str]) -> Mapping[str, str]:
    """Return the programs that file names at the top of a project suggest, each with one of the names."""
    found: dict[str, str] = {}
    for marker, program in _PROGRAMS.items():
        if marker in files and _WRAPPERS.get(program) not in files:
            found.setdefault(program, marker)
    return found


def without_profile(files: Collection[str]) -> Mapping[str, str]:
    """Return the toolchains without a shipped profile, each with a file name that suggests it."""
    found: dict[str, str] = {}
    for marker, toolchain in _WITHOUT_PROFILE.items():
        if marker in files:
            found.setdefault(toolchain, marker)
    return found


def agent_profile(program: str, reference: str | None) -> str | None:
    """Return the shipped profile of an agent that ran without it; None for another program.

    reference: The profiles of the run. None is returned if one of them may be for agents.
    """
    if not _OF_NO_AGENT.issuperset((reference or "default").split(",")):
        return None
    return AGENTS.get(program)
