"""Real coding agents at a terminal, driven as a person would: inside they do what they do outside."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from support.agents import mcp_server
from support.agents.codex import CODEX_AT_API
from support.agents.places import PLACES
from support.agents.programs import LIMIT_S
from support.agents.screen import Screen
from support.agents.stage import TIMEOUT_S, AgentStage, agent_stage
from support.models.anthropic import FakeAnthropic
from support.models.gemini import FakeGemini
from support.models.openai import FakeOpenAi, ToolUse
from support.nono_run import NONO

KEY = "sk-ant-api03-canary-of-the-real-key-0123456789"
UP, DOWN, ENTER = "\x1b[A", "\x1b[B", "\r"
PROMPT, SUBPROMPT = "Do the work", "Count the sheep"
COUNT = "seq -f '%g sheep' 41 41"  # without anything that an agent takes for an injection
BUILD = "cc -o program program.c && ./program"
PROGRAM = '#include <stdio.h>\n\nint main(void)\n{\n    puts("compiled by $PWD");\n}\n'
DIAGNOSTIC, SAVE, BLOCKED = "NONO DIAGNOSTIC", "Save to a user profile?", "\n  blocked "
OFFER = "Add the profile rust-dev"  # nono's own first question
pytestmark = [pytest.mark.fetched, pytest.mark.timeout(LIMIT_S + TIMEOUT_S)]


@dataclass(frozen=True)
class Agent:
    """An agent as a person uses it for the first time.

    first: how its first questions are answered. ready: what is on the screen when it waits for a prompt.
    asks: how questions during the work are answered. done: what is on the screen after it.
    """

    profile: str
    argv: tuple[str, ...]
    hosts: tuple[str, ...]
    api: Callable[[], FakeAnthropic | FakeGemini | FakeOpenAi]
    first: Mapping[str, Sequence[str]]
    ready: str
    asks: Mapping[str, Sequence[str]]
    done: str
    leave: Sequence[str]
    key: str  # the variable
    told: tuple[str, ...]  # what the model hears of the work
    moving: str  # what comes, goes or tells the time on the screen
    state: tuple[str, ...]  # what it keeps below the home
    rows: int = 40  # of the screen, from below, that are compared
    untold: str = DIAGNOSTIC  # what nono does not say at the end
    stored: str | None = None  # the key's name in nono's store; None: it is in the variable
    files: Mapping[str, str] = field(default_factory=dict)  # of the project
    home: Mapping[str, str] = field(default_factory=dict)  # files below it that are there from the start
    settings: Mapping[str, str] = field(default_factory=dict)  # variables of the person's

    def __str__(self) -> str:
        return self.profile


CLAUDE_CODE = Agent(
    profile="claude-code",
    argv=("claude", "--permission-mode", "default"),
    hosts=("api.anthropic.com", "platform.claude.com", "downloads.claude.ai"),
    api=lambda: FakeAnthropic(
        "true",
        scripts={
            PROMPT: [
                ("Bash", {"command": BUILD, "description": "Builds and runs the program"}),
                ("ToolSearch", {"query": "select:mcp__sums__add", "max_results": 1}),
                ("mcp__sums__add", {"a": 20, "b": 22}),
                ("Agent", {"description": "sheep", "prompt": SUBPROMPT, "subagent_type": "general-purpose"}),
            ],
            SUBPROMPT: [("Bash", {"command": COUNT, "description": "Counts sheep"})],
        },
    ),
    first={
        "Choose the text style": [ENTER],
        "Detected a custom API key": [UP, ENTER],
        "Security notes": [ENTER],
        "Is this a project you created or one you trust?": [DOWN, ENTER],
        "New MCP server": [UP, UP, ENTER],
    },
    ready="? for shortcuts",
    asks={"Do you want to proceed?": [ENTER], "Adds two numbers": [ENTER]},
    done='Agent "sheep" finished',
    leave=["/exit", ENTER],
    key="ANTHROPIC_API_KEY",
    told=("compiled", "the sum is 42", "41 sheep"),
    moving=r"◐ \w+ · /effort|[▀-▟]+",  # its face winks
    state=(".claude", ".claude.json", "project/.claude"),
    files={".mcp.json": json.dumps({"mcpServers": {"sums": {"command": "python3", "args": ["sums.py"]}}})},
)


def _for_a_person(command: str) -> Mapping[str, object]:
    return {"command": command, "description": "Builds and runs the program", "is_background": False}


def codex_api() -> FakeOpenAi:
    """Serve a model whose one tool runs JavaScript programs, which call all tools but other agents'."""

    def runs(call: str) -> tuple[str, str]:
        return "exec", f"text(JSON.stringify(await tools.{call}));"

    def shell(command: str) -> tuple[str, str]:
        return runs(f"exec_command({json.dumps({'cmd': command})})")

    spawned = {"task_name": "sheep", "message": SUBPROMPT, "fork_turns": "none"}
    work: list[ToolUse] = [
        shell(BUILD),
        runs("mcp__sums__add({a: 20, b: 22})"),
        ("collaboration.spawn_agent", spawned),
        ("collaboration.wait_agent", {"timeout_ms": 30_000}),
    ]
    return FakeOpenAi(BUILD, scripts={PROMPT: work, SUBPROMPT: [shell(COUNT)]})


