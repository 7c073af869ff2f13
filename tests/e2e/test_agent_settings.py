"""A run says at its end which settings of agents it has changed that make them run something outside."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pytest

from support.nono_run import NONO, Ended, NonoRun, nono_run

HOOKS = '{"hooks": {"SessionStart": [{"hooks": [{"type": "command", "command": "touch /tmp/x"}]}]}}'
PROFILE = {"filesystem": {"state_dir": ["~/.claude"]}}
OPENCODE = {"extends": "opencode"}


@pytest.fixture
def person() -> Iterator[NonoRun]:
    with nono_run() as person:
        (person.user.home / ".claude").mkdir()
        person.give(person.user.home / ".claude")
        yield person


def told(person: NonoRun, script: str, profile: Mapping[str, object] = PROFILE) -> list[str]:
    """Return what a run says of settings. `H` in the script stands for the hooks."""
    ended: Ended = person.run(
        ["sh", "-euc", script.replace("H", f"'{HOOKS}'")], profile=profile, flags=["-s"]
    )
    assert ended.exit_code == 0, ended.stderr
    return [line for line in ended.stderr.splitlines() if "an agent outside" in line]


def laid(files: Mapping[str, object], content: str = "echo x") -> str:
    """Return a script that writes what the command `content` prints into each of the files."""
    return "\n".join(f"mkdir -p {Path(file).parent}; {content} > {file}" for file in files)


def named(lines: Sequence[str], what: str, directory: Path) -> dict[str, bool]:
    """Return the files below the directory that the lines say were changed, or `what` was set in."""
    found: dict[str, bool] = {}
    for line in lines:
        said = re.search(r"this run (changed|set) (.+) in (/.+?): an agent outside", line)
        assert said is not None, line
        assert said[1] == what.partition(" ")[0], line
        where = Path(said[3]).relative_to(directory)
        if said[1] == "set":
            assert said[2] == what.partition(" ")[2], line
            found[str(where)] = True
        else:
            found |= {str(where / name): True for name in said[2].split(", ")}
    return found


def only_told(files: Mapping[str, bool]) -> dict[str, bool]:
    return {file: True for file, is_told in files.items() if is_told}


@pytest.mark.parametrize(
    "where", ["~/.claude/settings.json", "~/.claude/remote-settings.json", ".claude/settings.local.json"]
)
def test_hooks_that_a_run_lays_are_told_although_it_is_silent(person: NonoRun, where: str) -> None:
    (line,) = told(person, f"mkdir -p .claude; echo H > {where}")
    assert "this run set hooks in" in line
    assert where.removeprefix("~") in line
    assert told(person, f"echo ' ' >> {where}") == []
    (line,) = told(person, f'echo \'{{"model": "x"}}\' > {where}')
    assert "this run removed hooks from" in line


@pytest.mark.parametrize("where", ["opencode.jsonc", ".opencode/opencode.json", "../other/.mcp.json"])
def test_hooks_are_told_wherever_an_agent_may_be_started(person: NonoRun, where: str) -> None:
    other = person.user.home / "other"
    other.mkdir()
    person.give(other)
    script = f"mkdir -p .opencode; cd {person.project}; echo H > {where.replace('../other', str(other))}"
    (line,) = told(person, script, {"filesystem": {"allow": [str(other)]}})
    assert "this run set hooks in" in line
    assert where.removeprefix("..") in line


def test_what_copilot_cli_outside_runs_in_a_project_is_told(person: NonoRun) -> None:
    files = {
        ".github/copilot/settings.json": True,
        ".github/copilot/settings.local.json": True,
        ".github/copilot/other.json": False,
        ".github/mcp.json": True,
        ".github/lsp.json": True,
    }
    lines = told(person, laid(files, "echo H | sed s/hooks/lspServers/"))
    assert named(lines, "set lspServers", person.project) == only_told(files)


def test_what_a_project_adds_to_an_agent_outside_is_told(person: NonoRun) -> None:
    """Copilot CLI and goose run the hooks in each file there, and opencode imports it, with the real key.

    By a rule, Codex runs a command outside its own sandbox and asks nobody.
    """
    files = {
        ".agents/plugins/x/hooks/hooks.json": True,
        ".agents/skills/x/hooks.json": False,
        ".codex/rules/any.rules": True,
        ".github/hooks/below/any.json": True,
        ".github/workflows/any.json": False,
        ".opencode/plugin/any.js": True,
        ".opencode/tools/any.js": True,
        ".opencode/agent/any.md": False,
        ".opencode/node_modules/@opencode-ai/plugin/index.js": True,
    }
    assert named(told(person, laid(files)), "changed", person.project) == only_told(files)


@pytest.mark.parametrize(
    ("name", "is_told"), [("settings.local.json", True), ("other.json", False)], ids=["it", "another"]
)
def test_a_plugin_that_goose_outside_leaves_out_or_runs_again_is_told(
    person: NonoRun, name: str, is_told: bool
) -> None:
    """A guard of the person's may be a plugin, whose hook refuses calls of tools."""
    set_it = "echo H | sed s/hooks/disabledPlugins/ > .config/goose"
    lines = told(person, f"mkdir -p .config/goose; {set_it}/{name}")
    assert ["this run set disabledPlugins in" in line for line in lines] == ([True] if is_told else [])


