"""List where coding agents keep what they run or obey, outside too: their state, settings and programs.

Sources: Claude Code, Codex, Gemini CLI (Qwen Code), opencode, Copilot CLI, goose and aider.
"""

from __future__ import annotations

from collections.abc import Callable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from nono.policy.path_expansion import PathContext

# Of agents, relative to the home directory.
HOMES = (
    ".claude", ".codex", ".gemini", ".qwen", ".copilot", ".openclaw", ".config/opencode", ".cursor",
    ".config/goose", ".local/share/opencode", ".aider",
)  # fmt: skip
# Where they are if a person has set these variables.
MOVED = {
    ".agents": ("$GOOSE_PATH_ROOT/.agents",),
    ".aider": (),
    ".cache/opencode": ("$XDG_CACHE_HOME/opencode",),
    ".claude": ("$CLAUDE_CONFIG_DIR",),
    ".codex": ("$CODEX_HOME",),
    ".config/goose": (
        "$XDG_CONFIG_HOME/goose",
        "$GOOSE_PATH_ROOT/config",
        "$GOOSE_PATH_ROOT/.config/goose",
    ),
    ".config/opencode": ("$XDG_CONFIG_HOME/opencode", "$OPENCODE_CONFIG_DIR"),
    ".copilot": ("$COPILOT_HOME",),
    ".cursor": ("$CURSOR_CONFIG_DIR",),
    ".gemini": ("$GEMINI_CLI_HOME/.gemini",),
    ".local/share/kilo": ("$XDG_DATA_HOME/kilo",),
    ".local/share/opencode": ("$XDG_DATA_HOME/opencode",),
    ".openclaw": ("$OPENCLAW_HOME/.openclaw", "$OPENCLAW_STATE_DIR"),
    ".qwen": ("$QWEN_HOME",),
}
IN_HOMES = (
    "settings.json", "settings.local.json", ".claude.json", ".config.json", "config.toml", "hooks.json",
    "opencode.json", "opencode.jsonc", "config.json", "openclaw.json", "mcp-config.json", "mcp.json",
    "remote-settings.json", "tui.json", "environments.toml", "plugins/installed_plugins.json",
    "plugins/known_marketplaces.json", ".env",
    "config.yaml", "lsp-config.json", "scheduled_tasks.json", "daemon.json",
)  # fmt: skip
# The same in one of them alone. An asterisk stands for each directory there, of which each project of the
# person has one, or for the name that a person has given a profile of Codex (`codex --profile NAME`).
IN_ONE_HOME = {
    ".aider": ("oauth-keys.env",),
    ".claude": ("state/unattended-serving-consent.json",),
    ".codex": ("*.config.toml",),
    ".local/share/opencode": ("auth.json",),
    ".qwen": ("channels/cron.json", "channels/daemon/*/cron.json", "tmp/*/scheduled_tasks.json"),
}
# Variables of a person that name a file of settings.
NAME_SETTINGS = ("OPENCODE_CONFIG",)
IN_PROJECTS = (
    ".claude/settings.json", ".claude/settings.local.json", ".mcp.json", ".codex/config.toml",
    ".codex/hooks.json", ".gemini/settings.json", ".qwen/settings.json", ".cursor/mcp.json", "opencode.json",
    "opencode.jsonc", ".opencode/opencode.json", ".opencode/opencode.jsonc", "tui.json",
    ".opencode/tui.json", ".gemini/.env", ".qwen/.env", ".github/copilot/settings.json",
    ".github/copilot/settings.local.json", ".github/lsp.json", ".github/mcp.json",
    ".config/goose/settings.json", ".config/goose/settings.local.json", ".claude/scheduled_tasks.json",
    ".aider.conf.yml", ".aider.model.settings.yml",
)  # fmt: skip
# Directories of repositories, from whose files Claude Code and Codex install and update plugins.
CLONES = "marketplaces"
# Directories, by the one of state that they are in, with programs that an agent starts, code that it imports,
# hosts that it sends a key to (a file of goose there takes the place of a provider that it brings), or rules
# by which it runs what a model says and asks nobody. A browser starts what is in `chrome`; tools and plugins
# of opencode import from `node_modules`.
INSTALLED = {
    ".codex": ("packages", "plugins", "rules", f".tmp/{CLONES}"),
    ".claude": ("local", "plugins/cache", f"plugins/{CLONES}", "chrome", "dev-mods"),
    ".gemini": ("extensions", "policies"),
    ".qwen": ("extensions", "updates"),
    ".cache/opencode": ("bin",),
    ".config/opencode": ("plugin", "plugins", "tool", "tools", "node_modules"),
    ".config/goose": ("custom_providers",),
    ".copilot": ("hooks", "pkg"),
    ".agents": ("plugins",),
    ".openclaw": ("extensions", "git", "hooks", "npm"),
}
# The same in a project. Copilot CLI reads hooks from every JSON file below its own; goose runs the hooks of
# each plugin, and starts its servers.
INSTALLED_IN_PROJECTS = (
    ".agents/plugins", ".codex/rules", ".github/hooks", ".opencode/node_modules", ".opencode/plugin",
    ".opencode/plugins", ".opencode/tool", ".opencode/tools",
)  # fmt: skip
# The same with repositories in which an agent outside calls git, to keep what a project held or to look for
# news, and how many levels below they are. In `repos` some may be further below: groups in groups of GitLab.
SNAPSHOTS = {
    ".local/share/opencode": (("snapshot", 2), ("repos", 3), ("worktree", 2)),
    ".local/share/kilo": (("snapshot", 2),),
    ".gemini": (("history", 1),),
    ".claude": ((f"plugins/{CLONES}", 1),),
}
# Where an agent that runs finds what it obeys: its server, an editor that answers its questions or is a
# command that it starts, scripts that each of its shells reads, commands that its service goes on with, the
# answers of a team's leader, other sessions and the keys to them, and the first directory of its PATH.
RENDEZVOUS = {
    ".codex": ("app-server-control", "shell_snapshots", "tmp"),
    ".claude": ("daemon", "ide", "jobs", "session-env", "sessions", "shell-snapshots", "teams"),
    ".qwen": ("ide",),
}


def state_directories(state: str, paths: PathContext, real: Callable[[str], str]) -> list[str]:
    """Return where the state of an agent may be, which is at `state` in the home unless a variable moves it.

    Both count, because an agent that is started elsewhere may lack the variable.

    real: Follows the links of a path. A directory that is a link stands in the grants by what it leads to.
    """
    named = (f"~/{state}", *MOVED.get(state, ()))
    found = (paths.of_denial(each) for each in named)
    return list(dict.fromkeys(real(path) for path in found if path is not None))


def settings_files(paths: PathContext, real: Callable[[str], str]) -> list[str]:
    """Return the files of settings that variables name. real: As for state_directories()."""
    found = (paths.of_denial(f"${each}") for each in NAME_SETTINGS if paths.environ.get(each))
    return [real(path) for path in found if path is not None]
