"""A login at GitHub by device code whose tokens expire: renewed for a command that holds phantoms alone."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from support.agents.github import GitHub
from support.agents.stage import AgentStage, agent_stage
from support.agents.subscriptions import CANARY
from support.models.openai import FakeOpenAi
from support.nono_run import NONO, Ended

STORE = ".local/state/nono/oauth-capture/providers.json"
# RFC 8628 and RFC 6749 section 6, in the form that GitHub takes. `login` is a file of the project.
CLIENT = """
url=https://github.com/login/oauth/access_token grant=urn:ietf:params:oauth:grant-type:device_code
field() { sed -n 's/.*"'"$1"'": *"\\([^"]*\\)".*/\\1/p' login; }
token() { curl -sS -H 'Accept: application/json' -d "client_id=x&$1" $url; }
log_in() { token "grant_type=$grant&device_code=device" > login; }
renew() { token "grant_type=refresh_token&refresh_token=$(field refresh_token)" > new; cat new; echo; }
status() { curl -s -o /dev/null -w '%{http_code}\\n' "$@"; }
ask() { status -H "Authorization: Bearer $(field access_token)" https://api.github.com/user; }
"""


@dataclass(frozen=True)
class Scene:
    stage: AgentStage
    github: GitHub

    def run(self, script: str) -> Ended:
        ended = self.stage.run("copilot-github", ("sh", "-c", CLIENT + script))
        assert CANARY not in ended.stdout + ended.stderr + json.dumps(ended.events)
        assert self.stage.files_with(CANARY) <= {STORE}
        return ended

    def kept(self, name: str) -> dict[str, object]:
        content: dict[str, object] = json.loads((self.stage.project / name).read_text())
        return content


@pytest.fixture
def scene() -> Iterator[Scene]:
    if os.geteuid() != 0:
        pytest.skip("only root can give a provider its own name")
    github = GitHub(FakeOpenAi("", {}), expires_in_s=28_800, entered=True)
    with agent_stage(github.hosts, github, mounts={}, login=".copilot/config.json") as stage:
        yield Scene(stage, github)


def test_a_token_that_has_expired_is_renewed_and_its_phantom_stays(scene: Scene) -> None:
    assert scene.run("log_in; ask").stdout == "200\n"
    held = scene.kept("login")
    assert str(held["access_token"]).startswith("nono_")
    assert str(held["refresh_token"]).startswith("nono_")
    scene.github.expire()
    run = scene.run("ask; renew >/dev/null; ask")
    assert run.stdout == "401\n200\n", run.stdout + run.stderr
    assert scene.github.renewals == 1
    renewed = scene.kept("new")
    assert [renewed[each] for each in ("access_token", "refresh_token")] == [
        held[each] for each in ("access_token", "refresh_token")
    ]


def test_a_token_that_is_fresh_is_not_renewed(scene: Scene) -> None:
    """GitHub takes each refresh token once, and other runs may have the same phantom."""
    run = scene.run("log_in; renew >/dev/null; renew >/dev/null; ask")
    assert run.stdout == "200\n", run.stdout + run.stderr
    assert scene.github.renewals == 0


def test_a_login_that_was_ended_is_not_renewed_and_says_so(scene: Scene) -> None:
    scene.run("log_in")
    scene.github.revoke()
    run = scene.run("ask; renew; ask")
    assert "bad_refresh_token" in run.stdout
    assert run.stdout.split()[0] == run.stdout.split()[-1] == "401"


def test_a_login_is_forgotten_by_the_name_of_its_profile(scene: Scene) -> None:
    scene.run("log_in")
    out = scene.stage.person([*NONO, "credential", "logout", "copilot-github"])
    assert out.returncode == 0, out.stderr
    assert "2 tokens" in out.stdout
    assert "until you end the session in your account there" in out.stdout
    assert scene.stage.files_with(CANARY) == set()
    run = scene.run("ask; renew")
    assert "200" not in run.stdout
    assert "unknown or has expired" in " ".join(run.stderr.split())


@pytest.mark.parametrize("between", ["log_in", "( log_in ) & wait"], ids=["later", "another process"])
def test_a_code_that_is_redeemed_twice_makes_two_logins_and_changes_none(scene: Scene, between: str) -> None:
    """Whoever has the code gets a login; the phantoms of the first stand for its tokens still."""
    scene.run("log_in; cp login first; " + between)
    first, second = scene.kept("first"), scene.kept("login")
    assert first["access_token"] != second["access_token"]
    (mine,) = [token for token in scene.github.valid if token.endswith("-1")]
    scene.github.valid = {mine}
    assert scene.run("ask; cp first login; ask").stdout == "401\n200\n"


def test_a_code_that_another_run_redeems_changes_no_login(scene: Scene) -> None:
    scene.run("log_in; cp login first")
    scene.run("log_in")
    (mine,) = [token for token in scene.github.valid if token.endswith("-1")]
    scene.github.valid = {mine}
    assert scene.run("ask; cp first login; ask").stdout == "401\n200\n"
