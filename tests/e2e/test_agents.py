"""Real coding agents under the profiles nono ships: they do their work, and no more, and hold no key."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from e2e.test_documents import blocks
from support.agents.codex import codex_api
from support.agents.places import PLACES
from support.agents.programs import LIMIT_S
from support.agents.stage import LOGIN, TASK, TIMEOUT_S, AgentStage, agent_stage
from support.models.anthropic import FakeAnthropic
from support.models.bedrock import FakeBedrock
from support.models.claude_clouds import FakeFoundry, FakeVertex
from support.models.gemini import FakeGemini
from support.models.openai import FakeAzure, FakeOpenAi
from support.nono_run import NONO, Ended, nono_run

KEY = "canary-of-the-real-key"


def described(command: str) -> Mapping[str, object]:
    return {"command": command, "description": "Does it", "is_background": False}


def openclaw_api() -> FakeOpenAi:
    """Serve a model whose one tool runs JavaScript programs too."""
    return FakeOpenAi(
        TASK, {"exec": lambda command: {"code": f"return await exec({json.dumps({'command': command})});"}}
    )


@dataclass(frozen=True)
class Agent:
    """A shipped profile and the agent that it is for.

    hosts: the API's first, which alone gets the key, as the header says. login: where the agent keeps one.
    """

    profile: str
    argv: tuple[str, ...]
    hosts: tuple[str, ...]
    header: tuple[str, str]
    login: str
    api: Callable[[], FakeAnthropic | FakeOpenAi | FakeGemini]
    phantom: str
    typed: str = ""
    key: str | None = None  # its name in nono's store; None: it is in the variable phantom
    settings: Mapping[str, str] = field(default_factory=dict)  # variables of the person's
    is_shown: bool = True  # its tools inherit the phantom

    def __str__(self) -> str:
        return self.profile


AGENTS = [
    Agent(
        profile="claude-code",
        argv=("claude", "--print", "Do it.", "--allowedTools", "Bash"),
        hosts=("api.anthropic.com",),
        header=("x-api-key", KEY),
        login=".claude/.credentials.json",
        api=lambda: FakeAnthropic(TASK),
        phantom="ANTHROPIC_API_KEY",
    ),
    Agent(
        profile="codex",
        argv=(
            "codex",
            "exec",
            "--dangerously-bypass-approvals-and-sandbox",
            "--skip-git-repo-check",
            "Do it.",
        ),
        hosts=("api.openai.com", "chatgpt.com"),
        header=("authorization", f"Bearer {KEY}"),
        login=".codex/auth.json",
        api=codex_api,
        phantom="CODEX_API_KEY",
        key="openai",
    ),
    Agent(
        profile="gemini-cli",
        argv=("gemini", "--yolo", "--skip-trust", "--model", "gemini-2.5-pro", "--prompt", "Do it."),
        hosts=("generativelanguage.googleapis.com",),
        header=("x-goog-api-key", KEY),
        login=".gemini/oauth_creds.json",
        api=lambda: FakeGemini(TASK),
        phantom="GEMINI_API_KEY",
        key="gemini",
    ),
    Agent(
        profile="opencode",
        argv=("opencode", "run", "--model", "anthropic/claude-sonnet-4-5", "Do it."),
        hosts=("api.anthropic.com", "models.opencode.ai", "registry.npmjs.org"),
        header=("x-api-key", KEY),
        login=".local/share/opencode/auth.json",
        api=lambda: FakeAnthropic(TASK, "bash"),
        phantom="ANTHROPIC_API_KEY",
    ),
    Agent(
        profile="aider",
        argv=(
            "aider",
            "--model=openai/gpt-4o",
            "--no-git",
            "--no-show-model-warnings",
            "--no-show-release-notes",
            "--no-analytics",  # it asks one person in ten about them, who would type an answer less
        ),
        hosts=("api.openai.com", "raw.githubusercontent.com"),
        header=("authorization", f"Bearer {KEY}"),
        login=".aider/oauth-keys.env",
        api=lambda: FakeOpenAi("sh task"),
        phantom="OPENAI_API_KEY",
        key="openai",
        typed="Do it.\ny\ny\nWhat came of it?\n",  # it may run the command, and tell what it printed
    ),
    Agent(
        profile="openclaw",
        argv=("openclaw", "agent", "--local", "--session-id", "one", "--message", "Do it."),
        hosts=("api.openai.com",),
        header=("authorization", f"Bearer {KEY}"),
        login=".openclaw/credentials/oauth.json",
        api=openclaw_api,
        phantom="OPENAI_API_KEY",
        key="openai",
    ),
    Agent(
        profile="qwen-code",
        argv=("qwen", "--yolo", "--prompt", "Do it."),
        hosts=("api.openai.com", "registry.npmjs.org"),
        header=("authorization", f"Bearer {KEY}"),
        login=".qwen/oauth_creds.json",
        api=lambda: FakeOpenAi("sh task", {"run_shell_command": described}),
        phantom="OPENAI_API_KEY",
        key="openai",
        settings={"OPENAI_MODEL": "gpt-4o"},
    ),
    Agent(
        profile="goose",
        argv=("goose", "run", "--text", "Do it."),
        hosts=("api.openai.com",),
        header=("authorization", f"Bearer {KEY}"),
        login=".config/goose/secrets.yaml",
        api=lambda: FakeOpenAi("sh task", {"shell": lambda command: {"command": command}}),
        phantom="OPENAI_API_KEY",
        key="openai",
        settings={"GOOSE_PROVIDER": "openai", "GOOSE_MODEL": "gpt-4o"},
    ),
    Agent(
        profile="copilot-cli",
        argv=("copilot", "--allow-all", "--prompt", "Do it."),
        hosts=("api.openai.com",),
        header=("authorization", f"Bearer {KEY}"),
        login=".copilot/config.json",
        api=lambda: FakeOpenAi("sh task", {"bash": described}),
        phantom="COPILOT_PROVIDER_API_KEY",
        key="openai",
        settings={"COPILOT_MODEL": "gpt-4o"},
        is_shown=False,
    ),
]
SLOW = ("openclaw", "qwen-code", "copilot-cli")  # they take a minute to get and to run
# The first time one is got from its registry; each has limits of its own for that and for its run.
pytestmark = pytest.mark.timeout(LIMIT_S + TIMEOUT_S)


@dataclass(frozen=True)
class Scene:
    agent: Agent
    stage: AgentStage
    results: list[str]  # what the agent told the model of its command

    def run(self) -> Ended:
        environment: Mapping[str, str] = {}
        if self.agent.key is None:
            environment = {self.agent.phantom: KEY}
        else:
            self.stage.nono("credential", "set", self.agent.key, stdin=KEY)
        environment = {**environment, **self.agent.settings}
        (self.stage.project / "task").write_text(TASK)  # for those that run one line at a time
        return self.stage.run(
            self.agent.profile, self.agent.argv, environment=environment, stdin=self.agent.typed
        )


@pytest.fixture
def scene(agent: Agent) -> Iterator[Scene]:
    if os.geteuid() != 0:
        pytest.skip("only root can give a provider its own name")  # so that nothing is got for it either
    api = agent.api()
    place = PLACES[agent.profile]
    with agent_stage(agent.hosts, api, mounts=place.mounts(agent.profile), login=agent.login) as stage:
        place.install(stage)
        yield Scene(agent, stage, api.results)


@pytest.mark.fetched
@pytest.mark.parametrize(
    "agent",
    [pytest.param(each, marks=pytest.mark.slow if each.profile in SLOW else ()) for each in AGENTS],
    ids=str,
)
def test_an_agent_does_only_its_work_in_its_profile(scene: Scene) -> None:
    run = scene.run()
    assert run.exit_code == 0, run.stdout + run.stderr
    [told] = scene.results
    assert "tried" in told
    assert "read" not in told
    assert (scene.stage.project / "made").read_text() == "made\n"
    assert not scene.stage.outside.exists()
    keys_are_where_they_belong(scene, run)
    only_the_prompt_begins_a_turn(scene, run)
    the_task_is_held_by_nothing_else(scene)


@pytest.mark.fetched
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a provider its own name")
def test_claude_code_works_at_a_gateway_whose_token_it_does_not_hold() -> None:
    [claude] = [each for each in AGENTS if each.profile == "claude-code"]
    api, place, url = FakeAnthropic(TASK), PLACES[claude.profile], "https://llm.corp.example"
    mounts = place.mounts(claude.profile)
    with agent_stage(["llm.corp.example"], api, mounts=mounts, login=claude.login) as stage:
        place.install(stage)
        nono = (*NONO, "run", "-p", claude.profile, "--credential", f"anthropic-token={url}", "--allow-cwd")
        given = {"ANTHROPIC_BASE_URL": url, "ANTHROPIC_AUTH_TOKEN": KEY}
        run = stage.person([*nono, "--", *claude.argv], environment=given)
        assert run.returncode == 0, run.stdout + run.stderr
        [told] = api.results
        assert "tried" in told
        assert KEY not in (stage.project / "environment").read_text()
        asked = [each for each in stage.provider.requests if each.method == b"POST"]
        assert {each.value(b"authorization") for each in asked} == {f"Bearer {KEY}".encode()}


BEDROCK = "bedrock-runtime.us-east-1.amazonaws.com"


@pytest.mark.fetched
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a provider its own name")
def test_claude_code_works_at_bedrock_with_keys_of_aws_that_it_does_not_hold() -> None:
    [claude] = [each for each in AGENTS if each.profile == "claude-code"]
    api, place = FakeBedrock(TASK), PLACES[claude.profile]
    mounts = place.mounts(claude.profile)
    with agent_stage([BEDROCK], api, mounts=mounts, login=claude.login) as stage:
        place.install(stage)
        [text] = [block for block in blocks("docs/agents.md", "json") if "aws_auth" in block]
        stage.furnish({".config/nono/profiles/claude-bedrock.json": text})
        given = {"AWS_ACCESS_KEY_ID": "AKIACANARYOFTHEID123", "AWS_SECRET_ACCESS_KEY": KEY}
        run = stage.run("claude-bedrock", claude.argv, environment=given)
        assert run.exit_code == 0, run.stdout + run.stderr
        [told] = api.results
        assert "tried" in told
        held = (stage.project / "environment").read_text()
        assert not any(key in held for key in given.values())
        asked = [each for each in stage.provider.requests if each.method == b"POST"]
        signers = {(each.value(b"authorization") or b"").partition(b"/")[0] for each in asked}
        assert signers == {b"AWS4-HMAC-SHA256 Credential=AKIACANARYOFTHEID123"}
        assert re.search(r"bedrock +claude-", run.stderr), run.stderr  # the tokens of its models are counted


GCLOUD = f"""#!/bin/sh
[ "$*" = "auth application-default print-access-token" ] && [ -z "$CLAUDECODE" ] && echo {KEY}
"""
VERTEX, FOUNDRY = "us-east5-aiplatform.googleapis.com", "my-resource.services.ai.azure.com"


@pytest.mark.fetched
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a provider its own name")
@pytest.mark.parametrize(
    ("host", "api", "header", "elsewhere"),
    [
        (VERTEX, FakeVertex(TASK), ("authorization", f"Bearer {KEY}"), "/v1/projects/my-project/secrets"),
        (FOUNDRY, FakeFoundry(TASK), ("x-api-key", KEY), "/openai/v1/files"),
    ],
    ids=["Vertex AI", "Foundry"],
)
def test_claude_code_works_in_a_cloud_whose_key_it_does_not_hold(
    host: str, api: FakeVertex | FakeFoundry, header: tuple[str, str], elsewhere: str
) -> None:
    """The profile is that of docs/agents.md. Its key is for Claude's models there, and nothing else."""
    [claude] = [each for each in AGENTS if each.profile == "claude-code"]
    place = PLACES[claude.profile]
    with agent_stage([host], api, mounts=place.mounts(claude.profile), login=claude.login) as stage:
        place.install(stage)
        [text] = [block for block in blocks("docs/agents.md", "json") if host in block]
        stage.furnish({".config/nono/profiles/claude-cloud.json": text, ".local/bin/gcloud": GCLOUD})
        (stage.home / ".local/bin/gcloud").chmod(0o755)
        given = {"ANTHROPIC_FOUNDRY_API_KEY": KEY} if host == FOUNDRY else {}
        run = stage.run("claude-cloud", claude.argv, environment=given)
        assert run.exit_code == 0, run.stdout + run.stderr
        [told] = api.results
        assert "tried" in told
        assert KEY not in (stage.project / "environment").read_text()
        name, value = (text.encode() for text in header)
        asked = [each for each in stage.provider.requests if each.method == b"POST"]
        assert {each.value(name) for each in asked} == {value}
        assert {event["input_tokens"] for event in run.events if event["type"] == "model_usage"} == {1}
        key = "$ANTHROPIC_AUTH_TOKEN$ANTHROPIC_FOUNDRY_API_KEY"
        field = f"{header[0]}: {header[1].replace(KEY, key)}"
        curl = f'curl -s -o /dev/null -w "%{{http_code}}" -d {{}} -H "{field}" https://{host}{elsewhere}'
        refused = stage.run("claude-cloud", ("sh", "-c", curl), environment=given)
        assert refused.stdout == "403"
        events = [each["event"] for each in refused.events if each["type"] == "network"]
        denials = [each for each in events if each["decision"] == "deny"]
        assert [(each["target"], each["path"]) for each in denials] == [(host, elsewhere)]
        assert len([each for each in stage.provider.requests if each.method == b"POST"]) == len(asked)


