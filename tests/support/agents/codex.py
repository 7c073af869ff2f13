"""Set up a person of Codex, with a fake of its provider's login and model."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import pytest

from support.agents.places import PLACES
from support.agents.stage import TASK, AgentStage, agent_stage
from support.agents.subscriptions import ChatGpt, Tokens, codex_file
from support.models.openai import FakeOpenAi

OUTSIDE = ".codex/auth.json"
# Without zstd, which Python cannot read yet.
PLAIN = ("-c", "features.enable_request_compression=false")
CODEX = (
    "codex",
    "exec",
    *PLAIN,
    "--dangerously-bypass-approvals-and-sandbox",
    "--skip-git-repo-check",
    "Do it.",
)
# As docs/agents.md has it.
CODEX_AT_API = """
model_provider = "api"
[model_providers.api]
name = "OpenAI"
base_url = "https://api.openai.com/v1"
env_key = "OPENAI_API_KEY"
wire_api = "responses"
"""
# As the header and the claims of a real one; the rest is the canary.
JWT = "eyJhbGciOiJSUzI1NiJ9.eyJleHAiOjQwMDAwMDAwMDB9.{}"


def codex_api(fake: type[FakeOpenAi] = FakeOpenAi) -> FakeOpenAi:
    """Serve tools to newer models, whose JavaScript calls them, and to older ones, which call them."""

    def script(command: str) -> str:
        return f"text((await tools.exec_command({json.dumps({'cmd': command})})).output);"

    return fake(TASK, {"exec": script, "exec_command": lambda command: {"cmd": command}})


@dataclass(frozen=True)
class CodexScene:
    stage: AgentStage
    chatgpt: ChatGpt
    api: FakeOpenAi

    def log_in_outside(self) -> str:
        file = self.stage.directory(".codex") / "auth.json"
        content = codex_file(self.chatgpt.tokens)
        file.write_text(content)
        self.stage.runner.give(file)
        return content


@contextmanager
def codex_scene(*, is_installed: bool = True, has_file: bool = False) -> Iterator[CodexScene]:
    """Yield a person; has_file: with an empty login outside. Skips the test of whoever is not root."""
    if os.geteuid() != 0:
        pytest.skip("only root can give a provider its own name")
    api = codex_api()
    chatgpt = ChatGpt(api, Tokens(form=JWT))
    place = PLACES["codex"]
    mounts = place.mounts("codex") if is_installed else {}
    with agent_stage(chatgpt.hosts, chatgpt, mounts=mounts, login=OUTSIDE) as stage:
        if is_installed:
            place.install(stage)
        if not has_file:
            (stage.home / OUTSIDE).unlink()
        yield CodexScene(stage, chatgpt, api)
