"""Name the changed files that programs outside the sandbox will run or obey, and why."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from posixpath import basename

from nono.named_tuple import NamedTuple
from nono.policy.learning.steering import SteeringPaths
from nono.report.model import FileChange, RunsLater

DELETED = "deleted"
_CI = "the project's CI runs what it says"
_BUILD = "a build, an install or a test outside runs what it holds"
_AGENT = "an agent outside takes it for instructions"
_CONTAINER = "a container outside is built and started from it"

# Names of files and directories at any depth; a directory stands for everything in it.
_BELOW = {
    _CI: (
        ".github/workflows", ".github/actions", ".gitlab-ci.yml", ".gitlab/ci", ".circleci", ".travis.yml",
        ".drone.yml", ".woodpecker", ".woodpecker.yml", "azure-pipelines.yml", "bitbucket-pipelines.yml",
        "Jenkinsfile", ".buildkite", ".forgejo/workflows", ".gitea/workflows", ".ci", "appveyor.yml",
    ),
    _BUILD: (
        "package.json", "package-lock.json", "npm-shrinkwrap.json", "yarn.lock", "pnpm-lock.yaml",
        "bun.lock", "Makefile", "makefile", "GNUmakefile", "justfile", "Justfile", "Taskfile.yml",
        "Rakefile", "Gemfile", "Gemfile.lock", "setup.py", "setup.cfg", "pyproject.toml", "uv.lock",
        "poetry.lock", "requirements.txt", "tox.ini", "noxfile.py", "conftest.py", "build.rs",
        "Cargo.toml", "Cargo.lock", "CMakeLists.txt", "meson.build", "configure", "build.gradle",
        "build.gradle.kts", "settings.gradle", "gradlew", "mvnw", "pom.xml", "composer.json",
        "composer.lock", "go.mod", "flake.nix", "shell.nix", "lefthook.yml", ".husky",
        "default.nix", "devenv.nix", "dodo.py", "fabfile.py", "pavement.py", "Procfile", "Vagrantfile",
        "Tiltfile", "Earthfile", "Gruntfile.js", "gulpfile.js", "deno.json", "bunfig.toml", ".rspec",
        "MODULE.bazel", "WORKSPACE", ".bazelrc", "gradle.properties", "gradle-wrapper.properties",
        ".sbtopts", ".jvmopts", ".lefthook.yml", "gradle-wrapper.jar", "settings.gradle.kts",
        "pnpm-workspace.yaml", "bun.lockb", "deno.jsonc", "Pipfile", "Pipfile.lock", "pdm.lock", "go.work",
        "Taskfile.yaml", ".justfile", "BUILD.bazel", "WORKSPACE.bazel", "build.sbt", "mix.exs", "devbox.json",
    ),
    _AGENT: (
        "CLAUDE.md", "CLAUDE.local.md", "AGENTS.md", "GEMINI.md", "QWEN.md", ".goosehints", ".cursorrules",
        ".cursor", ".windsurfrules", ".github/copilot-instructions.md", ".github/instructions",
        ".github/prompts", ".github/agents", ".github/skills", ".agents", ".claude", ".codex", ".gemini",
        ".qwen", ".opencode", ".pi", ".amp", ".kilo", ".kilocode", ".crush.json", "crush.json",
        ".aider.conf.yml", "SKILL.md", ".clinerules", ".roo", ".windsurf", ".kiro", ".amazonq", ".continue",
        ".junie",
    ),
    _CONTAINER: (
        "Dockerfile", "Containerfile", "compose.yml", "compose.yaml", "docker-compose.yml", ".devcontainer",
        ".devcontainer.json",
    ),
}  # fmt: skip
# What agents keep among these and take for no instructions, as Codex in state_5.sqlite.
_DATABASE = re.compile(r"\.(?:db|sqlite3?)(?:-(?:journal|shm|wal))?\Z")
# Settings of JavaScript's tools that are code, as eslint.config.mjs, which an editor runs for each file too.
_CODE_OF_A_TOOL = re.compile(r"(?:\.config\.[cm]?[jt]s|^\.[\w-]+rc\.[cm]?[jt]s)\Z")
# A directory in the state of an agent, such as ~/.codex/skills. What is in a worktree there is of a project.
_IN_STATE = re.compile(
    r"(?P<directory>.*?/\.(?:agents|amp|claude|codex|cursor|gemini|kilo|kilocode|opencode|pi|qwen)/(?!worktrees/)[^/]+)/"
)
# A directory that a package manager fills with the files of others.
_OF_PACKAGES = re.compile(
    r"(?P<directory>.*?/(?:node_modules|bower_components|\.venv|venv|site-packages|\.tox|\.nox))/"
)
_NAMED_MAX = 3  # files of such a directory that are named one by one
# For projects without a record of changes: the search starts at these names.
_BY_NAME = {name: reason for reason, names in _BELOW.items() for name in names if "/" not in name}
_BY_TAIL = {name: reason for reason, names in _BELOW.items() for name in names if "/" in name}
LOOKED_AT = (
    ".git/hooks", ".git/config", ".githooks", ".husky", ".vscode", ".idea", ".envrc", ".mise.toml",
    ".mcp.json", ".claude", ".pre-commit-config.yaml", ".npmrc", ".gitmodules", ".gitattributes",
    ".cargo/config.toml", ".github/workflows", ".devcontainer",
    *(name for name in _BY_NAME if name not in (".husky", ".claude", ".devcontainer")),
)  # fmt: skip


def left(files: Iterable[FileChange]) -> list[str]:
    """Return the paths that the run did not remove again. files: turn by turn."""
    last = {each.path: each.change for each in files}
    return [path for path, change in last.items() if change != DELETED]


def runs_later(
    changed: Iterable[str], steering: SteeringPaths, project: str, told: Sequence[RunsLater] = ()
) -> tuple[RunsLater, ...]:
    """Return those of the changed files, absolute paths, that programs outside will run or obey.

    Those of the project come first: an agent writes many to its own state in every run. Last are those of
    installed packages, of which there are thousands.

    project: The working directory of the run. Its own name tells nothing about its contents.
    told: What the run itself reported, which is more precise than the path of a file.
    """
    found, known = [*told], {each.path for each in told}
    below = project.rstrip("/") + "/"
    for path in changed:
        if path in known:
            continue
        reason = steering.reason(path) or _of_project(path.removeprefix(below))
        if reason is not None:
            found.append(RunsLater(path, reason))
    return tuple(sorted(found, key=lambda each: (*_rank(each, below), each)))


def _rank(later: RunsLater, below: str) -> tuple[str, str, bool]:
    """Return what sorts files of packages last, by directory and reason, and those of the project first."""
    found = _in_packages(later)
    return (found, later.reason if found else "", not later.path.startswith(below))


class Together(NamedTuple):
    """A file that runs later, or a directory of packages or in an agent's state with several of them."""

    path: str
    reason: str
    files: int  # 0: it is a file itself