def openclaw_api() -> FakeOpenAi:
    """Serve a model whose one tool runs JavaScript programs too."""

    def script(command: str) -> Mapping[str, object]:
        run = {"command": f'cd "$PROJECT" && {command}'}
        return {"code": f"return await exec({json.dumps(run)});"}

    return FakeOpenAi(BUILD, {"exec": script})


CODEX_SERVER = """
[mcp_servers.sums]
command = "python3"
args = ["sums.py"]
"""
CODEX = Agent(
    profile="codex",
    argv=("codex", "--dangerously-bypass-approvals-and-sandbox"),
    hosts=("api.openai.com", "chatgpt.com"),
    api=codex_api,
    first={},
    ready="← for agents",  # before its daemon answers it takes no Enter
    asks={},
    done="Wait completed",
    leave=["/quit", ENTER],
    key="OPENAI_API_KEY",
    stored="openai",
    told=("compiled", "the sum is 42", "41 sheep"),
    state=(".codex",),
    moving="[\u2800-\u28ff]+",
    home={".codex/config.toml": CODEX_AT_API + CODEX_SERVER},
)
GEMINI_CLI = Agent(
    profile="gemini-cli",
    argv=("gemini", "--skip-trust", "--model", "gemini-2.5-pro"),
    hosts=("generativelanguage.googleapis.com", "play.googleapis.com"),
    api=lambda: FakeGemini(
        BUILD,
        scripts={
            PROMPT: [
                ("run_shell_command", {"command": BUILD, "description": "Builds and runs the program"}),
                ("mcp_sums_add", {"a": 20, "b": 22}),
                ("invoke_agent", {"agent_name": "generalist", "prompt": SUBPROMPT}),
            ],
            SUBPROMPT: [
                ("run_shell_command", {"command": COUNT, "description": "Counts sheep"}),
                ("complete_task", {"result": {"response": "It is done"}}),
            ],
        },
    ),
    first={
        "How would you like to authenticate": [ENTER],
        "Enter Gemini API Key": [ENTER],
    },
    ready="Type your message",
    asks={"? Shell  cc": [ENTER], "sums MCP Server": [ENTER], "? Shell  seq": [ENTER]},
    done="It printed Subagent",
    leave=["/quit", ENTER],
    key="GEMINI_API_KEY",
    stored="gemini",
    told=("compiled", "the sum is 42", "41 sheep"),
    state=(".gemini",),
    moving="nothing",
    home={
        ".gemini/settings.json": json.dumps(
            {"mcpServers": {"sums": {"command": "python3", "args": ["sums.py"]}}}
        )
    },
    rows=5,  # above stands what it says of the terminal
)
OPENCODE = Agent(
    profile="opencode",
    argv=("opencode", "--model", "anthropic/claude-sonnet-4-5"),
    hosts=("api.anthropic.com", "models.dev", "models.opencode.ai", "registry.npmjs.org"),
    api=lambda: FakeAnthropic(
        BUILD,
        "bash",
        {
            PROMPT: [
                ("bash", {"command": BUILD, "description": "Builds and runs the program"}),
                ("sums_add", {"a": 20, "b": 22}),
                ("task", {"description": "sheep", "prompt": SUBPROMPT, "subagent_type": "general"}),
            ],
            SUBPROMPT: [("bash", {"command": COUNT, "description": "Counts sheep"})],
        },
    ),
    first={},
    ready="Ask anything",
    asks={},
    done="It printed <task",
    leave=["/exit", ENTER],
    key="ANTHROPIC_API_KEY",
    told=("compiled", "the sum is 42", "41 sheep"),
    moving=r"(Tip|Ask anything).*|⊙ \d MCP /status",  # its servers come after its prompt, sooner or later
    home={
        ".config/opencode/opencode.json": json.dumps(
            {"mcp": {"sums": {"type": "local", "command": ["python3", "sums.py"]}}}
        )
    },
    state=(".config/opencode", ".local/share/opencode", ".local/state/opencode"),
)
AIDER = Agent(
    profile="aider",
    argv=(
        *("aider", "--model=openai/gpt-4o", "--no-git", "--no-check-update"),
        *("--no-show-model-warnings", "--no-show-release-notes"),
        "--no-analytics",  # it asks one person in ten about them, and a fresh home is a new person
    ),
    hosts=("api.openai.com", "raw.githubusercontent.com"),
    api=lambda: FakeOpenAi(BUILD),
    first={},
    ready="─\n>",  # below what it says of itself
    asks={"Run shell command?": ["y", ENTER], "Add command output to the chat?": ["y", ENTER]},
    done="lines of output to the chat",
    leave=["/exit", ENTER],
    key="OPENAI_API_KEY",
    stored="openai",
    told=(),  # it waits for the next question
    state=(".aider", "project/.aider.chat.history.md", "project/.aider.input.history"),
    moving="nothing",
    rows=7,  # above stands that it has fetched its list of prices
)
QWEN_CODE = Agent(
    profile="qwen-code",
    argv=("qwen", "--approval-mode", "default"),
    hosts=("api.openai.com", "registry.npmjs.org"),
    api=lambda: FakeOpenAi(BUILD, {"run_shell_command": _for_a_person}),
    first={},
    ready="Type your message",
    asks={"Allow execution": [ENTER]},
    done="It printed",
    leave=["/quit", ENTER],
    key="OPENAI_API_KEY",
    stored="openai",
    told=("compiled",),
    state=(".qwen",),
    moving="Tips:.*|[●△].*",
    settings={"OPENAI_MODEL": "gpt-4o", "OPENAI_BASE_URL": "https://api.openai.com/v1"},
)
COPILOT_CLI = Agent(
    profile="copilot-cli",
    argv=("copilot",),
    hosts=("api.openai.com", "api.github.com"),
    api=lambda: FakeOpenAi(BUILD, {"bash": _for_a_person}),
    first={"Do you trust the files": [DOWN, ENTER]},
    ready="/ commands",
    asks={"Do you want to run this command?": [ENTER]},
    done="It printed",
    leave=["/exit", ENTER],
    key="COPILOT_PROVIDER_API_KEY",
    stored="openai",
    told=("compiled",),
    state=(".copilot",),
    moving=" · Medium",  # the effort that it shows until it knows that the model has none
    rows=5,  # above stands a tip
    settings={"COPILOT_MODEL": "gpt-4o", "COPILOT_PROVIDER_BASE_URL": "https://api.openai.com/v1"},
)
GOOSE = Agent(
    profile="goose",
    argv=("goose", "session"),
    hosts=("api.openai.com",),
    api=lambda: FakeOpenAi(BUILD, {"shell": lambda command: {"command": command}}),
    first={},
    ready="Enter to send",
    asks={},
    done="It printed",
    leave=["/exit", ENTER],
    key="OPENAI_API_KEY",
    stored="openai",
    told=("compiled",),
    state=(".config/goose", ".local/share/goose", ".local/state/goose"),
    moving="nothing",
    home={".config/goose/config.yaml": "GOOSE_TELEMETRY_ENABLED: false\n"},  # else it asks, outside only
    settings={"GOOSE_PROVIDER": "openai", "GOOSE_MODEL": "gpt-4o"},
)
OPENCLAW = Agent(
    profile="openclaw",
    argv=("openclaw", "tui", "--local"),
    hosts=("api.openai.com",),
    api=openclaw_api,
    first={},
    ready="local ready",
    asks={},
    done="It printed",
    leave=["/exit", ENTER],
    key="OPENAI_API_KEY",
    stored="openai",
    told=("compiled",),
    state=(".openclaw",),
    moving=r"^(?! agent main \|).*",
    rows=1,
    untold=SAVE,  # it is told that it looks a name up by itself, whatever the proxy could do
)
AGENTS = [CLAUDE_CODE, CODEX, GEMINI_CLI, OPENCODE, AIDER, QWEN_CODE, GOOSE, COPILOT_CLI, OPENCLAW]
SLOW = tuple(each.profile for each in AGENTS[2:])


