"""Real agents ask a server of MCP that has a sandbox of its own, by the entry that the guide has."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Mapping
from typing import NamedTuple

import pytest

from support.agents.codex import CODEX, CODEX_AT_API
from support.agents.places import PLACES
from support.agents.programs import LIMIT_S
from support.agents.stage import TIMEOUT_S, agent_stage
from support.clients.run import refused_by_proxy
from support.models.anthropic import FakeAnthropic
from support.models.openai import FakeOpenAi
from support.models.stream import answer
from support.nono_run import NONO, PROGRAM_GRANTS
from support.servers.http1 import Received

KEY, TOKEN = "canary-of-the-real-key", "canary-of-the-token"
HOST = "tracker.example.com"
SERVER = """
import json, os, ssl, sys, urllib.request
def tools(message):
    if message["method"] == "initialize":
        version = message["params"]["protocolVersion"]
        server = {"name": "tracker", "version": "1"}
        return {"protocolVersion": version, "capabilities": {"tools": {}}, "serverInfo": server}
    if message["method"] == "tools/list":
        return {"tools": [{"name": "look", "description": "Looks", "inputSchema": {"type": "object"}}]}
    head = {"Authorization": "Bearer " + os.environ["TRACKER_TOKEN"]}
    request = urllib.request.Request("https://tracker.example.com/issues", headers=head)
    with urllib.request.urlopen(request) as found:
        return {"content": [{"type": "text", "text": found.read().decode()}]}
for line in sys.stdin:
    message = json.loads(line)
    if "id" in message:
        print(json.dumps({"jsonrpc": "2.0", "id": message["id"], "result": tools(message)}), flush=True)
"""
PROFILE = {
    "filesystem": {"read": [grant.removeprefix("--read=") for grant in PROGRAM_GRANTS]},
    "binary": sys.executable,
    "command_args": ["-u", "-c", SERVER],
    "network": {
        "credentials": ["tracker"],
        "custom_credentials": {
            "tracker": {
                "upstream": f"https://{HOST}",
                "credential_key": "env://TRACKER_TOKEN",
                "env_var": "TRACKER_TOKEN",
            }
        },
    },
}
ENTRY = {"command": NONO[0], "args": [*NONO[1:], "mcp", "tracker"]}
CODEX_CONFIG = f"""{CODEX_AT_API}
[mcp_servers.tracker]
command = {json.dumps(ENTRY["command"])}
args = {json.dumps(ENTRY["args"])}
required = true
"""
ITSELF = f"env > environment; curl -s -S https://{HOST}/issues > itself"


class Agent(NamedTuple):
    profile: str
    argv: tuple[str, ...]
    hosts: tuple[str, ...]
    service: str  # whose key is stored
    login: str
    model: Callable[[], FakeAnthropic | FakeOpenAi]  # has it ask the server, and the tracker itself
    home: Mapping[str, str] = {}


def claude_model() -> FakeAnthropic:
    uses = [("mcp__tracker__look", {}), ("Bash", {"command": ITSELF, "description": "Looks"})]
    return FakeAnthropic(ITSELF, scripts={"Do it.": uses})


def codex_model() -> FakeOpenAi:
    """Return a model whose one tool runs JavaScript."""

    def script(command: str) -> str:
        shell = json.dumps({"cmd": command})
        return f"text(await tools.mcp__tracker__look({{}})); await tools.exec_command({shell});"

    return FakeOpenAi(ITSELF, {"exec": script})


AGENTS = [
    Agent(
        profile="claude-code",
        argv=(
            *("claude", "--print", "Do it.", "--mcp-config", ".mcp.json"),
            *("--allowedTools", "Bash,mcp__tracker__look"),
        ),
        hosts=("api.anthropic.com",),
        service="anthropic",
        login=".claude/.credentials.json",
        model=claude_model,
    ),
    Agent(
        profile="codex",
        argv=CODEX,
        hosts=("api.openai.com", "chatgpt.com"),
        service="openai",
        login=".codex/auth.json",
        model=codex_model,
        home={".codex/config.toml": CODEX_CONFIG},
    ),
]
pytestmark = [
    pytest.mark.fetched,
    pytest.mark.timeout(LIMIT_S + TIMEOUT_S),
    pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a provider its own name"),
]


class Tracker:
    """Serves the tracker, and the model at every other host."""

    def __init__(self, model: FakeAnthropic | FakeOpenAi) -> None:
        self.model = model
        self.asked: list[bytes | None] = []  # Authorization of each request

    def __call__(self, request: Received) -> None:
        if request.value(b"host") != HOST.encode():
            self.model(request)
            return
        request.read_body()
        self.asked.append(request.value(b"authorization"))
        answer(request, {"issues": 42})


@pytest.mark.parametrize("agent", AGENTS, ids=lambda agent: agent.profile)
def test_the_agent_asks_a_server_for_what_it_cannot_reach_itself(agent: Agent) -> None:
    tracker = Tracker(agent.model())
    place = PLACES[agent.profile]
    mounts = place.mounts(agent.profile)
    with agent_stage([*agent.hosts, HOST], tracker, mounts=mounts, login=agent.login) as stage:
        place.install(stage)
        asking = {"extends": agent.profile, "network": {"mcp_servers": ["tracker"]}}
        profiles = {"tracker": PROFILE, "asking": asking}
        files = {f".config/nono/profiles/{name}.json": json.dumps(profiles[name]) for name in profiles}
        stage.furnish({**files, **agent.home})
        (stage.project / ".mcp.json").write_text(json.dumps({"mcpServers": {"tracker": ENTRY}}))
        # Claude Code offers all tools from the start.
        given = {"TRACKER_TOKEN": TOKEN, "ENABLE_TOOL_SEARCH": "false"}
        stored = stage.person([*NONO, "credential", "set", agent.service], stdin=KEY)
        assert stored.returncode == 0, stored.stderr
        run = stage.run("asking", agent.argv, environment=given)
        assert run.exit_code == 0, run.stdout + run.stderr
        assert "issues" in tracker.model.results[0]
        assert {*tracker.asked} == {f"Bearer {TOKEN}".encode()}
        assert "TRACKER_TOKEN" not in (stage.project / "environment").read_text()
        assert (stage.project / "itself").read_text() == ""
        assert ("host_denied", HOST) in refused_by_proxy(run)