@pytest.mark.parametrize(
    ("mode", "is_told"), [("defaultMode", True), ("allow", False)], ids=["asks nobody", "was allowed"]
)
def test_a_setting_by_which_an_agent_asks_nobody_is_told(person: NonoRun, mode: str, is_told: bool) -> None:
    lines = told(
        person, f'echo \'{{"permissions": {{"{mode}": "bypassPermissions"}}}}\' > ~/.claude/settings.json'
    )
    assert ["permissions.defaultMode" in line for line in lines] == ([True] if is_told else [])


@pytest.mark.parametrize(
    ("name", "told_of"), [(".config.json", ["everything"]), ("config.local.json", [])], ids=["it", "another"]
)
def test_a_file_by_which_claude_code_outside_leaves_its_own_is_told(
    person: NonoRun, name: str, told_of: list[str]
) -> None:
    """It reads this in place of ~/.claude.json, and starts the servers that it names with its key."""
    lines = told(person, f'echo \'{{"theme": "dark"}}\' > ~/.claude/{name}')
    assert [word for line in lines for word in line.split() if word == "everything"] == told_of


@pytest.mark.parametrize("agent", [".codex", ".gemini", ".qwen", ".openclaw"])
def test_variables_that_a_run_gives_an_agent_outside_are_told(person: NonoRun, agent: str) -> None:
    """By PATH Codex outside starts another git; by GOOGLE_GEMINI_BASE_URL Gemini CLI sends its key away."""
    files = {f"{agent}/.env": True, f"{agent}/env": False}
    profile = {"filesystem": {"state_dir": [f"~/{agent}"]}}
    lines = told(person, f"cd; {laid(files, 'echo NODE_OPTIONS=x')}", profile)
    assert named(lines, "set NODE_OPTIONS", person.user.home) == only_told(files)


@pytest.mark.parametrize("agent", [".codex", ".gemini", ".qwen", ".openclaw"])
def test_the_keys_that_a_person_keeps_in_variables_of_an_agent_are_not_read(
    person: NonoRun, agent: str
) -> None:
    directory = person.user.home / agent
    directory.mkdir()
    person.give(directory)
    for name in (".env", "env"):
        (directory / name).write_text(f"KEY=canary of {name}\n")
        person.give(directory / name)
    profile = {"filesystem": {"state_dir": [f"~/{agent}"]}}
    script = f"cd {directory}; for file in .env env; do cat $file; echo KEY=x > $file; done"
    ended = person.run(["sh", "-c", script], profile=profile, flags=["-s"])
    assert ended.stdout == "KEY=canary of env\n"
    assert (directory / ".env").read_text() == "KEY=canary of .env\n"
    assert (directory / "env").read_text() == "KEY=x\n"


@pytest.mark.parametrize(("name", "is_told"), [("oauth-keys.env", True), ("installs.env", False)])
def test_variables_that_a_run_gives_aider_outside_are_told(person: NonoRun, name: str, is_told: bool) -> None:
    """It takes all of them in every project, also AIDER_TEST_CMD and OPENAI_API_BASE."""
    lines = told(person, f"echo AIDER_TEST_CMD=x > ~/.aider/{name}", {"extends": "aider"})
    assert ["this run set AIDER_TEST_CMD in" in line for line in lines] == ([True] if is_told else [])


