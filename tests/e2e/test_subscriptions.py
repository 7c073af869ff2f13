"""Real agents with the subscription of a person: imported once, renewed once, and never shown to them."""

from __future__ import annotations

import json
import os
import re
import time
from base64 import urlsafe_b64decode
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import SplitResult, parse_qs, urlsplit

import pytest

from support.agents.codex import CODEX, CodexScene, codex_scene
from support.agents.codex import OUTSIDE as CODEX_OUTSIDE
from support.agents.programs import LIMIT_S, installed
from support.agents.screen import Screen
from support.agents.stage import TASK, TIMEOUT_S, AgentStage, agent_stage
from support.agents.subscriptions import CANARY, Claude, Tokens, claude_file, codex_file
from support.models.anthropic import FakeAnthropic
from support.nono_run import NONO, Ended
from support.proxy.thread import wait_until

pytestmark = [pytest.mark.fetched, pytest.mark.timeout(LIMIT_S + TIMEOUT_S)]
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
        """Run with what `claude setup-token` has printed, in the person's environment."""
        nono = (*NONO, "run", "--profile", "claude-code", *flags, "--allow-cwd", "--")
        environment = {"CLAUDE_CODE_OAUTH_TOKEN": token}
        ended = self.stage.person([*nono, *PROMPT], environment=environment)
        return Ended(ended.returncode, ended.stdout, ended.stderr, ())

    def files_with_tokens(self) -> set[str]:
        return self.stage.files_with(CANARY)


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
    assert "as plain text" in imported.stdout  # nothing here can hold a key
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


def test_a_subscription_lies_encrypted_under_the_passphrase_of_the_stored_keys(scene: Scene) -> None:
    scene.log_in_outside()
    with scene.stage.on_screen([*NONO, "credential", "set", "openai"]) as person:
        for question in ("Value of 'openai'", "(not shown; Enter: plain text)", "The same again"):
            person.wait_for(question)
            person.settle()
            person.type("open sesame\r")
        assert person.end() == 0
    imported = scene.credential("import", "claude-code")
    assert "encrypted with your passphrase" in imported.stdout, imported.stdout + imported.stderr
    assert scene.files_with_tokens() == {OUTSIDE}
    scene.tokens.expire()
    run = scene.run()
    assert run.exit_code == 0, run.stdout + run.stderr
    assert scene.tokens.renewals == 1
    assert scene.files_with_tokens() == {OUTSIDE}
    assert "encrypted" in scene.credential("logins").stdout


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


BROWSER = """#!/bin/sh
echo "$1" > "$PROJECT/page.new"
mv "$PROJECT/page.new" "$PROJECT/page"
"""


@contextmanager
def signing_in(scene: Scene, *flags: str) -> Iterator[tuple[Screen, SplitResult]]:
    """Yield the screen of a `claude auth login` inside, and the target of the provider's page."""
    browser = scene.stage.directory(".local/bin") / "xdg-open"
    browser.write_text(BROWSER)
    browser.chmod(0o755)
    page = scene.stage.project / "page"
    nono = (*NONO, "run", "--profile", "claude-code", *flags, "--allow-cwd", "--")
    environment = {"BROWSER": str(browser), "DISPLAY": ":0"}
    with scene.stage.on_screen([*nono, "claude", "auth", "login"], environment=environment) as terminal:
        terminal.wait_for("Paste code here")
        wait_until(page.exists)
        yield terminal, urlsplit(scene.claude.sign_in(page.read_text().strip()))
    assert CANARY not in terminal.shown


def follow(target: SplitResult) -> int:
    """Follow a link as a browser outside does. Returns the status."""
    browser = HTTPConnection("127.0.0.1", target.port or 80, timeout=TIMEOUT_S)
    browser.request("GET", f"{target.path}?{target.query}", headers={"Host": target.netloc})
    status = browser.getresponse().status
    browser.close()
    return status


def assert_works_with_phantoms(scene: Scene) -> None:
    held = json.loads((scene.stage.home / INSIDE).read_text())["claudeAiOauth"]
    assert held["accessToken"].startswith("nono_")
    assert held["refreshToken"].startswith("nono_")
    scene.tokens.expire()
    run = scene.run()
    assert run.exit_code == 0, run.stdout + run.stderr
    assert len(scene.api.results) == 1
    assert scene.tokens.renewals == 1
    assert scene.files_with_tokens() == {".local/state/nono/oauth-capture/providers.json"}


