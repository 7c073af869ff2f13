"""Changed files that something outside the sandbox runs later are named, and no others."""

from __future__ import annotations

import pytest

from nono.policy.learning.steering import SteeringPaths
from nono.report.later import runs_later
from nono.report.model import RunsLater

PROJECT = "/home/ada/bin/work"  # its own name says nothing
STEERING = SteeringPaths({"/home/ada/.bashrc": "a shell outside reads it when it starts"})


@pytest.mark.parametrize(
    "path",
    [
        ".git/hooks/pre-commit",
        "deep/down/.git/hooks/post-checkout",
        ".vscode/tasks.json",
        ".mcp.json",
        ".envrc",
        ".github/workflows/ci.yml",
        ".gitlab-ci.yml",
        "package.json",
        "web/package-lock.json",
        "Makefile",
        "CLAUDE.md",
        "sub/.claude/settings.json",
        ".opencode/plugin/x.js",
        ".github/agents/x.agent.md",
        ".qwen/commands/x.toml",
        "QWEN.md",
        ".devcontainer/devcontainer.json",
        "Dockerfile.dev",
        "web/eslint.config.mjs",
        "vite.config.ts",
        ".prettierrc.cjs",
        "Procfile",
        "ada.code-workspace",
        "/home/ada/.bashrc",
    ],
)
def test_a_file_that_runs_later_is_named_with_its_reason(path: str) -> None:
    changed = path if path.startswith("/") else f"{PROJECT}/{path}"
    (only,) = runs_later([changed], STEERING, PROJECT)
    assert only.path == changed
    assert only.reason


@pytest.mark.parametrize(
    "path",
    [
        "src/main.c",
        "README.md",
        "hooks/pre-commit",
        "package.json.md",
        "docs/Makefile-notes",
        "git/hooks",
        "src/config.ts",
        "eslint.config.md",
        ".prettierrc.json",
    ],
)
def test_an_ordinary_file_is_not_named(path: str) -> None:
    assert runs_later([f"{PROJECT}/{path}"], STEERING, PROJECT) == ()


def test_what_the_run_found_stands_in_place_of_the_path_alone() -> None:
    told = RunsLater(f"{PROJECT}/.git/config", "git outside runs what these name: core.hooksPath")
    other = f"{PROJECT}/.envrc"
    found = runs_later([told.path, other], STEERING, PROJECT, [told])
    assert [each.path for each in found] == [other, told.path]
    assert told in found
