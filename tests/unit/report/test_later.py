"""Changed files that something outside the sandbox runs later are named, and no others."""

from __future__ import annotations

import pytest

from nono.policy.learning.steering import SteeringPaths
from nono.report.later import left, runs_later, together
from nono.report.model import FileChange, RunsLater

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
        ".git/hooks/x.sqlite",
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
        ".devcontainer.json",
        "gradle/wrapper/gradle-wrapper.jar",
        "pnpm-workspace.yaml",
        "lib/BUILD.bazel",
        ".kiro/hooks/x.json",
        ".roo/mcp.json",
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
        "BUILD/devcontainer.json",
        "lib/gradle.jar",
    ],
)
def test_an_ordinary_file_is_not_named(path: str) -> None:
    assert runs_later([f"{PROJECT}/{path}"], STEERING, PROJECT) == ()


@pytest.mark.parametrize("name", ["state_5.sqlite", "state_5.sqlite-wal", "logs.db", "x.sqlite3-journal"])
def test_a_database_of_an_agent_is_not_taken_for_instructions(name: str) -> None:
    assert runs_later([f"/home/ada/.codex/{name}"], STEERING, PROJECT) == ()
    assert runs_later([f"/home/ada/.codex/{name}.md"], STEERING, PROJECT) != ()


def test_what_the_run_found_stands_in_place_of_the_path_alone() -> None:
    told = RunsLater(f"{PROJECT}/.git/config", "git outside runs what these name: core.hooksPath")
    other = f"{PROJECT}/.envrc"
    found = runs_later([told.path, other], STEERING, PROJECT, [told])
    assert [each.path for each in found] == [other, told.path]
    assert told in found


STATE = [f"/home/ada/.codex/skills/.system/{number}/SKILL.md" for number in range(30)]


def test_files_of_the_project_come_before_those_of_an_agents_state() -> None:
    found = runs_later([*STATE, f"{PROJECT}/Makefile", "/home/ada/.bashrc"], STEERING, PROJECT)
    assert [each.path for each in found][:2] == [f"{PROJECT}/Makefile", "/home/ada/.bashrc"]
    assert len(found) == 32


def test_many_files_of_one_directory_of_an_agent_are_taken_together() -> None:
    alone = ["/home/ada/.codex/config.toml", *(f"/home/ada/.codex/rules/{name}.rules" for name in "abc")]
    shown = [*together(runs_later([*STATE, *alone], STEERING, PROJECT))]
    assert [(each.path, each.files) for each in shown] == [
        *((path, 0) for path in alone),
        ("/home/ada/.codex/skills/", 30),
    ]


def test_files_of_a_worktree_are_not_those_of_the_agent_that_keeps_it() -> None:
    tree = "/home/ada/work/.claude/worktrees/fix"
    named = [f"{tree}/{directory}/AGENTS.md" for directory in "abcd"]
    counted = [f"{tree}/.claude/skills/{number}/SKILL.md" for number in range(4)]
    shown = [*together(runs_later([*named, *counted], STEERING, tree))]
    assert [(each.path, each.files) for each in shown] == [
        (f"{tree}/.claude/skills/", 4),
        *((path, 0) for path in named),
    ]


def test_files_of_packages_are_taken_together_and_come_last() -> None:
    packages = [f"{PROJECT}/node_modules/{name}/package.json" for name in "abcd"]
    instructions = [f"{PROJECT}/node_modules/{name}/AGENTS.md" for name in "abcd"]
    own = [f"{PROJECT}/package.json", "/home/ada/.bashrc"]
    found = runs_later([*packages, *instructions, *own], STEERING, PROJECT)
    assert len(found) == len(packages) + len(instructions) + len(own)
    assert [(each.path, each.files) for each in together(found)] == [
        *((path, 0) for path in own),
        (f"{PROJECT}/node_modules/", 4),
        (f"{PROJECT}/node_modules/", 4),
    ]


def test_a_hook_among_packages_is_named_like_any_other() -> None:
    packages = [f"{PROJECT}/node_modules/{name}/package.json" for name in "abcd"]
    hook = f"{PROJECT}/node_modules/a/.git/hooks/pre-commit"
    first, second = together(runs_later([*packages, hook], STEERING, PROJECT))
    assert (first.path, first.files) == (hook, 0)
    assert (second.path, second.files) == (f"{PROJECT}/node_modules/", 4)


def test_files_that_run_for_other_reasons_are_named_one_by_one() -> None:
    paths = [f"{PROJECT}/.github/workflows/{number}.yml" for number in range(9)]
    shown = [*together(runs_later(paths, STEERING, PROJECT))]
    assert [(each.path, each.files) for each in shown] == [(path, 0) for path in paths]


def test_a_file_that_a_later_turn_removed_is_not_left() -> None:
    changes = [("a", "created"), ("b", "created"), ("c", "deleted"), ("a", "deleted"), ("c", "created")]
    assert left(FileChange(path, change) for path, change in changes) == ["b", "c"]
