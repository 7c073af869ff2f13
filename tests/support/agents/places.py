"""Say where people install the agents, below their home directories."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from support.agents.programs import ARCHITECTURE, installed
from support.agents.stage import AgentStage

NODE_24 = f"node-linux-{ARCHITECTURE}/bin/node"
PACKAGES = ".nvm/versions/node/v24.0.0/lib/node_modules"


@dataclass(frozen=True)
class Place:
    """The place below the home at which the program `command` of an agent's package appears."""

    command: str
    program: str
    at: str = PACKAGES
    node: str | None = None  # path in the package, if the agent needs a Node of its own

    def mounts(self, agent: str) -> Mapping[str, Path]:
        """Return the mounts for the stage. Skips the test if the registry of the agent cannot be reached."""
        return {self.at: installed(agent)}

    def install(self, stage: AgentStage) -> None:
        stage.install(self.command, Path(self.at, self.program))
        if self.node is not None:
            stage.install("node", Path(self.at, self.node))


PLACES = {
    "claude-code": Place("claude", "claude", ".local/share/claude/versions"),
    "codex": Place(
        "codex",
        f"vendor/{os.uname().machine}-unknown-linux-musl/bin/codex",
        f"{PACKAGES}/@openai/codex-linux-{ARCHITECTURE}",
    ),
    "gemini-cli": Place("gemini", "bundle/gemini.js", f"{PACKAGES}/@google/gemini-cli"),
    "opencode": Place("opencode", "opencode", ".opencode/bin"),
    "aider": Place("aider", "bin/aider", ".local/share/uv/tools/aider-chat"),
    "openclaw": Place("openclaw", "openclaw/openclaw.mjs", node=NODE_24),
    "qwen-code": Place("qwen", "@qwen-code/qwen-code/cli-entry.js", node=NODE_24),
    "goose": Place("goose", "bin/goose", f"{PACKAGES}/@aaif/goose-binary-linux-{ARCHITECTURE}"),
    "copilot-cli": Place("copilot", "copilot", f"{PACKAGES}/@github/copilot-linux-{ARCHITECTURE}"),
}
