"""A server of MCP elsewhere, which Claude Code reaches by `.mcp.json` with a token that it does not hold."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field

import pytest

from support.agents.places import PLACES
from support.agents.programs import LIMIT_S
from support.agents.stage import TIMEOUT_S, agent_stage
from support.clients.run import refused_by_proxy
from support.models.anthropic import FakeAnthropic
from support.models.stream import answer
from support.servers.http1 import Received

KEY, TOKEN = "canary-of-the-real-key", "canary-of-the-token"
HOST = "tracker.example.com"
SETTINGS = {
    "mcpServers": {
        "tracker": {
            "type": "http",
            "url": f"https://{HOST}/mcp",
            "headers": {"Authorization": "Bearer ${TRACKER_TOKEN}"},
        }
    }
}
PROFILE = {
    "extends": "claude-code",
    "network": {
        "credentials": ["tracker"],
        "custom_credentials": {
            "tracker": {
                "upstream": f"https://{HOST}/mcp",
                "credential_key": "env://TRACKER_TOKEN",
                "env_var": "TRACKER_TOKEN",
            }
        },
    },
}
CLAUDE = (
    "claude",
    "--print",
    "Do it.",
    "--mcp-config",
    ".mcp.json",
    "--allowedTools",
    "Bash,mcp__tracker__look",
)
pytestmark = [
    pytest.mark.fetched,
    pytest.mark.timeout(LIMIT_S + TIMEOUT_S),
    pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a provider its own name"),
]


@dataclass
class Tracker:
    """Serves MCP over HTTP with one tool, and the model at every other host.

    https://modelcontextprotocol.io/specification/2025-06-18/basic/transports
    """

    model: FakeAnthropic
    asked: list[bytes | None] = field(default_factory=list)  # Authorization of each request

    def __call__(self, request: Received) -> None:
        if request.value(b"host") != HOST.encode():
            self.model(request)
            return
        body = request.read_body()
        self.asked.append(request.value(b"authorization"))
        if request.method != b"POST":
            answer(request, {"error": "no stream"}, 405)
            return
        message = json.loads(body)
        if "id" not in message:
            request.connection.respond(202, b"")
            return
        match message["method"]:
            case "initialize":
                version, server = message["params"]["protocolVersion"], {"name": "tracker", "version": "1"}
                result = {"protocolVersion": version, "capabilities": {"tools": {}}, "serverInfo": server}
            case "tools/list":
                tool = {"name": "look", "description": "Looks", "inputSchema": {"type": "object"}}
                result = {"tools": [tool]}
            case _:
                result = {"content": [{"type": "text", "text": "42 issues"}]}
        answer(request, {"jsonrpc": "2.0", "id": message["id"], "result": result})


@pytest.mark.parametrize("profile", ["claude-tracker", "claude-code"])
def test_a_server_over_http_gets_the_token_that_a_profile_names(profile: str) -> None:
    """Without the profile the host is refused, and the variable is withheld."""
    uses = [("mcp__tracker__look", {}), ("Bash", {"command": "env > environment", "description": "Lists"})]
    tracker = Tracker(
        FakeAnthropic("env > environment", scripts={"Do it.": uses} if "-t" in profile else None)
    )
    place = PLACES["claude-code"]
    mounts = place.mounts("claude-code")
    with agent_stage(
        ["api.anthropic.com", HOST], tracker, mounts=mounts, login=".claude/.credentials.json"
    ) as stage:
        place.install(stage)
        stage.furnish({".config/nono/profiles/claude-tracker.json": json.dumps(PROFILE)})
        (stage.project / ".mcp.json").write_text(json.dumps(SETTINGS))
        # All tools are offered from the start.
        given = {"TRACKER_TOKEN": TOKEN, "ANTHROPIC_API_KEY": KEY, "ENABLE_TOOL_SEARCH": "false"}
        run = stage.run(profile, CLAUDE, environment=given)
        assert run.exit_code == 0, run.stdout + run.stderr
        assert TOKEN not in (stage.project / "environment").read_text()
        if profile == "claude-tracker":
            assert tracker.model.results[0] == "42 issues"
            assert {*tracker.asked} == {f"Bearer {TOKEN}".encode()}
        else:
            assert tracker.asked == []
            assert refused_by_proxy(run) == [("host_denied", HOST)]
            assert "TRACKER_TOKEN" not in (stage.project / "environment").read_text()