@dataclass(frozen=True)
class Scene:
    agent: Agent
    stage: AgentStage
    results: list[str]  # what the agent told the model of the tools

    def bare(self) -> list[str]:
        return list(self.agent.argv)

    def inside(self) -> list[str]:
        return [
            *NONO,
            "run",
            "--profile",
            self.agent.profile,
            "--allow-cwd",
            "--",
            *self.agent.argv,
        ]

    def environment(self) -> Mapping[str, str]:
        authority = str(self.stage.home / "ca.pem")
        trusted = {"NODE_EXTRA_CA_CERTS": authority, "REQUESTS_CA_BUNDLE": authority}
        return {self.agent.key: KEY, **trusted, **self.agent.settings}

    def started(self, screen: Screen) -> list[str]:
        """Return the questions until it waits for a prompt."""
        asked = screen.answer_until(self.agent.ready, self.agent.first)
        screen.settle()
        return asked

    def left(self, screen: Screen) -> None:
        for keys in self.agent.leave:
            screen.settle()
            screen.type(keys)
        assert screen.end() == 0, screen.text


@pytest.fixture
def scene(agent: Agent) -> Iterator[Scene]:
    if os.geteuid() != 0:
        pytest.skip("only root can give a provider its own name")
    api, place = agent.api(), PLACES[agent.profile]
    with agent_stage(agent.hosts, api, mounts=place.mounts(agent.profile), login=".none/login") as stage:
        place.install(stage)
        stage.furnish(agent.home)
        server = Path(mcp_server.__file__).read_text()
        project = {"program.c": PROGRAM, "sums.py": server, **agent.files}
        stage.furnish({f"project/{name}": content for name, content in project.items()})
        if agent.stored is not None:
            stage.nono("credential", "set", agent.stored, stdin=KEY)
        yield Scene(agent, stage, api.results)


