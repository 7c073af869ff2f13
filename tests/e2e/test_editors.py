"""What an editor starts works inside: agents (`nono run --acp`) and language servers (`--lsp`)."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

import pytest

from nono.sessions.processes import all_processes
from support.agents.editor import OFFER, Editor, editor
from support.agents.places import PLACES
from support.agents.programs import LIMIT_S
from support.agents.stage import LOGIN, TASK, TIMEOUT_S, AgentStage, agent_stage
from support.models.anthropic import FakeAnthropic
from support.models.gemini import FakeGemini
from support.models.openai import FakeOpenAi
from support.nono_run import NONO, NonoRun

KEY = "canary-of-the-real-key"
# Tells what the editor offers, asks it to run a command all the same, and ends with 7 when its input does.
ASKING = """
import fcntl, json, sys
held = open("held", "w")
fcntl.flock(held, fcntl.LOCK_EX)
def say(**message):
    print(json.dumps({"jsonrpc": "2.0", **message}), flush=True)
for line in sys.stdin:
    heard = json.loads(line)
    if heard.get("method") == "initialize":
        asked, offered = heard["id"], heard["params"]["clientCapabilities"]
        say(id="mine", method="terminal/create", params={"sessionId": "s", "command": "id"})
    elif heard.get("id") == "mine":
        say(id=asked, result={"offered": offered, "answer": heard.get("error", heard.get("result"))})
sys.exit(7)
"""
# Says all it has to say before it reads, and asks for more than a pipe holds the answers to.
FLOODING = """
import json, sys
asked = json.loads(sys.stdin.readline())["id"]
for number in range(5000):
    print(json.dumps({"jsonrpc": "2.0", "id": f"{number}-mine", "method": "terminal/create", "params": {}}))
