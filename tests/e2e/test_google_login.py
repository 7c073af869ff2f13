"""Gemini CLI with a person's login at Google: imported or made inside, renewed once, never shown to it."""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from urllib.parse import parse_qs, urlsplit

import pytest

from support.agents.places import PLACES
from support.agents.programs import LIMIT_S
from support.agents.stage import TASK, TIMEOUT_S, AgentStage, agent_stage
from support.agents.subscriptions import CANARY, Google, Tokens, google_file
from support.models.gemini import FakeGemini
from support.nono_run import NONO, Ended

pytestmark = [pytest.mark.fetched, pytest.mark.timeout(LIMIT_S + TIMEOUT_S)]
OUTSIDE, STORE = ".gemini/oauth_creds.json", ".local/state/nono/oauth-capture/providers.json"
SETTINGS = {"security": {"auth": {"selectedType": "oauth-personal"}}}
PROMPT = ("gemini", "--yolo", "--skip-trust", "--model", "gemini-2.5-pro", "--prompt", "Do it.")


@dataclass(frozen=True)
class Scene:
    stage: AgentStage
    google: Google
    api: FakeGemini

    @property
    def tokens(self) -> Tokens:
        return self.google.tokens

    def log_in_outside(self, expires_in_s: float = 3600) -> str:
        content = google_file(self.tokens, time.time() + expires_in_s)
        self.stage.furnish({OUTSIDE: content})
        return content

    def run(self) -> Ended:
        return self.stage.run("gemini-cli", PROMPT)


@pytest.fixture
def scene() -> Iterator[Scene]:
    if os.geteuid() != 0:
        pytest.skip("only root can give a provider its own name")
    api = FakeGemini(TASK)
    google = Google(api)
    place = PLACES["gemini-cli"]
    with agent_stage(google.hosts, google, mounts=place.mounts("gemini-cli"), login=OUTSIDE) as stage:
        place.install(stage)
        stage.furnish({".gemini/settings.json": json.dumps(SETTINGS)})
        yield Scene(stage, google, api)


def test_an_imported_login_of_google_works_with_phantoms_alone(scene: Scene) -> None:
    content = scene.log_in_outside()
    scene.stage.nono("credential", "import", "gemini")
    run = scene.run()
    assert run.exit_code == 0, run.stdout + run.stderr
    [told] = scene.api.results
    assert "tried" in told
    assert "read .ssh/id" not in told
    assert CANARY not in told + run.stdout + run.stderr + json.dumps(run.events)
    assert (scene.stage.home / OUTSIDE).read_text() == content
    assert scene.stage.files_with(CANARY) == {OUTSIDE, STORE}
    assert scene.tokens.renewals == 0
    assert [event for event in run.denied if event["port"] == 443] == []


def test_two_runs_at_once_renew_an_expired_login_of_google_once(scene: Scene) -> None:
    scene.log_in_outside(expires_in_s=-60)
    scene.stage.nono("credential", "import", "gemini-cli")
    scene.tokens.expire()
    with ThreadPoolExecutor(2) as pool:
        runs = list(pool.map(lambda _: scene.run(), range(2)))
    assert [run.exit_code for run in runs] == [0, 0], "".join(run.stdout + run.stderr for run in runs)
    assert scene.tokens.renewals == 1
    assert scene.stage.files_with(CANARY) == {OUTSIDE, STORE}


@pytest.mark.slow
def test_a_login_that_google_has_revoked_is_of_no_use_inside(scene: Scene) -> None:
    scene.log_in_outside(expires_in_s=-60)
    scene.stage.nono("credential", "import", "gemini-cli")
    scene.tokens.expire()
    scene.tokens.refresh.clear()
    run = scene.run()
    assert run.exit_code != 0
    assert scene.api.results == []
    assert CANARY not in run.stdout + run.stderr