@pytest.mark.parametrize(
    ("where", "is_told"),
    [(".aider.conf.yml", True), (".aider.model.settings.yml", True), (".aider.input.history", False)],
)
def test_what_aider_outside_runs_in_a_project_is_told(person: NonoRun, where: str, is_told: bool) -> None:
    lines = told(person, f"echo 'test-cmd: x' > {where}")
    assert ["this run set test-cmd in" in line for line in lines] == ([True] if is_told else [])


@pytest.mark.parametrize(("setting", "is_told"), [("shell", True), ("username", False)])
def test_the_program_with_which_opencode_outside_runs_commands_is_told(
    person: NonoRun, setting: str, is_told: bool
) -> None:
    lay = f'echo \'{{"{setting}": "/tmp/x"}}\' > ~/.config/opencode/opencode.json'
    lines = told(person, lay, OPENCODE)
    assert [f"this run set {setting} in" in line for line in lines] == [True] * is_told


@pytest.mark.parametrize(("kind", "is_told"), [("wellknown", True), ("api", False)])
def test_a_host_that_tells_opencode_outside_its_settings_is_told(
    person: NonoRun, kind: str, is_told: bool
) -> None:
    """It asks such a host at each start, in any project, and starts the servers that this names."""
    login = f'{{"https://evil.test": {{"type": "{kind}", "key": "x", "token": "x"}}}}'
    lines = told(person, f"echo '{login}' > ~/.local/share/opencode/auth.json", OPENCODE)
    assert ["this run set https://evil.test in" in line for line in lines] == ([True] if is_told else [])


@pytest.mark.parametrize(("choice", "is_told"), [("accepted", True), ("declined", False)])
def test_a_yes_to_calls_of_sessions_elsewhere_is_told(person: NonoRun, choice: str, is_told: bool) -> None:
    """Claude Code then runs what they ask for, with nobody there."""
    file = "~/.claude/state/unattended-serving-consent.json"
    lines = told(person, f'mkdir -p ~/.claude/state; echo \'{{"choice": "{choice}"}}\' > {file}')
    assert ["this run set choice in" in line for line in lines] == ([True] if is_told else [])


def test_the_program_with_which_codex_outside_runs_commands_is_told(person: NonoRun) -> None:
    """It gets the key that Codex has, and is started with it."""
    toml = 'default = "x"\\n[[environments]]\\nid = "x"\\nprogram = "/tmp/x"\\n'
    profile = {"filesystem": {"state_dir": ["~/.codex"]}}
    (line,) = told(person, f"printf '{toml}' > ~/.codex/environments.toml", profile)
    assert "this run set environments in" in line


@pytest.mark.parametrize(
    ("content", "told_of"),
    [
        ("extensions:\\n  x: {type: stdio, cmd: /tmp/x}", "this run set extensions in"),
        ("GOOSE_PROVIDER: mine", "this run set GOOSE_PROVIDER in"),
        ("{extensions: {}}", "cannot tell what an agent outside runs now"),
        ("# a comment", None),
    ],
)
def test_what_goose_outside_starts_or_sends_a_key_to_is_told(
    person: NonoRun, content: str, told_of: str | None
) -> None:
    """It starts the command of each extension that is enabled."""
    lines = told(person, f"printf '{content}' > ~/.config/goose/config.yaml", {"extends": "goose"})
    assert [told_of in line for line in lines if told_of] == ([True] if told_of else [])
    assert len(lines) == (1 if told_of else 0)


@pytest.mark.parametrize(("name", "is_told"), [("work.config.toml", True), ("work.toml", False)])
def test_what_a_profile_of_codex_outside_starts_is_told(person: NonoRun, name: str, is_told: bool) -> None:
    """`codex --profile work` takes the settings in it."""
    profile = {"filesystem": {"state_dir": ["~/.codex"]}}
    lay = f"printf '[mcp_servers.x]\\ncommand = \"x\"\\n' > ~/.codex/{name}"
    lines = told(person, lay, profile)
    assert ["this run set mcp_servers in" in line for line in lines] == [True] * is_told


@pytest.mark.parametrize(("table", "is_told"), [("otel", True), ("tui", False)])
def test_a_host_to_which_codex_outside_sends_prompts_is_told(
    person: NonoRun, table: str, is_told: bool
) -> None:
    toml = f'[{table}]\\nlog_user_prompt = true\\nexporter.otlp-http.endpoint = "http://x"\\n'
    profile = {"filesystem": {"state_dir": ["~/.codex"]}}
    lines = told(person, f"printf '{toml}' > ~/.codex/config.toml", profile)
    assert ["this run set otel in" in line for line in lines] == ([True] if is_told else [])