def together(later: Iterable[RunsLater]) -> Iterator[Together]:
    """Take the files of a directory of packages, or in an agent's state, together.

    later: In the order of `runs_later`.
    """
    for (directory, reason), each in groupby(later, _directory_and_reason):
        files = [*each]
        if directory and len(files) > _NAMED_MAX:
            yield Together(f"{directory}/", reason, len(files))
        else:
            yield from (Together(file.path, reason, 0) for file in files)


def _directory_and_reason(later: RunsLater) -> tuple[str, str]:
    found = _IN_STATE.match(later.path) if later.reason == _AGENT else None
    return (_in_packages(later) or (found["directory"] if found else ""), later.reason)


def _in_packages(later: RunsLater) -> str:
    """Return the directory of packages around a file that only its name tells; "" if there is none."""
    found = _OF_PACKAGES.match(later.path) if later.reason in _BELOW else None
    return found["directory"] if found else ""


def _of_project(path: str) -> str | None:
    inside = f"/{path}/"
    for tail, reason in _BY_TAIL.items():
        if f"/{tail}/" in inside:
            return reason
    name = basename(path)
    for part in path.split("/"):
        if part in _BY_NAME:
            is_record = _BY_NAME[part] == _AGENT and _DATABASE.search(name)
            return None if is_record else _BY_NAME[part]
    if _CODE_OF_A_TOOL.search(name):
        return _BUILD
    return _CONTAINER if name.startswith(("Dockerfile.", "docker-compose.")) else None
