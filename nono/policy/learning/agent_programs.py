"""Find what the settings of coding agents make them run, or send keys or prompts to, outside too.

Sources: the settings of Claude Code, Codex, Gemini CLI (Qwen Code), opencode, Copilot CLI, goose and aider.
What a hook or a server that is named there does can change without its settings.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from nono.named_tuple import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

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
PARTS_MAX = 1_000_000  # lists, objects and members; a document in memory is a hundred times as large
DEPTH_MAX = 64  # of objects in objects
NAMES_CHARACTERS_MAX = 16 << 20  # in all: each name has those of the objects around it
TOML_STEPS_MAX = 20_000_000  # half a second
_TOML_STEPS_OF_ONE, _STEPS_OF_ONE = (100, 5), (30, 1)  # part, and byte: the first is read in Python

# What Claude Code and Qwen Code do at a time, with nobody there; the second for who writes from a chat.
_TASKS, _LOOPS, _TELLS = "scheduled_tasks.json", "cron.json", ("cron", "cwd", "enabled", "prompt")
# The workers that the service of Claude Code starts: tasks at a time, in any directory, asking nobody.
_WORKERS = "daemon.json"
# By marketplace, where Claude Code gets its plugins from.
_MARKETPLACES, _COMES_FROM = "known_marketplaces.json", ("installLocation", "source")
# A login of opencode of this type is a host that tells it settings at each start, servers among them.
_LOGINS, _TELLS_SETTINGS = "auth.json", "wellknown"
# By this answer Claude Code lets sessions elsewhere call its tools here, and asks nobody.
_CONSENT = "unattended-serving-consent.json"
# A file that Claude Code outside reads in place of ~/.claude.json, once it is there.
_STANDS_IN = ".config.json"
_RUNS = frozenset({
    "additionalMarketplaces", "apiKeyHelper", "awsAuthRefresh", "awsCredentialExport", "callCommand",
    "chatgpt_base_url", "disableAllHooks", "disabledPlugins", "discoveryCommand", "enabledPlugins",
    "extraKnownMarketplaces", "fileSuggestion", "formatter", "gcpAuthRefresh", "hook", "hooks",
    "hooksConfig", "lsp", "lspServers", "marketplaces", "mcp", "mcp_servers", "mcpServers",
    "model_providers", "modelProviders", "notify", "openai_base_url", "otel", "otelHeadersHelper",
    "pager", "plugin", "plugins", "processWrapper", "proxyAuthHelper", "shell_environment_policy",
    "statusLine", "subagentStatusLine", "telemetry", "toolCallCommand", "toolDiscoveryCommand",
})  # fmt: skip
# NODE_OPTIONS, whom a key is sent to, where Codex has commands run, or, of opencode, in which repositories it
# calls git, what runs each command, to whom it listens and with whom it shares each conversation.
_RUNS_ON_TOP = frozenset({
    "autoshare", "enterprise", "env", "environments", "provider", "reference", "references", "server",
    "share", "shell",
})  # fmt: skip
# By these an agent runs whatever a model says, and asks nobody. What a person has allowed one by one, as by
# an answer inside (permissions.allow, trust_level), is not among them: it would be told in most runs.
_ASKS = frozenset({
    "allowUnattendedServing", "approval_policy", "approvalMode", "approvals_reviewer",
    "default_permissions", "defaultApprovalMode", "defaultMode", "enableAllProjectMcpServers",
    "folderTrust", "permission", "sandbox", "sandbox_mode", "sandbox_workspace_write",
    "skipDangerousModePermissionPrompt",
})  # fmt: skip


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


class Differences(NamedTuple):
    """Names of settings, joined by dots."""

    new: tuple[str, ...]  # or changed
    gone: tuple[str, ...]


def steps_of(name: str, content: bytes) -> int:
    """Estimate how long the content of a file called `name` takes to read, in steps of TOML_STEPS_MAX."""
    is_toml = name.endswith(".toml")
    of_part, of_byte = _TOML_STEPS_OF_ONE if is_toml else _STEPS_OF_ONE
    return of_part * _parts(content) + of_byte * len(content) + (_toml_steps(content) if is_toml else 0)


def _parts(content: bytes) -> int:
    return sum(map(content.count, (b"[", b"{", b",", b"=")))


def _toml_steps(content: bytes) -> int:
    """Count the steps of dotted keys, the square of their parts: one of a megabyte takes an hour."""
    return sum(line.count(b".") ** 2 for line in content.split(b"\n"))


def differences(name: str, before: bytes, after: bytes) -> Differences:
    """Compare what two contents of a file called `name` run; b"" where there is none.

    Raises ValueError if the second is malformed. The first then counts as empty.
    """
    now = _programs(name, after)
    if name == _STANDS_IN and after.strip() and not before.strip():
        return Differences(("everything", *now), ())
    try:
        was = _programs(name, before)
    except ValueError:
        was = {}
    new = tuple(key for key, value in now.items() if was.get(key) != value)
    return Differences(new, tuple(key for key in was if key not in now))


def _programs(name: str, content: bytes) -> dict[str, str]:
    """Return the settings that run programs, as JSON, by name. Raises ValueError if malformed."""
    if not content.strip():
        return {}
    if _parts(content) > PARTS_MAX:
        raise ValueError("a document of too many parts")
    if name.endswith(".env"):
        return _variables(content)
    if name.endswith((".yaml", ".yml")):
        return _yaml(content)
    # Imported here: few runs change such a file.
    import json

    try:
        document = _toml(content) if name.endswith(".toml") else json.loads(content)
        found = _READ.get(name, _settings)(document)
        return {key: json.dumps(value, sort_keys=True, default=str) for key, value in found}
    except RecursionError:
        raise ValueError("lists in lists") from None


def _variables(content: bytes) -> dict[str, str]:
    """Return what a file of variables sets. A line without a name goes on with the value before it.

    Lines are read as by `dotenv` of npm and `dotenvy` of Rust; where they differ, a name too many is found.
    """
    # Imported here, as `json` above.
    import re

    named = re.compile(r"\s*(?:export\s+)?([\w.-]{1,100})(?:\s*=|:\s)")
    found: dict[str, list[str]] = {}
    name = "a line without a name"
    for line in content.decode(errors="replace").splitlines():
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        if (variable := named.match(line)) is not None:
            name = variable[1]
        found.setdefault(name, []).append(line)
    return {name: "\n".join(lines) for name, lines in found.items()}


def _yaml(content: bytes) -> dict[str, str]:
    """Return what a file of goose or aider sets, by the names at its top.

    A change that means nothing may be found.

    Raises ValueError if its names may not be those that begin its lines: in quotes or braces, indented, in a
    second document.
    """
    # Imported here, as `json` above.
    import re

    named = re.compile(r"([A-Za-z_][\w.-]{0,99}):(?:\s|$)")
    found: dict[str, list[str]] = {}
    lines: list[str] | None = None
    for line in content.decode().splitlines():
        if (match := named.match(line)) is not None:
            lines = found.setdefault(match[1], [])
        elif lines is None and (not line.strip() or line.startswith("#") or line.rstrip() == "---"):
            continue
        elif lines is None or (line and not line.startswith((" ", "\t", "#", "- "))):
            raise ValueError("names that cannot be told")
        lines.append(line)
    return {name: "\n".join(lines).rstrip() for name, lines in found.items()}


def _toml(content: bytes) -> dict[str, Any]:
    import tomllib

    if _toml_steps(content) > TOML_STEPS_MAX:
        raise ValueError("keys of too many parts")
    return tomllib.loads(content.decode())


def _marketplaces(document: Any) -> Iterator[tuple[str, Any]]:
    """Yield where each marketplace comes from, by its name. The time of its update says nothing."""
    for marketplace, about in document.items() if isinstance(document, dict) else ():
        origin = {key: about.get(key) for key in _COMES_FROM} if isinstance(about, dict) else about
        yield marketplace, origin


def _tasks(document: Any) -> Iterator[tuple[str, Any]]:
    """Yield what each task tells the agent, and when, by its id. When it was done last says nothing."""
    tasks = document.get("tasks") if isinstance(document, dict) else document
    found: dict[str, list[Any]] = {}  # of one id there may be several
    for task in tasks if isinstance(tasks, list) else ():
        about = task if isinstance(task, dict) else {}
        found.setdefault(f"task {about.get('id')}", []).append({key: about.get(key) for key in _TELLS})
    yield from found.items()


def _workers(document: Any) -> Iterator[tuple[str, Any]]:
    """Yield what each worker is told, by its kind."""
    yield from ((kind, told) for kind, told in document.items() if told) if isinstance(document, dict) else ()


def _logins(document: Any) -> Iterator[tuple[str, Any]]:
    """Yield the hosts that tell settings, with the names of the variables that they set."""
    for host, login in document.items() if isinstance(document, dict) else ():
        if isinstance(login, dict) and login.get("type") == _TELLS_SETTINGS:
            yield host, login.get("key")


def _consent(document: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(document, dict) and document.get("choice") == "accepted":
        yield "choice", document


def _settings(document: Any) -> Iterator[tuple[str, Any]]:
    """Yield each setting that is not empty, with its name. Raises ValueError if they are too large."""
    waiting: list[tuple[tuple[str, ...], dict[str, Any]]] = []
    if isinstance(document, dict):
        waiting.append(((), document))
    left = NAMES_CHARACTERS_MAX
    while waiting:
        path, value = waiting.pop()
        for name, each in value.items():
            if each and (name in _RUNS or name in _ASKS or (not path and name in _RUNS_ON_TOP)):
                whole = ".".join((*path, name))
                left -= len(whole)
                if left < 0:
                    raise ValueError("names that are too long")
                yield whole, each
            elif each and isinstance(each, dict):
                if len(path) == DEPTH_MAX:
                    raise ValueError("settings nested too deeply")
                waiting.append(((*path, name), each))


_READ: Mapping[str, Callable[[Any], Iterator[tuple[str, Any]]]] = {
    _MARKETPLACES: _marketplaces,
    _TASKS: _tasks,
    _LOOPS: _tasks,
    _WORKERS: _workers,
    _LOGINS: _logins,
    _CONSENT: _consent,
}