TASK = '{"id": "1", "cron": "* * * * *", "prompt": "Do the work", "recurring": true, "createdAt": 1}'


@pytest.mark.parametrize(
    ("where", "is_told"),
    [
        (".claude/scheduled_tasks.json", True),
        ("~/.claude/scheduled_tasks.json", True),
        (".claude/tasks.json", False),
        (".claude/daemon.json", False),  # the service has those of the person alone
    ],
)
def test_what_claude_code_outside_does_with_nobody_there_is_told(
    person: NonoRun, where: str, is_told: bool
) -> None:
    lines = told(person, f"mkdir -p .claude; echo '{{\"tasks\": [{TASK}]}}' > {where}")
    assert ["this run set 'task 1' in" in line and where[1:] in line for line in lines] == [True] * is_told


def test_what_the_service_of_claude_code_outside_does_is_told(person: NonoRun) -> None:
    task = TASK.replace('"recurring": true', '"directory": "/", "permissionMode": "bypassPermissions"')
    (line,) = told(person, f'echo \'{{"scheduled": {{"tasks": [{task}]}}}}\' > ~/.claude/daemon.json')
    assert "this run set scheduled in" in line
    assert "/.claude/daemon.json" in line


def test_what_qwen_code_outside_does_in_another_project_with_nobody_there_is_told(person: NonoRun) -> None:
    """It keeps that by project, in the home: a run in one writes it for all others."""
    state = person.user.home / ".qwen"
    state.mkdir()
    person.give(state)
    files = {
        "tmp/another/scheduled_tasks.json": True,
        "tmp/another/logs.json": False,
        "channels/cron.json": True,
        "channels/daemon/another/cron.json": True,
        "channels/daemon/another/jobs.json": False,
    }
    script = f"cd {state}\n{laid(files, f"echo '[{TASK}]'")}"
    lines = told(person, script, {"filesystem": {"allow": ["~/.qwen"]}})
    assert named(lines, "set 'task 1'", state) == only_told(files)


def test_settings_that_run_nothing_are_not_told(person: NonoRun) -> None:
    assert told(person, 'echo \'{"model": "x"}\' > ~/.claude/settings.json') == []


def test_opencode_writes_no_cache_that_it_uses_outside(person: NonoRun) -> None:
    """It imports what models.json there names, and packages there, without checking either."""
    outside = person.user.home / ".cache/opencode"
    (outside / "packages").mkdir(parents=True)
    for path in (outside.parent, outside, outside / "packages"):
        person.give(path)
    script = """
    for cache in "$XDG_CACHE_HOME" ~/.cache; do
        cache="$cache/opencode"
        mkdir -p "$cache/packages/x" && echo {} > "$cache/models.json" && echo written || true
    done
    """
    ended = person.run(["sh", "-euc", script], profile=OPENCODE, flags=["-s"])
    assert (ended.exit_code, ended.stdout.split()) == (0, ["written"]), ended.stderr
    assert [path.name for path in outside.iterdir()] == ["packages"]
    assert not [*(outside / "packages").iterdir()]


@pytest.mark.parametrize(
    "script",
    [
        pytest.param("echo { > ~/.claude/settings.json", id="malformed"),
        pytest.param("mkfifo ~/.claude/settings.json", id="fifo"),
        pytest.param("ln -s /etc/hosts ~/.claude/settings.json", id="link"),
        pytest.param("truncate -s 9M ~/.claude/settings.json", id="long"),
    ],
)
def test_settings_that_cannot_be_read_are_told(person: NonoRun, script: str) -> None:
    (line,) = told(person, script)
    assert "cannot tell what an agent outside runs now" in line


def test_settings_that_the_run_cannot_change_are_not_looked_at(person: NonoRun) -> None:
    settings = person.user.home / ".claude/settings.json"
    settings.write_text("{}")
    person.give(settings)
    assert told(person, "! echo H > ~/.claude/settings.json", {"network": {"block": True}}) == []
    assert settings.read_text() == "{}"