AZURE = "my-resource.openai.azure.com"
CODEX_AT_AZURE = f"""model = "gpt-4o"
model_provider = "azure"
[model_providers.azure]
name = "Azure"
base_url = "https://{AZURE}/openai/v1"
env_key = "AZURE_API_KEY"
wire_api = "responses"
"""


@pytest.mark.fetched
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a provider its own name")
@pytest.mark.parametrize("name", ["codex", "aider"])
def test_an_agent_works_at_azure_with_a_key_that_it_does_not_hold(name: str) -> None:
    """Codex sends its placeholder as a bearer, aider as Azure's own header."""
    [agent] = [each for each in AGENTS if each.profile == name]
    api = codex_api(FakeAzure) if name == "codex" else FakeAzure("sh task")
    place = PLACES[name]
    with agent_stage([AZURE], api, mounts=place.mounts(name), login=agent.login) as stage:
        place.install(stage)
        [text] = [block for block in blocks("docs/agents.md", "json") if AZURE in block]
        stage.furnish({".config/nono/profiles/azure.json": text, ".codex/config.toml": CODEX_AT_AZURE})
        (stage.project / "task").write_text(TASK)
        argv = [each.replace("openai/", "azure/") for each in agent.argv]
        run = stage.run(f"{name},azure", argv, environment={"AZURE_API_KEY": KEY}, stdin=agent.typed)
        assert run.exit_code == 0, run.stdout + run.stderr
        assert "tried" in run.stdout
        assert KEY not in (stage.project / "environment").read_text()
        asked = [each for each in stage.provider.requests if each.method == b"POST"]
        sent = {(each.value(b"api-key"), each.value(b"authorization")) for each in asked}
        assert sent == {(KEY.encode(), None)}