def test_a_login_made_inside_is_captured_for_later_runs(scene: Scene) -> None:
    with signing_in(scene) as (terminal, target):
        assert follow(target) == 302  # to a page that says that it worked
        assert terminal.end() == 0
    assert_works_with_phantoms(scene)
    assert "2 tokens" in scene.credential("logout", "claude-code").stdout
    assert scene.run().exit_code != 0


def test_a_code_that_is_pasted_inside_logs_in_where_no_browser_reaches_the_run(scene: Scene) -> None:
    with signing_in(scene, "--sandbox-policy", "netns") as (terminal, target):
        with pytest.raises(ConnectionRefusedError):
            follow(target)
        [code], [state] = (parse_qs(target.query)[name] for name in ("code", "state"))
        terminal.type(f"{code}#{state}\r")
        assert terminal.end() == 0
    assert_works_with_phantoms(scene)


def test_a_login_that_the_provider_refuses_leaves_nothing_behind(scene: Scene) -> None:
    with signing_in(scene) as (terminal, target):
        scene.claude.challenges.clear()
        follow(target)
        assert terminal.end() != 0
    assert not (scene.stage.home / INSIDE).exists()
    assert "No logins are captured" in scene.credential("logins").stderr


def test_a_key_of_the_console_is_not_handed_out_inside(scene: Scene) -> None:
    scene.log_in_outside()
    scene.credential("import", "claude-code")
    script = """
    token=$(sed -n 's/.*"accessToken": "\\([^"]*\\)".*/\\1/p' ~/.claude/nono/.credentials.json)
    for call in create_api_key roles; do
        curl -s -o answer -w "%{http_code}\n" -X POST -H "Authorization: Bearer $token" \\
            "https://api.anthropic.com/api/oauth/claude_cli/$call"
    done
    """
    run = scene.stage.run("claude-code", ("sh", "-c", script))
    assert run.stdout.split() == ["403", "200"], run.stdout + run.stderr
    assert any("create_api_key" in str(event) for event in run.denied)


@pytest.fixture
def codex() -> Iterator[CodexScene]:
    with codex_scene(has_file=True) as scene:
        yield scene


def test_codex_works_with_an_imported_login_of_chatgpt(codex: CodexScene) -> None:
    content = codex.log_in_outside()
    codex.stage.nono("credential", "import", "codex")
    run = codex.stage.run("codex", CODEX)
    assert run.exit_code == 0, run.stdout + run.stderr + repr(codex.chatgpt.seen)
    [told] = codex.api.results
    assert "tried" in told
    assert CANARY not in told + run.stdout + run.stderr + json.dumps(run.events)
    assert (codex.stage.home / CODEX_OUTSIDE).read_text() == content
    assert codex.stage.files_with(CANARY) == {CODEX_OUTSIDE, ".local/state/nono/oauth-capture/providers.json"}


def test_codex_and_a_second_codex_renew_a_revoked_login_once(codex: CodexScene) -> None:
    codex.log_in_outside()
    codex.stage.nono("credential", "import", "codex")
    codex.chatgpt.tokens.expire()
    with ThreadPoolExecutor(2) as pool:
        runs = list(pool.map(lambda _: codex.stage.run("codex", CODEX), range(2)))
    assert [run.exit_code for run in runs] == [0, 0], "".join(run.stdout + run.stderr for run in runs)
    assert codex.chatgpt.tokens.renewals == 1
    assert codex.stage.files_with(CANARY) == {CODEX_OUTSIDE, ".local/state/nono/oauth-capture/providers.json"}


def test_codex_prefers_an_imported_login_to_a_stored_key(codex: CodexScene) -> None:
    codex.log_in_outside()
    codex.stage.nono("credential", "import", "codex")
    codex.stage.nono("credential", "set", "openai", stdin="canary-of-a-key")
    run = codex.stage.run("codex", CODEX)
    assert run.exit_code == 0, run.stdout + run.stderr
    assert len(codex.api.results) == 1
    assert codex.chatgpt.keys == set()