@pytest.mark.slow
def test_a_forgotten_login_of_google_is_of_no_use_inside(scene: Scene) -> None:
    scene.log_in_outside()
    scene.stage.nono("credential", "import", "gemini-cli")
    scene.stage.nono("credential", "logout", "gemini")
    assert scene.stage.files_with(CANARY) == {OUTSIDE}
    assert scene.run().exit_code != 0
    assert scene.api.results == []


# Gemini CLI 0.61.0 writes the file in place, and removes it with the last of its keys.
KEYS = "~/.gemini/gemini-credentials.json"
KEEP = f"cat {KEYS}; echo -n inside >> {KEYS}; rm {KEYS} 2>/dev/null || ls ~/.gemini"


@pytest.mark.needs("namespaces")
@pytest.mark.parametrize(
    ("is_there", "namespaces"),
    [(True, "auto"), (True, "off"), (False, "auto")],
    ids=["a key outside", "a key outside, without namespaces", "none"],
)
def test_the_keys_that_gemini_keeps_inside_are_apart_from_those_of_the_person(
    scene: Scene, is_there: bool, namespaces: str
) -> None:
    keys = scene.stage.home / ".gemini/gemini-credentials.json"
    if is_there:
        keys.write_text(CANARY)
    nono = (*NONO, "run", "--profile", "gemini-cli", "--namespaces", namespaces, "--allow-cwd", "--")
    runs = [scene.stage.person([*nono, "sh", "-c", KEEP]) for _ in range(2)]
    assert [run.stdout[:6] for run in runs] == ["gemini", "inside"]  # of ls, as there is no file; then of cat
    assert CANARY not in "".join(run.stdout + run.stderr for run in runs)
    assert (keys.parent / "nono" / keys.name).read_text() == "insideinside"
    assert keys.read_text() == CANARY if is_there else not os.path.lexists(keys)


# What else the token is good for: the person's whole cloud.
OTHERS = """
token=$(sed -n 's/.*"access_token": "\\([^"]*\\)".*/\\1/p' ~/.gemini/oauth_creds.json)
for url in cloudcode-pa.googleapis.com/v1internal:loadCodeAssist www.googleapis.com/compute/v1/projects/p \\
    cloudcode-pa.googleapis.com/v2/everything oauth2.googleapis.com/revoke; do
    curl -s -o answer -w "%{http_code}\\n" -X POST -H "Authorization: Bearer $token" "https://$url"
done
"""


def test_the_login_of_google_is_for_code_assist_alone(scene: Scene) -> None:
    scene.log_in_outside()
    scene.stage.nono("credential", "import", "gemini-cli")
    run = scene.stage.run("gemini-cli", ("sh", "-c", OTHERS))
    assert run.stdout.split() == ["200", "403", "403", "403"], run.stdout + run.stderr
    assert {event["target"] for event in run.denied} == set(scene.google.hosts[:3])


@pytest.mark.slow
def test_a_login_of_google_made_inside_is_captured_for_later_runs(scene: Scene) -> None:
    (scene.stage.home / OUTSIDE).unlink()
    argv = [*NONO, "run", "--profile", "gemini-cli", "--allow-cwd", "--", "gemini", "--skip-trust"]
    with scene.stage.on_screen(argv, environment={"NO_BROWSER": "true"}) as screen:
        screen.wait_for("Enter the authorization code")
        screen.settle()
        [url] = re.findall(r"https://accounts\.google\.com/\S+", screen.shown.replace("\r\n", ""))
        screen.type(parse_qs(urlsplit(scene.google.sign_in(url)).query)["code"][0] + "\r")
        screen.wait_for("Type your message")
        for keys in ("/quit", "\r"):
            screen.settle()
            screen.type(keys)
        assert screen.end() == 0, screen.text
    assert not (scene.stage.home / OUTSIDE).exists()
    assert scene.stage.files_with(CANARY) == {STORE}
    run = scene.run()
    assert run.exit_code == 0, run.stdout + run.stderr
    assert len(scene.api.results) == 1
    assert scene.tokens.renewals == 0
    assert CANARY not in screen.shown + run.stdout + run.stderr