def keys_are_where_they_belong(scene: Scene, run: Ended) -> None:
    held = (scene.stage.project / "environment").read_text()
    variables = dict(line.split("=", 1) for line in held.splitlines() if "=" in line)
    phantom = variables.get(scene.agent.phantom, "")
    assert bool(phantom) is scene.agent.is_shown
    assert KEY not in held + run.stdout + run.stderr
    name, value = (text.encode() for text in scene.agent.header)
    asked = [request for request in scene.stage.provider.requests if request.method == b"POST"]
    assert [request.values(name) for request in asked] == [[value]] * len(asked)
    for request in scene.stage.provider.requests:
        of_the_api = request.value(b"host") == scene.agent.hosts[0].encode()
        unwanted = phantom if of_the_api else KEY
        assert not unwanted or unwanted.encode() not in request.head + request.body
    stored = Path(scene.stage.home, ".local/state/nono")
    left = [path for path in scene.stage.home.rglob("*") if path.is_file() and stored not in path.parents]
    assert [path for path in left if KEY.encode() in path.read_bytes()] == []


def only_the_prompt_begins_a_turn(scene: Scene, run: Ended) -> None:
    if scene.agent.profile == "aider":  # offers no tools
        assert {event["type"] for event in run.events} >= {"turn_unclear"}
        return
    [began] = [event for event in run.events if event["type"] == "turn_began"]
    asked = run.events[began["request"]]["event"]
    assert (asked["decision"], asked["method"]) == ("allow", "POST")