def test_a_program_that_an_agent_runs_outside_is_told_once_a_run_has_replaced_it(person: NonoRun) -> None:
    program = person.user.home / ".codex/packages/standalone/current/codex"
    program.parent.mkdir(parents=True)
    program.write_text("#!/bin/sh\n")
    for each in (program, *program.parents[:4]):
        person.give(each)
    profile = {"filesystem": {"state_dir": ["~/.codex"]}}
    (line,) = told(person, f"echo '#!/bin/false' > {program}", profile)
    assert "this run changed standalone/current/codex in" in line
    assert told(person, f"sh {program}; echo x > ~/.codex/history", profile) == []


EXTENSIONS = {
    ".gemini": {
        "extensions/x/gemini-extension.json": True,
        "history/x/gemini-extension.json": False,
        "policies/any.toml": True,
    },
    ".qwen": {
        "extensions/x/qwen-extension.json": True,
        "updates/npm/x/active.json": True,
        "debug/npm/x/active.json": False,
    },
    ".config/opencode": {
        "plugin/x.js": True,
        "tools/x.js": True,
        "themes/x.js": False,
        "node_modules/@opencode-ai/plugin/index.js": True,
    },
    ".config/goose": {
        "custom_providers/openai.json": True,
        "memory/openai.json": False,
    },
    ".claude": {
        "plugins/cache/x/y/1/hooks/hooks.json": True,
        "plugins/data/x/hooks.json": False,
        "chrome/chrome-native-host": True,
        "dev-mods/x/index.js": True,
        "plugins/marketplaces/mk/plugins/x/hooks/hooks.json": True,
        "plugins/marketplaces/mk/plugins/.git/x": True,
        "plugins/marketplaces/mk/.git/logs/x": False,
    },
    ".codex": {
        "plugins/cache/x/plugin.json": True,
        "rules/any.rules": True,
        ".tmp/marketplaces/mk/plugins/x/.mcp.json": True,
        ".tmp/marketplaces/mk/.git/logs/x": False,
    },
    ".copilot": {
        "hooks/x/any.json": True,
        "logs/x/any.json": False,
        "pkg/linux-x64/9.9.9/app.js": True,
    },
    ".agents": {
        "plugins/x/.mcp.json": True,
        "skills/x/.mcp.json": False,
    },
    ".openclaw": {
        "extensions/x/index.js": True,
        "hooks/x/handler.js": True,
        "npm/projects/x/node_modules/x/index.js": True,
        "logs/x/handler.js": False,
    },
}


@pytest.mark.parametrize("state", EXTENSIONS)
def test_what_extends_an_agent_outside_is_told_once_a_run_has_laid_it(person: NonoRun, state: str) -> None:
    """Gemini CLI and Qwen Code start what an extension names, opencode imports what it finds there.

    By a rule, Codex runs a command outside its own sandbox, and Gemini CLI any command; they ask nobody.
    Qwen Code starts the version of itself that a file in `updates` names, Copilot CLI one that is in `pkg`.
    goose sends the key of a provider to the host in the file of its name. Chrome starts the program by which
    it talks to Claude Code.
    """
    profile = {"filesystem": {"state_dir": [f"~/{state}"]}}
    lines = told(person, f"cd ~/{state}\n{laid(EXTENSIONS[state])}", profile)
    assert named(lines, "changed", person.user.home / state) == only_told(EXTENSIONS[state])


@pytest.mark.parametrize(
    ("setting", "is_told"), [("core.fsmonitor /tmp/x", True), ("user.name x", False)], ids=["program", "name"]
)
def test_a_program_that_git_runs_in_a_clone_of_claude_code_is_told(
    person: NonoRun, setting: str, is_told: bool
) -> None:
    """Claude Code outside has git look there for news of its plugins."""
    clone = person.user.home / ".claude/plugins/marketplaces/mk"
    lay = f"git init -q {clone}; git -C {clone} config"
    assert person.run(["sh", "-euc", f"{lay} core.fsmonitor false"], profile=PROFILE).exit_code == 0
    ended = person.run(["sh", "-euc", f"{lay} {setting}"], profile=PROFILE, flags=["-s"])
    assert ended.exit_code == 0, ended.stderr
    said = f"this run set core.fsmonitor in {clone}/.git/config: git outside runs what it names"
    assert (said in ended.stderr) is is_told


