"""Copilot CLI with a person's login at GitHub: made inside, never shown to it, and for Copilot alone."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from support.agents.github import GitHub
from support.agents.places import PLACES
from support.agents.programs import LIMIT_S
from support.agents.stage import TASK, TIMEOUT_S, AgentStage, agent_stage
from support.agents.subscriptions import CANARY, USER_CODE
from support.models.openai import FakeOpenAi
from support.nono_run import NONO, Ended

# Its package is large, as test_agents says of it.
pytestmark = [pytest.mark.slow, pytest.mark.timeout(LIMIT_S + TIMEOUT_S)]
INSIDE, STORE = ".copilot/nono/config.json", ".local/state/nono/oauth-capture/providers.json"
PROMPT = ("copilot", "--allow-all", "--model", "gpt-4o", "--prompt", "Do it.")
REPOSITORIES = """
token=$(grep -o 'nono_[0-9a-f]*' ~/.copilot/nono/config.json | head -1)
for path in user user/repos; do
    curl -s -o /dev/null -w '%{http_code}\\n' -H "Authorization: Bearer $token" "https://api.github.com/$path"
done
"""


@dataclass(frozen=True)
class Scene:
    stage: AgentStage
    github: GitHub
    api: FakeOpenAi

    def log_in(self) -> str:
        """Log in inside by device code, as a person does; returns what was shown."""
        argv = [*NONO, "run", "--profile", "copilot-github", "--allow-cwd", "--"]
        with self.stage.on_screen([*argv, "copilot", "login", "--device-code"]) as screen:
            screen.wait_for(USER_CODE)
            self.github.entered = True
            screen.wait_for("plain")  # nothing here keeps it safely, and the agent asks whether a file may
            screen.settle()
            screen.type("y\r")
            assert screen.end() == 0, screen.shown
            return screen.shown

    def run(self, *command: str) -> Ended:
        return self.stage.run("copilot-github", command or PROMPT)

    def files_with_tokens(self) -> set[str]:
        return self.stage.files_with(CANARY)


@pytest.fixture
def scene() -> Iterator[Scene]:
    if os.geteuid() != 0:
        pytest.skip("only root can give a provider its own name")
    api = FakeOpenAi(TASK, {"bash": lambda command: {"command": command, "description": "a task"}})
    github, place = GitHub(api), PLACES["copilot-cli"]
    with agent_stage(
        github.hosts, github, mounts=place.mounts("copilot-cli"), login=".copilot/config.json"
    ) as stage:
        place.install(stage)
        yield Scene(stage, github, api)


def test_a_login_at_github_made_inside_is_captured_for_later_runs(scene: Scene) -> None:
    shown = scene.log_in()
    assert scene.files_with_tokens() == {STORE}
    assert "nono_" in (scene.stage.home / INSIDE).read_text()
    run = scene.run()
    assert run.exit_code == 0, run.stdout + run.stderr + repr(scene.github.seen)
    [told] = scene.api.results
    assert "tried" in told
    assert CANARY not in shown + told + run.stdout + run.stderr + json.dumps(run.events)
    assert CANARY not in (scene.stage.project / "environment").read_text()


def test_a_login_at_github_is_for_copilot_alone(scene: Scene) -> None:
    scene.log_in()
    run = scene.run("sh", "-c", REPOSITORIES)
    assert run.stdout.split() == ["200", "403"], run.stdout + run.stderr
    assert "api.github.com/user/repos" not in scene.github.seen
    assert any("/user/repos" in str(event) for event in run.denied)


def test_copilot_does_not_renew_a_login_that_expires_and_never_has_the_token_for_it(scene: Scene) -> None:
    """As outside: it keeps the access token alone, and the person logs in again."""
    scene.github.expires_in_s = 28_800
    scene.log_in()
    assert scene.files_with_tokens() == {STORE}
    scene.github.expire()
    assert scene.run().exit_code != 0
    assert scene.github.renewals == 0
    scene.log_in()
    assert scene.run().exit_code == 0


def test_a_login_that_was_ended_at_github_is_of_no_use_inside(scene: Scene) -> None:
    scene.log_in()
    scene.github.revoke()
    run = scene.run()
    assert run.exit_code != 0
    assert scene.api.results == []


def test_a_forgotten_login_at_github_is_of_no_use_inside(scene: Scene) -> None:
    scene.log_in()
    scene.stage.nono("credential", "logout", "copilot-github")
    run = scene.run()
    assert run.exit_code != 0
    assert scene.api.results == []
    assert scene.files_with_tokens() == set()
