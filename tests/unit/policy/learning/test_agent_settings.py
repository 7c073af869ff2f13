"""nono.policy.learning.agent_settings: what the settings of agents make them run, and where these are."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from nono.policy.learning.agent_settings import PARTS_MAX, Differences, differences

HOME = "/home/ada"
HOOKS = {"hooks": {"SessionStart": [{"hooks": [{"type": "command", "command": "curl evil"}]}]}}
SERVER = {"mcpServers": {"x": {"command": "x"}}}
NOTHING = Differences((), ())
# Of a megabyte, and a gigabyte once each name has that of the object around it.
LONG_NAMES = json.dumps({"a" * 1_000_000: {str(number): {"hooks": 1} for number in range(1_000)}}).encode()


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        pytest.param("settings.json", HOOKS, "hooks", id="hooks"),
        pytest.param("settings.json", {"statusLine": {"command": "x"}}, "statusLine", id="status line"),
        pytest.param("settings.json", {"apiKeyHelper": "x"}, "apiKeyHelper", id="helper of a key"),
        pytest.param("settings.json", {"disableAllHooks": True}, "disableAllHooks", id="no guard any more"),
        pytest.param(
            "settings.json", {"hooksConfig": {"enabled": False}}, "hooksConfig", id="nor one of Gemini CLI"
        ),
        pytest.param(
            "settings.json", {"general": {"defaultApprovalMode": "auto_edit"}}, "general.defaultApprovalMode",
            id="Gemini CLI edits and asks nobody",
        ),
        pytest.param(
            "settings.json", {"security": {"folderTrust": {"enabled": False}}}, "security.folderTrust",
            id="it trusts every folder",
        ),
        pytest.param("settings.json", {"env": {"NODE_OPTIONS": "-r x"}}, "env", id="variables"),
        pytest.param("settings.json", {"enabledPlugins": {"x@y": True}}, "enabledPlugins", id="plugins"),
        pytest.param(".claude.json", SERVER, "mcpServers", id="server"),
        pytest.param(
            ".claude.json", {"projects": {"/p": SERVER}}, "projects./p.mcpServers", id="of a project"
        ),
        pytest.param(
            "settings.json", {"tools": {"callCommand": "x"}}, "tools.callCommand", id="tools of Gemini"
        ),
        pytest.param("lsp.json", {"lspServers": {"x": {"command": "x"}}}, "lspServers", id="Copilot CLI"),
        pytest.param("opencode.json", {"mcp": {"x": {"command": ["x"]}}}, "mcp", id="opencode"),
        pytest.param("opencode.json", {"shell": "/tmp/x"}, "shell", id="what runs commands of opencode"),
        pytest.param("opencode.json", {"server": {"hostname": "0.0.0.0"}}, "server", id="to whom it listens"),
        pytest.param("opencode.json", {"share": "auto"}, "share", id="what it shares"),
        pytest.param("opencode.json", {"enterprise": {"url": "http://x"}}, "enterprise", id="and where"),
        pytest.param(
            "config.toml", b'chatgpt_base_url = "http://x"\n', "chatgpt_base_url", id="whose login of Codex"
        ),
        pytest.param(
            "settings.json", {"allowUnattendedServing": True}, "allowUnattendedServing",
            id="Claude Code asks nobody for sessions elsewhere",
        ),
        pytest.param(
            "opencode.json", {"references": {"x": {"repository": "a/b"}}}, "references",
            id="where opencode calls git",
        ),
        pytest.param("config.toml", b'notify = ["x"]\n', "notify", id="notify of Codex"),
        pytest.param("config.toml", b'[mcp_servers.x]\ncommand = "x"\n', "mcp_servers", id="server of Codex"),
        pytest.param(
            "config.toml", b'[profiles.a.model_providers.b]\nbase_url = "x"\n', "profiles.a.model_providers",
            id="whom Codex asks",
        ),
        pytest.param(
            "settings.json", {"permissions": {"allow": ["Bash"], "defaultMode": "bypassPermissions"}},
            "permissions.defaultMode", id="Claude Code asks nobody",
        ),
        pytest.param("config.toml", b'approval_policy = "never"\n', "approval_policy", id="nor does Codex"),
        pytest.param(
            "config.toml", b'[profiles.a]\nsandbox_mode = "danger-full-access"\n', "profiles.a.sandbox_mode",
            id="no sandbox of Codex",
        ),
        pytest.param(
            "settings.json", {"tools": {"approvalMode": "yolo"}}, "tools.approvalMode", id="nor Qwen Code"
        ),
        pytest.param("opencode.json", {"permission": {"bash": "ask"}}, "permission", id="opencode asks"),
        pytest.param("tui.json", {"plugin": ["./x.js"]}, "plugin", id="what opencode imports to draw"),
        pytest.param("config.toml", b'openai_base_url = "http://x"\n', "openai_base_url", id="whose key"),
        pytest.param(
            "environments.toml", b'default = "x"\n[[environments]]\nid = "x"\nprogram = "x"\n',
            "environments", id="what Codex runs commands with",
        ),
        pytest.param(
            "settings.json", {"tools": {"shell": {"pager": "x"}}}, "tools.shell.pager", id="pager of Gemini"
        ),
        pytest.param(
            "config.toml", b'[otel]\nexporter = {otlp-http = {endpoint = "http://x"}}\n', "otel",
            id="to whom Codex sends prompts",
        ),
        pytest.param(
            "settings.json", {"telemetry": {"otlpEndpoint": "http://x"}}, "telemetry", id="and Gemini CLI"
        ),
        pytest.param("settings.json", {"modelProviders": {"x": []}}, "modelProviders", id="whom Qwen asks"),
        pytest.param("settings.json", {"processWrapper": "x"}, "processWrapper", id="what starts Claude"),
        pytest.param("settings.json", {"proxyAuthHelper": "x"}, "proxyAuthHelper", id="helper of a proxy"),
        pytest.param(
            "settings.json", {"sandbox": {"ripgrep": {"command": "x"}}}, "sandbox", id="search of Claude"
        ),
        pytest.param(
            "settings.json", {"enableAllProjectMcpServers": True}, "enableAllProjectMcpServers",
            id="servers of any project",
        ),
        pytest.param(
            "installed_plugins.json", {"version": 2, "plugins": {"x@y": [{"installPath": "x"}]}}, "plugins",
            id="where a plugin is",
        ),
        pytest.param(
            "known_marketplaces.json", {"mk": {"source": {"source": "git", "url": "https://evil"}}}, "mk",
            id="where plugins come from",
        ),
        pytest.param(
            "daemon.json", {"scheduled": {"tasks": [{"prompt": "x", "permissionMode": "bypassPermissions"}]}},
            "scheduled", id="what the service of Claude does",
        ),
        pytest.param(".env", b"# of mine\nexport PATH = x\n", "PATH", id="variables of Codex"),
        pytest.param("oauth-keys.env", b"AIDER_TEST_CMD=x\n", "AIDER_TEST_CMD", id="variables of aider"),
        pytest.param(".aider.conf.yml", b"auto-lint: true\n", "auto-lint", id="settings of aider"),
        pytest.param(
            "auth.json", {"https://evil": {"type": "wellknown", "key": "X", "token": "x"}}, "https://evil",
            id="a host that tells opencode settings",
        ),
        pytest.param(
            "unattended-serving-consent.json", {"version": 1, "choice": "accepted"}, "choice",
            id="Claude Code serves sessions elsewhere",
        ),
    ],
)  # fmt: skip
def test_what_runs_something_is_told_when_it_comes_and_when_it_goes(
    name: str, content: object, told: str
) -> None:
    after = content if isinstance(content, bytes) else json.dumps(content).encode()
    assert differences(name, b"", after) == Differences((told,), ())
    assert differences(name, after, after + b"\n") == NOTHING
    assert differences(name, after, b"") == Differences((), (told,))


@pytest.mark.parametrize(
    ("name", "content"),
    [
        pytest.param("auth.json", {"openai": {"type": "api", "key": "x"}}, id="a key"),
        pytest.param("auth.json", [{"type": "wellknown"}], id="a list"),
        pytest.param("auth.json", {"https://evil": "wellknown"}, id="a text"),
        pytest.param("unattended-serving-consent.json", {"version": 1, "choice": "declined"}, id="no"),
        pytest.param("unattended-serving-consent.json", ["accepted"], id="no object"),
    ],
)
def test_a_login_that_tells_no_settings_and_a_no_are_not_told(name: str, content: object) -> None:
    assert differences(name, b"", json.dumps(content).encode()) == NOTHING


@pytest.mark.parametrize(
    ("name", "told"), [(".config.json", ("everything", "mcpServers")), (".claude.json", ("mcpServers",))]
)
def test_a_file_that_comes_to_stand_for_another_is_told_whatever_it_holds(
    name: str, told: tuple[str, ...]
) -> None:
    after = json.dumps({"theme": "dark", **SERVER}).encode()
    assert differences(name, b"", after) == Differences(told, ())
    assert differences(name, b"", b"\n") == NOTHING
    assert differences(name, after, json.dumps({"theme": "light", **SERVER}).encode()) == NOTHING
    assert differences(name, after, b"") == Differences((), ("mcpServers",))


def test_of_a_marketplace_only_where_it_comes_from_is_told() -> None:
    def known(**changes: object) -> bytes:
        return json.dumps(
            {"mk": {"source": "x", "installLocation": "/x", "lastUpdated": 1, **changes}}
        ).encode()

    assert differences("known_marketplaces.json", known(), known(lastUpdated=2)) == NOTHING
    for change in ({"source": "y"}, {"installLocation": "/y"}):
        assert differences("known_marketplaces.json", known(), known(**change)).new == ("mk",)
    assert differences("known_marketplaces.json", known(), b'{"mk": 1, "a": []}').new == ("mk", "a")


TASK = {"id": "1", "cron": "* * * * *", "prompt": "Do the work", "createdAt": 1}


@pytest.mark.parametrize("wrapped", [lambda tasks: {"tasks": tasks}, list], ids=["Claude Code", "Qwen Code"])
def test_what_an_agent_is_told_to_do_at_a_time_is_told(wrapped: Callable[[list[object]], object]) -> None:
    def told(before: list[object], after: list[object]) -> Differences:
        was, now = (json.dumps(wrapped(each)).encode() for each in (before, after))
        return differences("scheduled_tasks.json", was, now)

    assert told([], [TASK]) == Differences(("task 1",), ())
    assert told([TASK], []) == Differences((), ("task 1",))
    assert told([TASK], [{**TASK, "lastFiredAt": 2}]) == NOTHING
    assert told([TASK], [{**TASK, "prompt": "Send it away"}]).new == ("task 1",)
    assert told([{**TASK, "enabled": False}], [{**TASK, "enabled": True}]).new == ("task 1",)
    assert told([TASK], [{**TASK, "prompt": "Send it away"}, TASK]).new == ("task 1",)
    assert told([TASK], [TASK, {**TASK, "id": "2"}]).new == ("task 2",)


def test_what_runs_something_else_than_before_is_told() -> None:
    before = json.dumps({**HOOKS, **SERVER}).encode()
    after = before.replace(b"curl evil", b"curl worse")
    assert differences("settings.json", before, after) == Differences(("hooks",), ())


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("settings.json", b'{"model": "opus", "permissions": {"allow": ["Bash(ls)"], "env": 1}}'),
        (".claude.json", b'{"numStartups": 3, "mcpServers": {}, "projects": {"/p": {"history": ["hooks"]}}}'),
        ("config.toml", b'model = "o"\n[projects."/p"]\ntrust_level = "trusted"\n'),
        ("settings.json", b"[]"),
        ("settings.json", b"  \n"),
    ],
)
def test_other_settings_are_not_told(name: str, content: bytes) -> None:
    assert differences(name, b"", content) == NOTHING


@pytest.mark.parametrize(
    ("after", "told"),
    [
        pytest.param("A=1\nB='2\n3'\n# other\n", (), id="a comment"),
        pytest.param("A=1\nB='2\n4'\n", ("B",), id="the second line of a value"),
        pytest.param("A=1\nB='2\n3'\nC: 4\n", ("C",), id="a name that a colon follows"),
        pytest.param("C\nA=1\nB='2\n3'\n", ("a line without a name",), id="a first line without a name"),
        pytest.param("A=1\nB='2\n4/5+6='\n", ("B",), id="the end of a key"),
        pytest.param(f"A=1\nB='2\n{'3' * 101}='\n", ("B",), id="a line too long for a name"),
        pytest.param("A=1\nB='2\n3'\nA=5", ("A",), id="a name for the second time"),
        pytest.param("A=1\n#\rC=4\nB='2\n3'\n", ("C",), id="behind a comment that ends as on a Mac"),
    ],
)
def test_each_variable_of_a_file_is_told_whose_value_changed(after: str, told: tuple[str, ...]) -> None:
    before = b"A=1\nB='2\n3'\n"
    assert differences(".env", before, after.encode()) == Differences(told, ())


@pytest.mark.parametrize(
    ("name", "content"),
    [
        pytest.param(".env", b"=" * (PARTS_MAX + 1), id="many variables"),
        pytest.param("settings.json", b"{", id="no JSON"),
        pytest.param("settings.json", b'{"a": ' * 100_000, id="deep"),
        pytest.param("settings.json", b"[" + b"[]," * PARTS_MAX + b"[]]", id="many parts"),
        pytest.param("settings.json", b'{"a": ' * 99 + b'{"hooks": 1}' + b"}" * 99, id="objects in objects"),
        pytest.param("settings.json", LONG_NAMES, id="long names"),
        pytest.param("config.toml", b"a" + b".a" * 500_000 + b" = 1", id="a key of many parts"),
        pytest.param("config.toml", (b"[a" + b".a" * 3_000 + b"]\n") * 10, id="many tables of many parts"),
        pytest.param("config.toml", b"=", id="no TOML"),
        pytest.param("config.toml", b"\xff = 1", id="no UTF-8"),
    ],
)
def test_what_cannot_be_parsed_is_an_error(name: str, content: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - of three parsers
        differences(name, b"", content)
    # Told of, and not waited for: a command could have the end of its run take days.
    assert differences(name, content, json.dumps(HOOKS).encode() if "json" in name else b"hooks = 1").new


def test_dots_in_the_values_of_a_document_are_no_parts_of_keys() -> None:
    told = b'hooks = "one. two."\n' + b'prompt = "' + b"a. " * 4_000 + b'"\n'
    assert differences("config.toml", b"", told).new == ("hooks",)


GOOSE = "# mine\nGOOSE_MODEL: gpt-4o\nextensions:\n  x:\n    args:\n    - a\nlast: 1\n"


@pytest.mark.parametrize(
    ("change", "told"),
    [
        pytest.param(("- a", "- b"), ["extensions"], id="below"),
        pytest.param(("last: 1", "last:\n- 1"), ["last"], id="a list beside its name"),
        pytest.param(("last: 1", "last: 1\nOPENAI_HOST: http://x"), ["OPENAI_HOST"], id="new"),
        pytest.param(("last: 1", 'last: "1\n#2"'), ["last"], id="no comment, but a string"),
        pytest.param(("# mine\n", "---\n\n"), [], id="before the first"),
    ],
)
def test_what_goose_is_set_to_is_told_by_name(change: tuple[str, str], told: list[str]) -> None:
    found = differences("config.yaml", GOOSE.encode(), GOOSE.replace(*change).encode())
    assert found == Differences(tuple(told), ())


@pytest.mark.parametrize(
    "text",
    [
        pytest.param('"extensions": {}\n', id="in quotes"),
        pytest.param("{extensions: {}}\n", id="in braces"),
        pytest.param("  extensions: {}\n", id="indented"),
        pytest.param("? extensions\n: {}\n", id="a complex name"),
        pytest.param("!!str extensions: {}\n", id="with a tag"),
        pytest.param("a: 1\n---\nextensions: {}\n", id="in a second document"),
        pytest.param("a: 1\n...\nextensions: {}\n", id="behind the end of a document"),
        pytest.param("a: 1\n<<: *x\n", id="merged"),
        pytest.param('a: 1\n"\\x65xtensions": {}\n', id="escaped"),
        pytest.param("a: 1\N{NEXT LINE}'extensions': {}\n", id="after another line break"),
        pytest.param("\N{ZERO WIDTH NO-BREAK SPACE}a: 1\n", id="after a byte order mark"),
    ],
)
def test_names_in_yaml_that_cannot_be_told_are_an_error(text: str) -> None:
    with pytest.raises(ValueError, match="cannot be told"):
        differences("config.yaml", b"", text.encode())
