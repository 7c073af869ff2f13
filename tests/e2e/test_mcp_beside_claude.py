"""Claude Code asks a server of MCP that has a sandbox of its own, by the entry that the guide has."""

from __future__ import annotations

import json
import os
import sys

import pytest

from support.agents.places import PLACES
from support.agents.programs import LIMIT_S
from support.agents.stage import TIMEOUT_S, agent_stage
from support.clients.run import refused_by_proxy
from support.models.anthropic import FakeAnthropic
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
SETTINGS = {"mcpServers": {"tracker": {"command": NONO[0], "args": [*NONO[1:], "mcp", "tracker"]}}}
CLAUDE = (
    *("claude", "--print", "Do it.", "--mcp-config", ".mcp.json"),
    *("--allowedTools", "Bash,mcp__tracker__look"),
)
pytestmark = [
    pytest.mark.fetched,
    pytest.mark.timeout(LIMIT_S + TIMEOUT_S),
    pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a provider its own name"),
]


class Tracker:
    """Serves the tracker, and the model at every other host."""

    def __init__(self, model: FakeAnthropic) -> None:
        self.model = model
        self.asked: list[bytes | None] = []  # Authorization of each request

    def __call__(self, request: Received) -> None:
        if request.value(b"host") != HOST.encode():
            self.model(request)
            return
        request.read_body()
        self.asked.append(request.value(b"authorization"))
        answer(request, {"issues": 42})


def test_the_agent_asks_a_server_for_what_it_cannot_reach_itself() -> None:
    itself = f"env > environment; curl -s -S https://{HOST}/issues > itself"
    uses = [("mcp__tracker__look", {}), ("Bash", {"command": itself, "description": "Looks"})]
    tracker = Tracker(FakeAnthropic(itself, scripts={"Do it.": uses}))
    place = PLACES["claude-code"]
    with agent_stage(
        ["api.anthropic.com", HOST],
        tracker,
        mounts=place.mounts("claude-code"),
        login=".claude/.credentials.json",
    ) as stage:
        place.install(stage)
        agent = {"extends": "claude-code", "network": {"mcp_servers": ["tracker"]}}
        profiles = {"tracker": PROFILE, "claude-tracker": agent}
        stage.furnish({f".config/nono/profiles/{name}.json": json.dumps(profiles[name]) for name in profiles})
        (stage.project / ".mcp.json").write_text(json.dumps(SETTINGS))
        given = {"TRACKER_TOKEN": TOKEN, "ANTHROPIC_API_KEY": KEY, "ENABLE_TOOL_SEARCH": "false"}
        run = stage.run("claude-tracker", CLAUDE, environment=given)
        assert run.exit_code == 0, run.stdout + run.stderr
        assert json.loads(tracker.model.results[0]) == {"issues": 42}
        assert {*tracker.asked} == {f"Bearer {TOKEN}".encode()}
        assert "TRACKER_TOKEN" not in (stage.project / "environment").read_text()
        assert (stage.project / "itself").read_text() == ""
        assert refused_by_proxy(run) == [("host_denied", HOST)]