@pytest.mark.parametrize(
    ("setting", "is_told"), [("core.fsmonitor /tmp/x", True), ("user.name x", False)], ids=["program", "name"]
)
def test_a_program_that_git_runs_in_a_snapshot_of_opencode_is_told(
    person: NonoRun, setting: str, is_told: bool
) -> None:
    """Opencode outside calls git there before and after each answer."""
    data = person.user.home / ".local/share/opencode"
    script = f"cd {data}; git init -q --bare snapshot/a/b; cd snapshot/a/b; git config"
    assert person.run(["sh", "-euc", f"{script} core.fsmonitor false"], profile=OPENCODE).exit_code == 0
    ended = person.run(["sh", "-euc", f"{script} {setting}"], profile=OPENCODE, flags=["-s"])
    assert ended.exit_code == 0, ended.stderr
    config = f"{data}/snapshot/a/b/config"
    said = f"this run set core.fsmonitor in {config}: git outside runs what it names"
    assert (said in ended.stderr) is is_told
    changed = [event for event in ended.events if event["type"] == "repository_changed"]
    assert [(event["path"], event["names"]) for event in changed] == (
        [(config, ["core.fsmonitor"])] if is_told else []
    )


@pytest.mark.parametrize(
    ("setting", "is_told"), [("core.fsmonitor /tmp/x", True), ("user.name x", False)], ids=["program", "name"]
)
def test_a_program_that_git_runs_in_a_reference_of_opencode_is_told(
    person: NonoRun, setting: str, is_told: bool
) -> None:
    """Opencode outside has git fetch there what the person's settings refer to (`references`)."""
    clone = person.user.home / ".local/share/opencode/repos/github.com/a/b"
    lay = f"git init -q {clone}; git -C {clone} config"
    assert person.run(["sh", "-euc", f"{lay} core.fsmonitor false"], profile=OPENCODE).exit_code == 0
    ended = person.run(["sh", "-euc", f"{lay} {setting}"], profile=OPENCODE, flags=["-s"])
    assert ended.exit_code == 0, ended.stderr
    said = f"this run set core.fsmonitor in {clone}/.git/config: git outside runs what it names"
    assert (said in ended.stderr) is is_told


@pytest.mark.parametrize(("leads_to", "is_told"), [("/tmp/x", True), ("/tmp/mine", False)])
def test_a_worktree_of_opencode_that_leads_elsewhere_is_told(
    person: NonoRun, leads_to: str, is_told: bool
) -> None:
    file = person.user.home / ".local/share/opencode/worktree/a/b/.git"
    script = f"mkdir -p {file.parent}; echo gitdir:"
    assert person.run(["sh", "-euc", f"{script} /tmp/mine > {file}"], profile=OPENCODE).exit_code == 0
    ended = person.run(["sh", "-euc", f"{script} {leads_to} > {file}"], profile=OPENCODE, flags=["-s"])
    assert ended.exit_code == 0, ended.stderr
    assert (f"this run made {file} lead git to another repository" in ended.stderr) is is_told


# It makes a server in each directory, after trying to put others in place of all.
SERVES = """
import os, socket, sys
for path in (*sys.argv[1:], *dict.fromkeys(map(os.path.dirname, sys.argv[1:]))):
    try:
        os.rename(path, path + "-away")
    except OSError:
        continue
    os.mkdir(path)
for path in sys.argv[1:]:
    server = socket.socket(socket.AF_UNIX)
    server.bind(path + "/x.sock")
    server.listen()
"""


@pytest.mark.parametrize(("directory", "read"), [("sessions", ""), ("logs", "canary\n")])
def test_the_keys_to_a_running_claude_code_are_not_read(person: NonoRun, directory: str, read: str) -> None:
    """Who has one writes to that session as another one of the person's does."""
    key = person.user.home / ".claude" / directory / "4711.key"
    key.parent.mkdir()
    key.write_text("canary\n")
    for path in (key.parent, key):
        person.give(path)
    ended = person.run(["sh", "-c", f"chmod 700 {key.parent} && cat {key}"], profile=PROFILE, flags=["-s"])
    assert ended.stdout == read, ended.stderr
    assert key.read_text() == "canary\n"


# By the state of an agent: the directories below it, and if what a run makes there is the person's to see.
OBEYED = {
    ".codex": {"app-server-control": False, "beside": True, "shell_snapshots": False, "tmp": False},
    ".claude": {
        "ide": False,
        "beside": True,
        "shell-snapshots": False,
        "session-env": False,
        "daemon": False,
        "jobs": False,
        "sessions": False,
        "teams": False,
    },
    ".qwen": {"ide": False, "beside": True},
}