def test_codex_takes_a_key_that_was_asked_for_in_place_of_its_login(codex: CodexScene) -> None:
    codex.log_in_outside()
    codex.stage.nono("credential", "import", "codex")
    codex.stage.nono("credential", "set", "openai", stdin="canary-of-a-key")
    nono = (*NONO, "run", "--profile", "codex", "--credential", "openai", "--allow-cwd", "--")
    ended = codex.stage.person([*nono, *CODEX])
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert len(codex.api.results) == 1
    assert codex.chatgpt.keys == {"canary-of-a-key"}


def test_a_login_that_is_logged_out_is_ended_at_the_provider_as_codex_ends_it(codex: CodexScene) -> None:
    codex.log_in_outside()
    codex.stage.nono("credential", "import", "codex")
    out = codex.stage.person([*NONO, "credential", "logout", "codex"])
    assert "has ended it" in out.stdout, out.stdout + out.stderr
    assert CANARY not in out.stdout + out.stderr
    assert codex.chatgpt.tokens.refresh == set()
    assert codex.stage.files_with(CANARY) == {CODEX_OUTSIDE}
    assert codex.stage.person(["codex", "logout"]).returncode == 0
    [by_nono, by_codex] = codex.chatgpt.ended
    assert by_nono == by_codex


def test_a_login_that_the_provider_does_not_end_is_forgotten_all_the_same(codex: CodexScene) -> None:
    codex.log_in_outside()
    codex.stage.nono("credential", "import", "codex")
    codex.chatgpt.is_broken = True
    out = codex.stage.person([*NONO, "credential", "logout", "codex"])
    assert out.returncode == 1
    assert "it answered 503" in out.stderr
    assert codex.stage.files_with(CANARY) == {CODEX_OUTSIDE}


# What somebody with a shell tries in order to have the file itself, or the tokens.
ATTACK = """
file=$HOME/.codex/auth.json
tr -d '\\n' < "$file"; echo
mv "$file" "$file.away" || rm "$file" || ln "$file" "$HOME/.codex/other" || echo kept
mv "$HOME/.codex" "$HOME/.codex-away" || echo pinned
umount "$file" || echo mounted
cat "$HOME"/.local/state/nono/oauth-capture/* "$HOME"/.local/state/nono/oauth-capture/inside/*
echo spoilt > "$file" || echo unwritten
"""


def test_the_file_of_a_login_shows_phantoms_alone_whatever_is_done_to_it(codex: CodexScene) -> None:
    content = codex.log_in_outside()
    codex.stage.nono("credential", "import", "codex")
    run = codex.stage.run("codex", ("sh", "-c", ATTACK))
    held = json.loads(run.stdout.splitlines()[0])["tokens"]
    assert [name for name, value in held.items() if "nono_" in value] == [*held][:3]
    assert held["account_id"] == "account-1"
    claims = json.loads(urlsafe_b64decode(held["id_token"].split(".")[1] + "=="))
    assert claims["https://api.openai.com/auth"]["chatgpt_plan_type"] == "pro"
    assert "secret" not in claims
    assert run.stdout.splitlines()[1:] == ["kept", "pinned", "mounted", "unwritten"], run.stdout + run.stderr
    assert CANARY not in run.stdout + run.stderr
    assert (codex.stage.home / CODEX_OUTSIDE).read_text() == content
    told = [event["path"] for event in run.events if event["type"] == "masked"]
    assert str(codex.stage.home / CODEX_OUTSIDE) in told


def test_a_login_that_was_not_imported_is_not_shown(codex: CodexScene) -> None:
    codex.log_in_outside()
    script = 'cat "$HOME/.codex/auth.json" || wc -c <"$HOME/.codex/auth.json" || echo none'
    run = codex.stage.run("codex", ("sh", "-c", script))
    assert run.stdout == "none\n"  # as on a fresh home


# A run without namespaces, in which no file of its own can take the place of Codex's.
SHARING = (*NONO, "run", "--profile", "codex", "--namespaces", "off", "--allow-cwd", "--")


