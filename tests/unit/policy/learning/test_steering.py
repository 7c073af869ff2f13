"""A grant by which a command would run or steer programs outside is recognised."""

from __future__ import annotations

import pytest

from nono.policy.learning.steering import steering_paths
from nono.policy.path_expansion import Filesystem, PathContext
from unit.policy.conftest import HOME

PLACES = PathContext(HOME, f"{HOME}/work", f"{HOME}/work", {"HOME": HOME, "PATH": f"/usr/bin:{HOME}/tools"})
STEERING = (
    ".config/autostart/x.desktop", ".config/git/config", ".config/git/hooks/pre-commit", ".gitconfig",
    ".bashrc", ".profile", ".zshenv", ".config/fish/config.fish", ".config/nvim/init.lua", ".vimrc",
    ".config/Code/User/x.json", ".config/pip/pip.conf", ".npmrc", ".config/systemd/user/x.service",
    ".config/direnv/direnvrc", ".ssh/config", ".cargo/config.toml", ".local/bin/ls",
    ".local/share/applications/x.desktop", "tools/ls", ".config/environment.d/x.conf",
    "other/.git/hooks/pre-commit", "other/.git/config", "other/.envrc", "other/.vscode/tasks.json",
    ".config/pip", ".cargo", "Library/LaunchAgents/x.plist", ".claude/settings.json",
    "lib/site-packages/x.pth", ".config/mimeapps.list", ".ipython/profile_default/startup/x.py",
    ".jupyter/jupyter_server_config.py", ".bashrc.d/x", ".local/share/bash-completion/completions/git",
    ".mozilla/native-messaging-hosts/x.json", ".muttrc", ".config/yt-dlp/config", "other/.git",
    "other/.claude", "other/.git/modules/a/hooks/post-checkout",
    "other/.yarn/releases/yarn.cjs", "other/.pnp.cjs", ".codex/hooks.json", ".codex/rules/default.rules",
    ".gemini/extensions/x/gemini-extension.json", ".qwen/settings.json", ".copilot/mcp-config.json",
    ".config/goose/config.yaml", ".claude/ide/1.lock", "other/opencode.json", "other/.codex/config.toml",
    "other/.agents/plugins/x/hooks/hooks.json", "other/.jj/repo/config.toml", "other/.mise/tasks/x",
    "other/.Rprofile", "other/.pdbrc", "other/.lfsconfig", "other/x.code-workspace",
    "other/x.sublime-project",
    "other/.opencode/plugin/x.js", "other/.github/hooks/x.json", "other/.qwen", ".pi/agent/models.json",
)  # fmt: skip
HARMLESS = (
    "other/src/main.c", ".config/app/state.json", ".cache/app/x", ".local/share/app/db", "work/x",
    ".cargo/registry/index", "other/.gitignore", "gitconfig", ".config/gitty/x", "other/git/config",
    "other/.git/index", "other/.yarn/cache/x.zip", ".codex/sessions/x.jsonl", ".gemini/tmp/x",
    "other/.agents/skills/x.md", "other/.jj/repo/store/type", "other/workspace.md",
    "other/.opencode/themes/x.json", "other/.github/workflow.md",
)  # fmt: skip


@pytest.mark.parametrize("path", STEERING)
def test_what_steers_programs_outside_has_a_reason(path: str, fs: Filesystem) -> None:
    assert steering_paths(PLACES, fs).reason(f"{HOME}/{path}") is not None


@pytest.mark.parametrize("path", HARMLESS)
def test_what_steers_nothing_has_no_reason(path: str, fs: Filesystem) -> None:
    assert steering_paths(PLACES, fs).reason(f"{HOME}/{path}") is None


def test_the_settings_are_where_the_user_has_them(fs: Filesystem) -> None:
    places = PLACES._replace(environ={**PLACES.environ, "XDG_CONFIG_HOME": "/data/settings"})
    paths = steering_paths(places, fs)
    assert paths.reason("/data/settings/git/config") is not None
    assert paths.reason(f"{HOME}/.config/git/config") is not None


def test_the_state_of_an_agent_is_also_where_a_variable_has_moved_it(fs: Filesystem) -> None:
    moved = {"CODEX_HOME": "/data/codex", "OPENCODE_CONFIG": "/data/mine.json"}
    places = PLACES._replace(environ={**PLACES.environ, **moved})
    assert steering_paths(places, fs).reason("/data/mine.json") is not None
    assert steering_paths(places, fs).reason("/data/codex/hooks.json") is not None
    assert steering_paths(places, fs).reason("/data/codex/history.jsonl") is None
    assert steering_paths(PLACES, fs).reason("/data/codex/hooks.json") is None