def the_task_is_held_by_nothing_else(scene: Scene) -> None:
    bare = scene.stage.person(["sh", "-c", TASK])
    assert bare.stdout.splitlines() == [LOGIN, "read .ssh/id", LOGIN, f"read {scene.agent.login}", "tried"]
    assert scene.stage.outside.exists()


@pytest.mark.parametrize("how", ["run", "wrap"])
def test_a_state_directory_is_made_only_when_the_command_starts(how: str) -> None:
    with nono_run() as runner:
        profile = runner.write_profile({"filesystem": {"state_dir": ["~/.agent"]}})
        command = (*NONO, how, "--profile", str(profile))
        write = ("--", "sh", "-c", 'echo kept > "$HOME/.agent/file"')
        assert runner.bare([*command, "--dry-run", *write]).exit_code == 0
        state = runner.user.home / ".agent"
        assert not state.exists()
        for _ in range(2):
            ended = runner.bare([*command, *write])
            assert ended.exit_code == 0, ended.stderr
            assert (state / "file").read_text() == "kept\n"
            assert state.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize(
    ("own", "login"),
    [
        (".augment", "session.json"),
        (".cline", "data/settings/providers.json"),
        (".codex", ".credentials.json"),
        (".config/goose", "xai_oauth/tokens.json"),
        (".kimi", "credentials/kimi-code.json"),
        (".local/share/amp", "secrets.json"),
        (".openhands", "agent_settings.json"),
        (".pi", "agent/auth.json"),
        (".vibe", ".env"),
    ],
)
def test_a_login_that_no_run_replaces_is_denied_in_the_agents_own_directory(own: str, login: str) -> None:
    with nono_run() as runner:
        state = runner.user.home / own
        file = state / login
        for directory in reversed(file.parents):
            if not directory.exists():
                directory.mkdir()
                runner.give(directory)
        for made, content in ((file, LOGIN), (state / "settings", "settings")):
            made.write_text(content)
            runner.give(made)
        command = ["sh", "-c", f"cat {state}/settings; cat {file}"]
        ended = runner.run(command, profile={}, flags=[f"--allow={state}"])
        assert ended.stdout == "settings"
        assert LOGIN in runner.bare(command).stdout