print(json.dumps({"jsonrpc": "2.0", "id": asked, "result": {}}), flush=True)
answered = sys.stdin.readline()
sys.exit(7 if "Method not found" in answered else 1)
"""
# A language server that says which process it should watch.
SERVER = """
import json, sys
heard = sys.stdin.buffer
length = int(heard.readline().split()[1])
heard.readline()
print(json.loads(heard.read(length))["params"]["processId"], heard.read())
sys.exit(7)
"""
ACP = ("--acp",)


@contextmanager
def edited(sandbox: NonoRun, flags: tuple[str, ...] = ACP, program: str = ASKING) -> Iterator[Editor]:
    argv = sandbox.argv([sys.executable, "-I", "-c", program], profile={}, flags=flags)
    with editor(argv, sandbox.user.environment(), sandbox.project) as seen:
        yield seen


def test_an_editor_runs_nothing_for_an_agent(sandbox: NonoRun) -> None:
    with edited(sandbox) as seen:
        told = seen.ask("initialize", protocolVersion=1, clientCapabilities=OFFER)
        assert told["offered"] == {"fs": {"readTextFile": False, "writeTextFile": False}, "terminal": False}
        assert told["answer"]["code"] == -32601
        assert seen.asked == []
        assert seen.leave() == 7
        assert seen.stderr.count("Withheld from the editor: terminal/create") == 1


def test_an_agent_that_asks_much_and_reads_later_is_heard(sandbox: NonoRun) -> None:
    with edited(sandbox, program=FLOODING) as seen:
        assert seen.ask("initialize", protocolVersion=1, clientCapabilities=OFFER) == {}
        assert seen.asked == []
        assert seen.leave() == 7


def test_without_the_option_it_runs_whatever_the_agent_asks_for(sandbox: NonoRun) -> None:
    with edited(sandbox, flags=()) as seen:
        told = seen.ask("initialize", protocolVersion=1, clientCapabilities=OFFER)
        assert told["offered"] == OFFER
        assert told["answer"] == {"terminalId": "1"}
        assert seen.asked == ["terminal/create"]
        assert seen.leave() == 7


@pytest.mark.parametrize("flags", [ACP, (*ACP, "--namespaces=off")], ids=["namespaces", "none"])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGKILL])
def test_the_agent_ends_with_the_process_that_the_editor_has_started(
    sandbox: NonoRun, number: signal.Signals, flags: tuple[str, ...]
) -> None:
    with edited(sandbox, flags) as seen:
        seen.ask("initialize", protocolVersion=1, clientCapabilities=OFFER)
        seen.process.send_signal(number)
        code = seen.process.wait(TIMEOUT_S)
        assert code == (-number if number == signal.SIGKILL else 128 + number)
        with (sandbox.project / "held").open() as held:
            fcntl.flock(held, fcntl.LOCK_EX)  # which the agent holds as long as it lives


def test_an_agent_that_reads_no_more_ends_with_the_process_in_front(sandbox: NonoRun) -> None:
    """Its input ends with that process, too."""
    deaf = ASKING.replace("sys.exit(7)", "import signal; signal.pause()")
    with edited(sandbox, program=deaf) as seen:
        seen.ask("initialize", protocolVersion=1, clientCapabilities=OFFER)
        seen.process.kill()
        with (sandbox.project / "held").open() as held:
            fcntl.flock(held, fcntl.LOCK_EX)


def test_a_run_asks_nothing_at_the_terminal_of_the_editor(sandbox: NonoRun) -> None:
    with edited(sandbox) as seen:
        seen.ask("initialize", protocolVersion=1, clientCapabilities=OFFER)
        [run] = (pid for pid, each in all_processes().items() if each.parent == seen.process.pid)
        assert os.getsid(run) == run != os.getsid(seen.process.pid)
        assert seen.leave() == 7


def test_an_editor_that_hears_nothing_more_ends_the_agent(sandbox: NonoRun) -> None:
    with edited(sandbox) as seen:
        seen.ask("initialize", protocolVersion=1, clientCapabilities=OFFER)
        assert seen.process.stdout is not None
        seen.process.stdout.close()
        assert seen.leave() != 0


def test_an_agent_without_an_editor_is_refused(sandbox: NonoRun) -> None:
    ended = sandbox.run(["true"], flags=(*ACP, "--detached"), profile={})
    assert ended.exit_code != 0
    assert "--acp is for an agent that an editor starts" in ended.stderr
    assert sandbox.run(["true"], flags=ACP, profile={}).exit_code == 0


@pytest.mark.parametrize(
    ("flags", "argv", "is_said"),
    [
        ((), ["true", "acp"], True),
        ((), ["true", "--experimental-acp"], True),
        (ACP, ["true", "acp"], False),
        ((*ACP, "--dry-run"), ["true", "acp"], False),
        ((), ["true", "an-acp"], False),
    ],
)
def test_the_option_is_named_where_an_editor_seems_to_start_the_agent(
    sandbox: NonoRun, flags: tuple[str, ...], argv: list[str], is_said: bool
) -> None:
    run = sandbox.run(argv, flags=flags, profile={})
    assert (run.exit_code, "--acp keeps it from doing so" in run.stderr) == (0, is_said)


@pytest.mark.parametrize(("flags", "process"), [(("--lsp",), "None"), ((), "4711")])
def test_a_language_server_is_not_told_of_a_process_that_it_cannot_see(
    sandbox: NonoRun, flags: tuple[str, ...], process: str
) -> None:
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {"processId": 4711}})
    said = f"Content-Length: {len(body)}\r\n\r\n{body}and more"
    argv = [sys.executable, "-I", "-c", SERVER]
    ended = sandbox.run(argv, profile={}, flags=flags, stdin=said)
    assert (ended.exit_code, ended.stdout) == (7, f"{process} b'and more'\n"), ended.stderr


@pytest.mark.parametrize(
    ("flags", "status", "told"),
    [
        (("--lsp", "--acp"), 2, "--acp and --lsp contradict each other"),
        (("--lsp", "--detached"), 1, "--lsp is for a language server that an editor starts"),
    ],
)
def test_a_run_speaks_one_protocol_with_an_editor_that_is_there(
    sandbox: NonoRun, flags: tuple[str, ...], status: int, told: str
) -> None:
    ended = sandbox.run(["true"], flags=flags, profile={})
    assert ended.exit_code == status
    assert told in ended.stderr


@pytest.mark.parametrize(
    ("program", "flags", "is_said"),
    [("an-langserver", (), True), ("an-langserver", ("--lsp",), False), ("langserver", (), False)],
)
def test_the_option_is_named_where_an_editor_seems_to_start_a_language_server(
    sandbox: NonoRun, program: str, flags: tuple[str, ...], is_said: bool
) -> None:
    server = sandbox.project / program
    server.write_text("#!/bin/sh\n")
    server.chmod(0o755)
    run = sandbox.run([str(sandbox.give(server))], flags=flags, profile={})
    assert (run.exit_code, "--lsp prevents it" in run.stderr) == (0, is_said), run.stderr


@dataclass(frozen=True)
class Agent:
    """A shipped profile and how its agent speaks ACP. asks: What it asks of an editor."""

    profile: str
    argv: tuple[str, ...]
    hosts: tuple[str, ...]
    api: Callable[[], FakeAnthropic | FakeOpenAi | FakeGemini]
    key: str
    asks: tuple[str, ...] = ()
    way: str | None = None  # to log in
    settings: Mapping[str, str] = field(default_factory=dict)  # variables of the person's
    home: Mapping[str, str] = field(default_factory=dict)  # files below it

    def __str__(self) -> str:
        return self.profile


PERMISSION = "session/request_permission"
GOOSE = Agent(
    profile="goose",
    argv=("goose", "acp"),
    hosts=("api.openai.com",),
    api=lambda: FakeOpenAi(TASK, {"shell": lambda command: {"command": command}}),
    key="openai",
    settings={"GOOSE_PROVIDER": "openai", "GOOSE_MODEL": "gpt-4o"},
)
AGENTS = [
    GOOSE,
    Agent(
        profile="gemini-cli",
        argv=("gemini", "--experimental-acp", "--skip-trust", "--model", "gemini-2.5-pro"),
        hosts=("generativelanguage.googleapis.com",),
        api=lambda: FakeGemini(TASK),
        key="gemini",
        asks=(PERMISSION,),
        way="gemini-api-key",
    ),
    Agent(
        profile="opencode",
        argv=("opencode", "acp"),
        hosts=("api.openai.com", "models.opencode.ai", "registry.npmjs.org"),
        api=lambda: FakeOpenAi(
            TASK, {"bash": lambda command: {"command": command, "description": "Does it"}}
        ),
        key="openai",
        home={".config/opencode/opencode.json": json.dumps({"model": "openai/gpt-4o"})},
    ),
]


@contextmanager
def working(agent: Agent, flags: tuple[str, ...]) -> Iterator[tuple[AgentStage, Editor, list[str]]]:
    """Yield an agent that has done its work for an editor, and what it told the model of its command."""
    if os.geteuid() != 0:
        pytest.skip("only root can give a provider its own name")
    api, place = agent.api(), PLACES[agent.profile]
    with agent_stage(agent.hosts, api, mounts=place.mounts(agent.profile), login=".x/login") as stage:
        place.install(stage)
        stage.furnish(agent.home)
        stage.nono("credential", "set", agent.key, stdin=KEY)
        argv = [*NONO, "run", *flags, "--profile", agent.profile, "--allow-cwd", "--", *agent.argv]
        with stage.edited(argv, agent.settings) as seen:
            seen.ask("initialize", protocolVersion=1, clientCapabilities=OFFER)
            if agent.way is not None:
                seen.ask("authenticate", methodId=agent.way)
            session = seen.ask("session/new", cwd=str(stage.project), mcpServers=[])["sessionId"]
            done = seen.ask("session/prompt", sessionId=session, prompt=[{"type": "text", "text": "Do it."}])
            assert done["stopReason"] == "end_turn"
            yield stage, seen, api.results


@pytest.mark.fetched
@pytest.mark.timeout(LIMIT_S + TIMEOUT_S)
@pytest.mark.parametrize("agent", AGENTS, ids=str)
def test_an_agent_of_an_editor_does_its_work_inside(agent: Agent) -> None:
    with working(agent, ACP) as (stage, seen, results):
        [told] = results
        assert "tried" in told
        assert "read" not in told
        assert (stage.project / "made").read_text() == "made\n"
        assert not stage.outside.exists()
        assert tuple(seen.asked) == agent.asks
        assert seen.leave() == 0
        assert LOGIN not in b"".join(seen.lines).decode()


@pytest.mark.fetched
@pytest.mark.timeout(LIMIT_S + TIMEOUT_S)
def test_without_the_option_goose_has_its_commands_run_by_the_editor() -> None:
    with working(GOOSE, ()) as (stage, seen, [told]):
        assert "done outside" in told
        assert not (stage.project / "made").exists()
        assert "terminal/create" in seen.asked