of_each = pytest.mark.parametrize(
    "agent",
    [pytest.param(each, marks=pytest.mark.slow if each.profile in SLOW else ()) for each in AGENTS],
    ids=str,
)


@of_each
def test_an_agent_begins_on_a_fresh_home_as_it_does_outside(scene: Scene) -> None:
    asked, screens = [], []
    for argv in (scene.inside(), scene.bare()):
        with scene.stage.on_screen(argv, environment=scene.environment()) as screen:
            asked.append(scene.started(screen))
            screens.append(screen.text)
            scene.left(screen)
            assert scene.agent.untold not in screen.text, screen.text
        for name in scene.agent.state:
            subprocess.run(["rm", "-rf", "--", scene.stage.home / name], check=True)
        scene.stage.furnish(scene.agent.home)
    assert asked[0] == asked[1]
    inside, outside = (_rows(each, scene.agent.moving)[-scene.agent.rows :] for each in screens)
    assert inside[-len(outside) :] == outside, "\n".join(screens)  # nono's own lines may stand above


@of_each
def test_an_agent_asks_a_person_nothing_twice(scene: Scene) -> None:
    scene.stage.furnish({"project/Cargo.toml": '[package]\nname = "sheep"\nversion = "0.1.0"\n'})
    for run in ("first", "second", "third"):
        with scene.stage.on_screen(scene.inside(), environment=scene.environment()) as screen:
            asked = screen.answer_until(scene.agent.ready, {OFFER: ["y", ENTER], **scene.agent.first})
            scene.left(screen)
            assert SAVE not in screen.text, screen.text
        assert (OFFER in asked) if run == "first" else not asked, (run, asked)


@of_each
def test_an_agent_works_at_a_terminal(scene: Scene) -> None:
    with scene.stage.on_screen(scene.inside(), environment=scene.environment()) as screen:
        scene.started(screen)
        screen.type(PROMPT)
        screen.settle()
        screen.type(ENTER)
        screen.answer_until(scene.agent.done, scene.agent.asks)
        screen.settle()
        screen.resize(30, 80)
        screen.settle()
        assert 40 < screen.width <= 80
        scene.left(screen)
        assert scene.agent.untold not in screen.text, screen.text
        assert scene.agent.untold != DIAGNOSTIC or BLOCKED not in screen.text, screen.text
    told = "\n".join(scene.results)
    for each in scene.agent.told:
        assert each in told
    assert KEY not in told + screen.shown
    assert (scene.stage.project / "program").exists()


@pytest.mark.slow
@pytest.mark.parametrize("agent", [CLAUDE_CODE, CODEX, GEMINI_CLI, OPENCODE], ids=str)
def test_each_prompt_of_an_agent_begins_a_turn(scene: Scene) -> None:
    """Though titles, tools and a subagent, with prompts of their own, come between."""
    argv = scene.inside()
    kept = ["--rollback", "--no-rollback-prompt"]
    argv[argv.index("run") + 1 : argv.index("run") + 1] = kept
    before = set(scene.stage.runner.logs())
    with scene.stage.on_screen(argv, environment=scene.environment()) as screen:
        scene.started(screen)
        for prompt, done in ((PROMPT, scene.agent.done), ("What is new here", "What is new here")):
            screen.type(prompt)
            screen.settle()
            screen.type(ENTER)
            screen.answer_until(done, scene.agent.asks)
            screen.settle(2.0)
        scene.left(screen)
    events = scene.stage.runner.events_since(before)
    assert [event["turn"] for event in events if event["type"] == "turn_began"] == [1, 2]
    assert [event["turn"] for event in events if event["type"] == "turn_marked"] == [1, 2]
    for turn, is_there in ((2, True), (1, False)):
        scene.stage.nono("rollback", "restore", "latest", "--before-turn", str(turn))
        assert (scene.stage.project / "program").exists() is is_there


def _rows(text: str, moving: str) -> list[str]:
    rows = (re.sub(r"\s+", " ", re.sub(moving, "", row)).strip() for row in text.split("\n"))
    return [row for row in rows if row]
