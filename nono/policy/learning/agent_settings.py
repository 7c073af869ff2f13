"""Find what a file of settings makes a coding agent run, or send keys or prompts to, outside too.

`nono.policy.learning.agent_programs` says where these files are. What a hook or a server that is named there
does can change without its settings.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from nono.named_tuple import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

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
