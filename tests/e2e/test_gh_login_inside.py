"""The login of the real gh made inside: captured, the key of later runs, and never shown to a command."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import pytest

from support.agents.github import BIG, GitHub
from support.agents.stage import AgentStage, agent_stage
from support.agents.subscriptions import CANARY, USER_CODE
from support.models.openai import FakeOpenAi
from support.nono_run import NONO, Ended

INSIDE, STORE = ".cache/nono/gh/hosts.yml", ".local/state/nono/oauth-capture/providers.json"
# What a person presses at each question of gh 2.46.
ANSWERS = {
    "What account do you want": ("\r",),
    "preferred protocol": ("\r",),
    "Authenticate Git": ("n\r",),
    "How would you like": ("\r",),
    "Press Enter": ("\r",),
}
LOGIN = (*NONO, "run", "--profile", "gh", "--allow-cwd", "--", "gh", "auth", "login")
AS_KEY = (*NONO, "run", "--credential", "github", "--allow-cwd", "--")
pytestmark = [
    pytest.mark.skipif(shutil.which("gh") is None, reason="gh is not installed"),
    pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a provider its own name"),
]


@dataclass(frozen=True)
class Scene:
    stage: AgentStage
    github: GitHub

    def log_in(self) -> str:
        """Log in with gh inside, as a person does at a terminal; returns everything that was shown."""
        self.github.entered = True
        with self.stage.on_screen(LOGIN) as screen:
            asked = screen.answer_until("Logged in as somebody", ANSWERS)
            assert "Press Enter" in asked
            assert USER_CODE in screen.shown
            assert screen.end() == 0, screen.shown
            assert CANARY not in screen.shown
            return screen.shown

    def with_profile(self, script: str, stdin: str = "") -> Ended:
        ended = self.stage.run("gh", ("sh", "-c", script), stdin=stdin)
        assert CANARY not in ended.stdout + ended.stderr + json.dumps(ended.events)
        return ended

    def with_key(self, *command: str) -> Ended:
        ended = self.stage.person([*AS_KEY, *command])
        assert CANARY not in ended.stdout + ended.stderr
        return Ended(ended.returncode, ended.stdout, ended.stderr, ())

    def credential(self, *arguments: str) -> str:
        ended = self.stage.person([*NONO, "credential", *arguments])
        assert ended.returncode == 0, ended.stderr
        return ended.stdout + ended.stderr


@pytest.fixture
def scene() -> Iterator[Scene]:
    with scene_of_gh() as scene:
        yield scene


@pytest.fixture(scope="module")
def logged_in() -> Iterator[Scene]:
    """Yield a scene with a login of gh made inside, for tests that leave it as it is."""
    with scene_of_gh() as scene:
        scene.log_in()
        yield scene


@contextmanager
def scene_of_gh() -> Iterator[Scene]:
    github = GitHub(FakeOpenAi("", {}))
    with agent_stage(github.hosts, github, mounts={}, login=".config/gh/hosts.yml") as stage:
        yield Scene(stage, github)


def test_a_login_of_gh_made_inside_is_the_key_of_later_runs(scene: Scene) -> None:
    shown = " ".join(scene.log_in().split())
    assert "this run has logged in with gh" in shown
    assert "gh has kept a token" not in shown
    assert "nono credential logout gh" in shown
    assert scene.stage.files_with(CANARY) == {STORE}
    assert "oauth_token: nono_" in (scene.stage.home / INSIDE).read_text()
    assert scene.credential("logins").startswith("gh ")
    run = scene.with_key("gh", "api", "user", "--jq", ".login")
    assert run.stdout == "somebody\n", run.stderr
    assert "GH_TOKEN=" in scene.with_key("env").stdout
    assert scene.github.seen.count("api.github.com/user") == 1


def test_a_later_run_with_the_profile_uses_the_placeholder_in_the_file_of_gh(logged_in: Scene) -> None:
    run = logged_in.with_profile("cd / && gh api user --jq .login")
    assert run.stdout == "somebody\n", run.stderr


def test_the_key_and_the_placeholder_of_gh_work_in_one_run(logged_in: Scene) -> None:
    nono = (*NONO, "run", "--profile", "gh", "--credential", "github", "--allow-cwd", "--")
    ask = "gh api user --jq .login"
    run = logged_in.stage.person([*nono, "sh", "-c", f"{ask}; unset GH_TOKEN GITHUB_TOKEN; {ask}"])
    assert run.stdout == "somebody\nsomebody\n", run.stderr
    assert CANARY not in run.stdout + run.stderr


def test_the_placeholder_of_gh_is_of_no_use_at_another_host(logged_in: Scene) -> None:
    run = logged_in.with_profile(
        "token=$(sed -n 's/.*oauth_token: //p' \"$GH_CONFIG_DIR/hosts.yml\" | head -1)\n"
        "for host in api.github.com github.com; do\n"
        "    curl -s -o /dev/null -w '%{http_code}\\n' -H \"Authorization: token $token\" https://$host/user\n"
        "done"
    )
    assert run.stdout.split() == ["200", "403"], run.stdout + run.stderr
    assert "github.com/user" not in logged_in.github.seen


@pytest.mark.parametrize("profile", ["gh", "copilot-github"])
def test_what_a_repository_sends_is_not_held_for_tokens(scene: Scene, profile: str) -> None:
    run = scene.stage.run(profile, ("sh", "-c", "curl -sSf https://github.com/somebody/big | wc -c"))
    assert run.stdout == f"{len(BIG)}\n", run.stderr


def test_the_login_of_gh_made_last_is_the_key(scene: Scene) -> None:
    scene.log_in()
    scene.github.revoke()
    assert scene.with_key("gh", "api", "user").exit_code != 0
    scene.log_in()
    assert scene.with_key("gh", "api", "user").exit_code == 0


def test_a_forgotten_login_of_gh_is_of_no_use_inside(scene: Scene) -> None:
    scene.log_in()
    assert "1 token" in scene.credential("logout", "gh")
    assert scene.stage.files_with(CANARY) == set()
    run = scene.with_key("gh", "api", "user")
    assert run.exit_code != 0
    assert "there is no key for 'github'" in run.stderr
    assert "nono run --profile gh -- gh auth login" in " ".join(run.stderr.split())
    assert scene.with_profile("gh api user").exit_code != 0
    assert scene.github.seen == ["api.github.com/graphql"]  # of the login itself


def test_a_login_of_gh_replaces_no_key_that_is_stored(scene: Scene) -> None:
    scene.github.valid.add("ghp_key-of-the-person")
    scene.stage.nono("credential", "set", "github", stdin="ghp_key-of-the-person")
    scene.github.entered = True
    with scene.stage.on_screen(LOGIN) as screen:
        screen.answer_until("does not replace the key for 'github'", ANSWERS)
        assert screen.end() != 0
        assert "forget it first: nono credential remove github" in " ".join(screen.text.split())
    assert scene.github.given == 0  # GitHub was not asked for a token
    assert scene.stage.files_with(CANARY) == set()
    assert scene.with_key("gh", "api", "user").exit_code == 0


def test_gh_itself_refuses_to_log_in_beside_a_key(scene: Scene) -> None:
    scene.log_in()
    run = scene.with_key("sh", "-c", "echo ghp_pasted | gh auth login --with-token")
    assert run.exit_code != 0
    assert "environment variable is being used" in run.stderr


def test_a_token_that_is_pasted_inside_is_not_for_the_profile_of_gh(scene: Scene) -> None:
    scene.github.valid.add("ghp_pasted")
    run = scene.with_profile("gh auth login --with-token", stdin="ghp_pasted")
    assert run.exit_code != 0
    assert "is not a placeholder of a login" in " ".join(run.stderr.split())
    assert scene.github.seen == []
    assert scene.stage.files_with("ghp_pasted") == set()


def test_a_token_that_gh_keeps_inside_without_the_profile_is_told(scene: Scene) -> None:
    scene.github.entered = True
    authority = str(scene.stage.home / "ca.pem")  # of the GitHub that is simulated
    nono = (*NONO, "run", "--silent", "--allow-net", "--allow-cwd", "--read-file", authority, "--")
    with scene.stage.on_screen((*nono, "gh", "auth", "login")) as screen:
        screen.answer_until("Logged in as somebody", ANSWERS)
        assert screen.end() == 0, screen.shown
        said = " ".join(screen.shown.split())
    assert "gh has kept a token of github.com in" in said
    assert "a login in `nono run --profile gh` is kept outside" in said
    assert CANARY not in said
    again = scene.stage.person([*nono, "sh", "-c", "grep -q oauth_token $GH_CONFIG_DIR/hosts.yml"])
    assert again.returncode == 0, again.stderr
    assert "gh has kept" not in again.stderr  # this run has changed nothing


# Every way to ask for the token of a code that the person has entered, and to read where it is kept.
ATTACK = """
url=https://github.com/login/oauth/access_token
grant="client_id=x&device_code=device&grant_type=urn:ietf:params:oauth:grant-type:device_code"
for kind in application/json application/xml application/x-www-form-urlencoded '*/*'; do
    curl -s -i -H "Accept: $kind" -d "$grant" $url; echo
done
curl -s -i -d "$grant" --compressed $url
curl -s -i -d "client_id=x&device_code=device" $url
curl -s -i -H 'Content-Type: application/json' -d "$grant" $url
for path in login/oauth/access_token/ login/oauth/access_token.json LOGIN/oauth/access_token \
        login/oauth/%61ccess_token login//oauth/access_token x/../login/oauth/access_token; do
    curl -s -i --path-as-is -d "$grant" https://github.com/$path; echo
    curl -s -i --path-as-is -H 'Accept: application/json' -d "$grant" https://github.com/$path; echo
done
cat ~/.local/state/nono/oauth-capture/*
"""


def test_no_way_to_ask_for_the_token_of_a_code_shows_it_to_a_command(scene: Scene) -> None:
    scene.github.entered = True
    run = scene.with_profile(ATTACK)
    assert scene.github.given > 5
    assert "nono_" in run.stdout  # what was answered, was answered with placeholders
    assert "502" in run.stdout
    assert scene.stage.files_with(CANARY) == {STORE}