def test_a_login_of_codex_made_inside_leaves_no_placeholders_in_the_file_of_the_person(
    codex: CodexScene,
) -> None:
    file = codex.stage.home / CODEX_OUTSIDE
    file.unlink()
    before = set(codex.stage.runner.logs())
    argv = (*SHARING, "codex", "login")
    with codex.stage.on_screen(argv) as terminal:
        terminal.wait_for("/oauth/authorize?")
        terminal.settle()
        [state] = set(re.findall(r"[?&]state=([\w-]+)", terminal.shown.replace("\r\n", "")))
        follow(urlsplit(f"http://localhost:1455/auth/callback?code=one&state={state}"))
        assert not file.exists(), file.read_text()
        assert terminal.end() != 0, terminal.shown
    assert not file.exists()
    network = [each["event"] for each in codex.stage.runner.events_since(before) if each["type"] == "network"]
    assert [each["path"] for each in network if each["decision"] == "deny"] == ["/oauth/token"]
    assert codex.chatgpt.tokens.access == set()  # it was not asked for any
    assert "nono credential import codex" in terminal.shown


def test_a_key_that_codex_stores_inside_leaves_no_placeholder_in_the_file_of_the_person(
    codex: CodexScene,
) -> None:
    file = codex.stage.home / CODEX_OUTSIDE
    file.unlink()
    codex.stage.nono("credential", "set", "openai", stdin="canary-of-a-key")
    script = 'echo "$OPENAI_API_KEY" | codex login --with-api-key && cat ~/.codex/auth.json'
    run = codex.stage.person([*SHARING, "sh", "-c", script])
    assert run.returncode == 0, run.stdout + run.stderr
    assert "OPENAI_API_KEY" in run.stdout  # it was there
    assert not file.exists()
    assert "was removed" in run.stderr
    assert "canary-of-a-key" not in run.stdout + run.stderr


def test_a_login_that_a_command_makes_of_its_own_key_stays(codex: CodexScene) -> None:
    file = codex.stage.home / CODEX_OUTSIDE
    file.unlink()
    codex.stage.nono("credential", "set", "openai", stdin="canary-of-a-key")
    run = codex.stage.person([*SHARING, "sh", "-c", "echo sk-own | codex login --with-api-key"])
    assert run.returncode == 0, run.stdout + run.stderr
    assert "sk-own" in file.read_text()


def test_a_login_of_codex_elsewhere_is_not_shown(codex: CodexScene) -> None:
    """CODEX_HOME is in the project, which is granted."""
    codex.stage.furnish({"project/.codex/auth.json": CANARY, "project/.codex/config.toml": ""})
    elsewhere = str(codex.stage.project / ".codex")
    nono = (*NONO, "run", "--profile", "codex", "--allow-cwd", "--")
    argv = [*nono, "sh", "-c", "cat .codex/auth.json; wc -c <.codex/config.toml"]
    ended = codex.stage.person(argv, environment={"CODEX_HOME": elsewhere})
    assert ended.stdout == "0\n", ended.stdout + ended.stderr


def enforced(stage: AgentStage, *, inside: bool) -> str:
    """Return what `nono why` names as enforcing the denial of Codex's login."""
    question = ("--path", str(stage.home / CODEX_OUTSIDE), "--json")
    if inside:
        answer = stage.run("codex", (*NONO, "why", "--self", *question)).stdout
    else:
        answer = stage.person([*NONO, "why", "--profile", "codex", "--allow-cwd", *question]).stdout
    said: str = json.loads(answer)["enforced_by"]
    return said


@pytest.mark.parametrize("inside", [False, True], ids=["outside", "inside"])
def test_why_says_that_a_run_shows_placeholders_for_an_imported_login(
    codex: CodexScene, inside: bool
) -> None:
    codex.log_in_outside()
    assert "leads to a file of the run's own" in enforced(codex.stage, inside=inside)
    codex.stage.nono("credential", "import", "codex")
    assert "shows placeholders for the tokens of its login" in enforced(codex.stage, inside=inside)


def test_what_takes_the_place_of_a_shown_login_is_not_read(codex: CodexScene) -> None:
    codex.log_in_outside()
    codex.stage.nono("credential", "import", "codex")
    script = 'echo > ready; while [ ! -e go ]; do sleep 0.05; done; cat "$HOME/.codex/auth.json"'
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(codex.stage.run, "codex", ("sh", "-c", script))
        wait_until((codex.stage.project / "ready").exists)
        new = codex.stage.home / ".codex/auth.json.new"
        new.write_text(codex_file(codex.chatgpt.tokens))
        codex.stage.runner.give(new)
        new.rename(codex.stage.home / CODEX_OUTSIDE)
        (codex.stage.project / "go").touch()
        run = running.result()
    assert "nono_" in run.stdout
    assert CANARY not in run.stdout + run.stderr
