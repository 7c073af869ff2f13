"""Real coding agents under the profiles nono ships: they do their work, and no more, and hold no key."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from support.agent_programs import npm_agent
from support.agent_stage import TASK, AgentStage, agent_stage
from support.fake_anthropic import FakeAnthropic
from support.nono_run import Ended

KEY = "canary-of-the-real-key"


def check(scene: AgentStage, run: Ended, results: list[str], phantom_variable: str) -> None:
    """The task is done and told to the model, the key was upstream only, and nothing else was written."""
    assert run.exit_code == 0, run.stdout + run.stderr
    assert results == ["tried"]
    assert scene.made() == "made\n"
    outside = scene.home / "outside"
    assert not outside.exists()
    phantom = dict(line.split("=", 1) for line in scene.held().splitlines() if "=" in line)[phantom_variable]
    assert phantom
    assert KEY not in scene.held() + run.stdout + run.stderr
    arrived = b"".join(connection.raw for connection in scene.provider.connections)
    assert KEY.encode() in arrived
    assert phantom.encode() not in arrived
    bare = scene.person(["sh", "-c", TASK])  # the task is not held by anything else
    assert bare.stdout.splitlines()[1::2] == ["read .ssh/id", f"read {scene.login}"], bare
    assert outside.exists()
    left = [path for path in scene.home.rglob("*") if path.is_file() and KEY.encode() in path.read_bytes()]
    assert left == []


@pytest.fixture
def claude() -> Iterator[tuple[AgentStage, FakeAnthropic]]:
    fake = FakeAnthropic(TASK)
    versions = ".local/share/claude/versions"
    with agent_stage(
        "api.anthropic.com",
        fake,
        mounts={versions: npm_agent("claude-code")},
        login=".claude/.credentials.json",
    ) as scene:
        (scene.directory(".local/bin") / "claude").symlink_to(scene.home / versions / "claude")
        yield scene, fake


def test_claude_code_works_in_its_profile(claude: tuple[AgentStage, FakeAnthropic]) -> None:
    scene, fake = claude
    run = scene.run(
        "claude-code",
        ["claude", "--print", "Do it.", "--allowedTools", "Bash"],
        environment={"ANTHROPIC_API_KEY": KEY},
    )
    check(scene, run, fake.results, "ANTHROPIC_API_KEY")
    assert {request.value(b"x-api-key") for request in scene.provider.requests} == {KEY.encode()}
