"""The login of the real gh: imported as a credential, and of use inside without its token."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator

import pytest

from support.agents.stage import AgentStage, agent_stage
from support.nono_run import NONO, Ended
from support.servers.http1 import Received

TOKEN = "gho_canaryOfALogin0123456789abcdefghij"
HOSTS_FILE = f"github.com:\n    user: canary\n    oauth_token: {TOKEN}\n    git_protocol: https\n"
pytestmark = [
    pytest.mark.skipif(shutil.which("gh") is None, reason="gh is not installed"),
    pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a provider its own name"),
]


class GitHub:
    """api.github.com, for as long as the token is not revoked."""

    def __init__(self) -> None:
        self.tokens = {TOKEN}

    def __call__(self, request: Received) -> None:
        request.read_body()
        presented = (request.value(b"authorization") or b"").decode().removeprefix("token ")
        answer = {"login": "canary"} if presented in self.tokens else {"message": "Bad credentials"}
        status = 200 if presented in self.tokens else 401
        request.connection.respond(
            status, json.dumps(answer).encode(), [("Content-Type", "application/json")]
        )


@pytest.fixture
def github() -> GitHub:
    return GitHub()


@pytest.fixture
def stage(github: GitHub) -> Iterator[AgentStage]:
    with agent_stage(["api.github.com"], github, mounts={}, login=".config/gh/hosts.yml") as stage:
        yield stage


def log_in(stage: AgentStage) -> None:
    file = stage.directory(".config/gh") / "hosts.yml"
    file.write_text(HOSTS_FILE)
    stage.runner.give(file)


def inside(stage: AgentStage, *command: str) -> Ended:
    nono = (*NONO, "run", "--credential", "github", "--allow-cwd", "--")
    ended = stage.person([*nono, *command])
    return Ended(ended.returncode, ended.stdout, ended.stderr, ())


def test_gh_works_inside_with_the_phantom_of_its_login(stage: AgentStage) -> None:
    log_in(stage)
    stage.nono("credential", "import", "gh")
    shown = inside(stage, "env").stdout
    assert "GH_TOKEN=" in shown
    assert TOKEN not in shown
    run = inside(stage, "gh", "api", "user", "--jq", ".login")
    assert run.stdout == "canary\n", run.stderr


def test_a_revoked_login_of_gh_is_refused_by_github(stage: AgentStage, github: GitHub) -> None:
    log_in(stage)
    stage.nono("credential", "import", "gh")
    github.tokens.clear()
    run = inside(stage, "gh", "api", "user")
    assert run.exit_code != 0
    assert "Bad credentials" in run.stdout + run.stderr


def test_without_a_login_of_gh_nothing_is_stored(stage: AgentStage) -> None:
    (stage.home / ".config/gh/hosts.yml").unlink()
    ended = stage.person(
        [*NONO, "credential", "import", "gh"], environment={"GH_TOKEN": "canary-of-the-environment"}
    )
    assert ended.returncode == 1
    assert "gh" in ended.stderr
    assert "github" not in stage.person([*NONO, "credential", "list"]).stdout