def served(person: NonoRun, directories: Sequence[Path], **variables: str) -> list[bool]:
    """Run what serves in each directory, of granted ones. Return if a server is left there for the person."""
    for directory in directories:
        directory.mkdir(parents=True)
        person.give(directory)
        person.give(directory.parent)
    states = [f"~/{state.relative_to(person.user.home)}" for state in {each.parent for each in directories}]
    ended = person.run(
        ["python3", "-c", SERVES, *map(str, directories)],
        profile={"filesystem": {"allow" if variables else "state_dir": states}},
        flags=["--block-net"],
        environment=variables,
    )
    assert (ended.exit_code, ended.stdout) == (0, ""), ended.stderr
    left = [[path.name for path in directory.iterdir()] for directory in directories]
    assert all(names in ([], ["x.sock"]) for names in left)
    return [bool(names) for names in left]


@pytest.mark.parametrize("state", OBEYED)
def test_a_run_has_its_own_directory_where_an_agent_outside_finds_what_it_obeys(
    person: NonoRun, state: str
) -> None:
    """Codex has the person log in at the server that it finds there, and Claude Code has an editor answer.

    Qwen Code starts what a file there names, and so does the service of Claude Code. The shells of Claude
    Code and Codex read the scripts there, and a team of Claude Code its leader's answers. Codex starts git
    and its own sandbox from a directory below tmp. Claude Code writes to other sessions that it finds there.
    """
    found = served(person, [person.user.home / state / where for where in OBEYED[state]])
    assert dict(zip(OBEYED[state], found, strict=True)) == OBEYED[state]


def test_a_run_has_its_own_directory_where_a_person_has_moved_what_an_agent_obeys(person: NonoRun) -> None:
    moved = {
        ("CODEX_HOME", "app-server-control"): False,
        ("CODEX_HOME", "shell_snapshots"): False,
        ("CODEX_HOME", "tmp"): False,
        ("CODEX_HOME", "ide"): True,
        ("CLAUDE_CONFIG_DIR", "daemon"): False,
        ("QWEN_HOME", "ide"): False,
        ("OTHER_HOME", "ide"): True,
    }
    home = {variable: person.user.home / f"moved-{variable}" for variable, _ in moved}
    directories = [home[variable] / where for variable, where in moved]
    found = served(person, directories, **{variable: str(path) for variable, path in home.items()})
    assert dict(zip(moved, found, strict=True)) == moved


@pytest.mark.parametrize(
    ("variable", "below", "script", "said"),
    [
        ("CLAUDE_CONFIG_DIR", ".", "echo H > settings.json", "set hooks in"),
        ("CODEX_HOME", ".", "echo 'notify = [\"x\"]' > config.toml", "set notify in"),
        ("CODEX_HOME", ".", "mkdir packages; echo x > packages/codex", "changed codex in"),
        ("GEMINI_CLI_HOME", ".gemini", "mkdir -p extensions/x; echo x > extensions/x/y", "changed x/y in"),
        ("XDG_CONFIG_HOME", "opencode", 'echo \'{"mcp": {"x": 1}}\' > opencode.json', "set mcp in"),
        ("XDG_CONFIG_HOME", "opencode", "mkdir plugin; echo x > plugin/x.js", "changed x.js in"),
        ("OPENCODE_CONFIG_DIR", ".", "mkdir plugin; echo x > plugin/x.js", "changed x.js in"),
        ("XDG_CONFIG_HOME", "other", "mkdir plugin; echo x > plugin/x.js", None),
        ("OTHER_HOME", ".", "mkdir packages; echo x > packages/codex; echo H > hooks.json", None),
    ],
)
def test_what_a_run_lays_where_a_person_has_moved_the_state_of_an_agent_is_told(
    person: NonoRun, variable: str, below: str, script: str, said: str | None
) -> None:
    moved = person.user.home / "moved"
    (moved / below).mkdir(parents=True)
    for path in (moved, moved / below):
        person.give(path)
    profile = {"filesystem": {"state_dir": [str(moved / below)]}}
    ended = person.run(
        ["sh", "-euc", f"cd {moved / below}; {script.replace('H', f"'{HOOKS}'")}"],
        profile=profile,
        flags=["-s"],
        environment={variable: str(moved)},
    )
    assert ended.exit_code == 0, ended.stderr
    lines = [line for line in ended.stderr.splitlines() if "an agent outside" in line]
    assert [said in line for line in lines if said] == ([True] if said else [])
    assert len(lines) == (1 if said else 0)


