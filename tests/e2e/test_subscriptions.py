"""Real agents with the subscription of a person: imported once, renewed once, and never shown to them."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest

from support.agents.programs import LIMIT_S, installed
from support.agents.stage import TASK, TIMEOUT_S, AgentStage, agent_stage
from support.agents.subscriptions import CANARY, Claude, Tokens, claude_file
from support.models.anthropic import FakeAnthropic
from support.nono_run import NONO, Ended

pytestmark = pytest.mark.timeout(LIMIT_S + TIMEOUT_S)
OUTSIDE, INSIDE = ".claude/.credentials.json", ".claude/nono/.credentials.json"
PROMPT = ("claude", "--print", "Do it.", "--allowedTools", "Bash")


@dataclass(frozen=True)
class Scene:
    stage: AgentStage
    claude: Claude
    api: FakeAnthropic

    @property
    def tokens(self) -> Tokens:
        return self.claude.tokens

    def log_in_outside(self, expires_in_s: float = 3600) -> str:
        file = self.stage.directory(".claude") / ".credentials.json"
        content = claude_file(self.tokens, time.time() + expires_in_s)
        file.write_text(content)
        self.stage.runner.give(file)
        return content

    def credential(self, *arguments: str) -> Ended:
        ended = self.stage.person([*NONO, "credential", *arguments])
        assert CANARY not in ended.stdout + ended.stderr
        return Ended(ended.returncode, ended.stdout, ended.stderr, ())

    def run(self) -> Ended:
        return self.stage.run("claude-code", PROMPT)

    def run_with_a_token(self, token: str, *flags: str) -> Ended:
        """With what `claude setup-token` has printed, in the person's environment."""
        nono = (*NONO, "run", "--profile", "claude-code", *flags, "--allow-cwd", "--")
        environment = {"CLAUDE_CODE_OAUTH_TOKEN": token}
        ended = self.stage.person([*nono, *PROMPT], environment=environment)
        return Ended(ended.returncode, ended.stdout, ended.stderr, ())

    def files_with_tokens(self) -> set[str]:
        home = self.stage.home
        files = [path for path in home.rglob("*") if path.is_file() and not path.is_symlink()]
        return {str(path.relative_to(home)) for path in files if CANARY.encode() in path.read_bytes()}


@pytest.fixture
def scene() -> Iterator[Scene]:
    if os.geteuid() != 0:
        pytest.skip("only root can give a provider its own name")
    api = FakeAnthropic(TASK)
    claude = Claude(api)
    mounts = {".local/share/claude/versions": installed("claude-code")}
    with agent_stage(claude.hosts, claude, mounts=mounts, login=OUTSIDE) as stage:
        stage.install("claude", Path(".local/share/claude/versions/claude"))
        yield Scene(stage, claude, api)


def test_an_imported_subscription_works_with_phantoms_alone(scene: Scene) -> None:
    content = scene.log_in_outside()
    imported = scene.credential("import", "claude-code")
    assert imported.exit_code == 0, imported.stderr
    assert "2 tokens" in imported.stdout
    assert (scene.stage.home / OUTSIDE).read_text() == content
    held = json.loads((scene.stage.home / INSIDE).read_text())["claudeAiOauth"]
    assert held["accessToken"].startswith("nono_")
    assert held["subscriptionType"] == "max"

    run = scene.run()
    assert run.exit_code == 0, run.stdout + run.stderr
    assert "answer 503" not in run.stderr
    [told] = scene.api.results
    assert "tried" in told
    assert CANARY not in told + run.stdout + run.stderr + json.dumps(run.events)
    assert CANARY not in (scene.stage.project / "environment").read_text()
    assert scene.files_with_tokens() == {OUTSIDE, ".local/state/nono/oauth-capture/providers.json"}
    assert scene.tokens.renewals == 0


def test_two_runs_at_once_renew_an_expired_subscription_once(scene: Scene) -> None:
    scene.log_in_outside(expires_in_s=-60)
    scene.credential("import", "claude-code")
    scene.tokens.expire()
    with ThreadPoolExecutor(2) as pool:
        runs = list(pool.map(lambda _: scene.run(), range(2)))
    assert [run.exit_code for run in runs] == [0, 0], "".join(run.stdout + run.stderr for run in runs)
    assert scene.tokens.renewals == 1
    assert scene.files_with_tokens() == {OUTSIDE, ".local/state/nono/oauth-capture/providers.json"}


def test_a_revoked_access_token_is_renewed_during_a_run(scene: Scene) -> None:
    scene.log_in_outside()
    scene.credential("import", "claude-code")
    scene.tokens.expire()
    run = scene.run()
    assert run.exit_code == 0, run.stdout + run.stderr
    assert scene.tokens.renewals == 1


def test_a_forgotten_subscription_is_of_no_use_inside(scene: Scene) -> None:
    scene.log_in_outside()
    scene.credential("import", "claude-code")
    out = scene.credential("logout", "claude-code")
    assert "2 tokens" in out.stdout
    assert not (scene.stage.home / INSIDE).exists()
    assert scene.files_with_tokens() == {OUTSIDE}
    run = scene.run()
    assert run.exit_code != 0
    assert scene.api.results == []


def test_a_long_lived_token_is_a_credential_like_any_other(scene: Scene) -> None:
    token, _ = scene.tokens.give()
    run = scene.run_with_a_token(token, "--credential", "claude-token")
    assert run.exit_code == 0, run.stdout + run.stderr
    assert "answer 503" not in run.stderr
    assert len(scene.api.results) == 1
    assert CANARY not in (scene.stage.project / "environment").read_text() + run.stdout + run.stderr
    assert scene.files_with_tokens() == set()


def test_a_long_lived_token_that_nobody_asked_for_stays_outside(scene: Scene) -> None:
    token, _ = scene.tokens.give()
    run = scene.run_with_a_token(token)
    assert run.exit_code != 0
    assert scene.api.results == []