@pytest.mark.parametrize(("name", "is_told"), [("mine.json", True), ("other.json", False)])
def test_servers_in_a_file_that_a_variable_of_opencode_names_are_told(
    person: NonoRun, name: str, is_told: bool
) -> None:
    servers = '{"mcp": {"x": {"type": "local", "command": ["/tmp/x"]}}}'
    ended = person.run(
        ["sh", "-euc", f"echo '{servers}' > {name}"],
        profile=PROFILE,
        flags=["-s"],
        environment={"OPENCODE_CONFIG": str(person.project / "mine.json")},
    )
    assert ended.exit_code == 0, ended.stderr
    assert (f"this run set mcp in {person.project}/mine.json" in ended.stderr) is is_told


def test_plugins_that_a_run_of_the_profile_lays_in_moved_settings_are_told(person: NonoRun) -> None:
    settings = person.user.home / "settings"
    settings.mkdir()
    person.give(settings)
    script = 'cd "$XDG_CONFIG_HOME/opencode" && mkdir plugin && echo x > plugin/x.js'
    ended = person.run(
        ["sh", "-euc", script], profile=OPENCODE, flags=["-s"], environment={"XDG_CONFIG_HOME": str(settings)}
    )
    assert ended.exit_code == 0, ended.stderr
    assert f"this run changed x.js in {settings}/opencode/plugin: an agent outside" in ended.stderr


def test_a_link_where_a_codex_outside_finds_its_server_is_refused(person: NonoRun) -> None:
    state = person.user.home / ".codex"
    (state / "mine").mkdir(parents=True)
    (state / "app-server-control").symlink_to("mine")
    for path in (state, state / "mine"):
        person.give(path)
    profile = {"filesystem": {"state_dir": ["~/.codex"]}}
    refused = person.run(["true"], profile=profile, flags=["--block-net"])
    assert refused.exit_code == 1
    assert f"{state}/app-server-control' is not a directory of your own" in refused.stderr
    (state / "app-server-control").unlink()
    assert person.run(["true"], profile=profile, flags=["--block-net"]).exit_code == 0


def test_only_a_run_makes_the_directory_of_codex_servers(person: NonoRun) -> None:
    state = person.user.home / ".codex"
    state.mkdir()
    person.give(state)
    profile = {"filesystem": {"state_dir": ["~/.codex"]}}
    asked = person.bare([*NONO, "why", str(state), "--profile", str(person.write_profile(profile))])
    assert (asked.exit_code, asked.stdout.split()[0]) == (0, "ALLOWED"), asked.stderr
    assert [*state.iterdir()] == []
    assert person.run(["true"], profile=profile, flags=["--block-net"]).exit_code == 0
    assert sorted(path.name for path in state.iterdir()) == ["app-server-control", "shell_snapshots", "tmp"]


def test_a_run_makes_no_state_of_a_codex_that_has_none(person: NonoRun) -> None:
    state = person.project / "codex"
    (person.user.home / ".codex").symlink_to(state)
    profile = {"filesystem": {"allow": [str(person.project)]}}
    assert person.run(["true"], profile=profile, flags=["--block-net"]).exit_code == 0
    assert not state.exists()
    state.mkdir()
    person.give(state)
    assert person.run(["true"], profile=profile, flags=["--block-net"]).exit_code == 0
    assert sorted(path.name for path in state.iterdir()) == ["app-server-control", "shell_snapshots", "tmp"]


def test_no_run_serves_a_codex_outside_whose_state_is_a_link(person: NonoRun) -> None:
    kept = person.user.home / "dotfiles/codex"
    (kept / "app-server-control").mkdir(parents=True)
    for path in (kept.parent, kept, kept / "app-server-control"):
        person.give(path)
    (person.user.home / ".codex").symlink_to("dotfiles/codex")
    ended = person.run(
        ["python3", "-c", SERVES, str(kept / "app-server-control")],
        profile={"filesystem": {"allow": ["~/dotfiles/codex"]}},
        flags=["--block-net"],
    )
    assert (ended.exit_code, ended.stdout) == (0, ""), ended.stderr
    assert [*(kept / "app-server-control").iterdir()] == []
