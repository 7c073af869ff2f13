"""Codex with a login at ChatGPT made inside: its tokens stay outside the sandbox, and later runs use it."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from http.client import HTTPConnection
from urllib.parse import urlsplit

import pytest

from support.agents.codex import CODEX, OUTSIDE, CodexScene, codex_scene
from support.agents.programs import LIMIT_S
from support.agents.screen import Screen
from support.agents.stage import TIMEOUT_S
from support.agents.subscriptions import CANARY, USER_CODE
from support.nono_run import NONO, Ended

pytestmark = [pytest.mark.fetched, pytest.mark.timeout(LIMIT_S + TIMEOUT_S)]
STORE = ".local/state/nono/oauth-capture/providers.json"
INSIDE = (*NONO, "run", "--profile", "codex", "--allow-cwd", "--")


@pytest.fixture
def codex() -> Iterator[CodexScene]:
    """Yield a person who has never logged in."""
    with codex_scene() as scene:
        yield scene


def follow(terminal: Screen) -> None:
    """Do what a browser outside does once the person has signed in: the callback, and the page after it."""
    terminal.wait_for("/oauth/authorize?")
    terminal.settle()
    [state] = set(re.findall(r"[?&]state=([\w-]+)", terminal.shown.replace("\r\n", "")))
    path = f"/auth/callback?code=one&state={state}"
    while path:
        browser = HTTPConnection("127.0.0.1", 1455, timeout=TIMEOUT_S)
        browser.request("GET", path, headers={"Host": "localhost:1455"})
        path = urlsplit(browser.getresponse().headers["Location"] or "").path
        browser.close()


def log_in(codex: CodexScene) -> str:
    with codex.stage.on_screen((*INSIDE, "codex", "login")) as terminal:
        follow(terminal)
        assert terminal.end() == 0, terminal.shown
    return terminal.shown


def status(codex: CodexScene) -> Ended:
    return codex.stage.run("codex", ("codex", "login", "status"))


def test_a_login_made_inside_is_captured_for_later_runs(codex: CodexScene) -> None:
    shown = log_in(codex)
    assert "logged in to chatgpt as a@b.test" in shown
    assert not os.path.lexists(codex.stage.home / OUTSIDE)
    assert codex.stage.files_with(CANARY) == {STORE}
    assert codex.chatgpt.seen.count("POST /oauth/token") == 1  # and none for a key
    assert "denied" not in shown

    codex.chatgpt.tokens.expire()
    run = codex.stage.run("codex", CODEX)
    assert run.exit_code == 0, run.stdout + run.stderr + repr(codex.chatgpt.seen)
    [told] = codex.api.results
    assert "tried" in told
    assert codex.chatgpt.tokens.renewals == 1
    assert CANARY not in shown + told + run.stdout + run.stderr + json.dumps(run.events)
    assert codex.stage.files_with(CANARY) == {STORE}


def test_a_login_by_device_code_is_captured_as_well(codex: CodexScene) -> None:
    with codex.stage.on_screen((*INSIDE, "codex", "login", "--device-auth")) as terminal:
        terminal.wait_for(USER_CODE)
        codex.chatgpt.entered = True
        assert terminal.end() == 0, terminal.shown
    assert "Logged in using ChatGPT" in status(codex).stderr
    assert codex.stage.files_with(CANARY) == {STORE}
    assert CANARY not in terminal.shown


def test_a_run_that_logs_in_can_go_on_with_its_login(codex: CodexScene) -> None:
    script = f"codex login && {' '.join(CODEX[:-1])} Do_it"
    with codex.stage.on_screen((*INSIDE, "sh", "-c", script)) as terminal:
        follow(terminal)
        assert terminal.end() == 0, terminal.shown
    assert len(codex.api.results) == 1
    assert CANARY not in terminal.shown


def test_the_login_outside_stays_as_it_is_and_goes_on(codex: CodexScene) -> None:
    content = codex.log_in_outside()
    assert "Not logged in" in status(codex).stderr
    log_in(codex)
    assert "Logged in using ChatGPT" in status(codex).stderr
    assert (codex.stage.home / OUTSIDE).read_text() == content
    outside = codex.stage.person(["codex", "login", "status"])
    assert "Logged in using ChatGPT" in outside.stderr


def test_a_logout_inside_ends_the_login_that_was_made_inside(codex: CodexScene) -> None:
    content = codex.log_in_outside()
    log_in(codex)
    out = codex.stage.run("codex", ("codex", "logout"))
    assert "Resource busy" in out.stderr  # the file stays until the run ends
    assert [each["token_type_hint"] for each in codex.chatgpt.ended] == ["refresh_token"]
    assert "Not logged in" in status(codex).stderr
    assert (codex.stage.home / OUTSIDE).read_text() == content
    assert codex.stage.files_with(CANARY) == {OUTSIDE}


def test_a_login_made_inside_is_forgotten_and_ended_from_outside(codex: CodexScene) -> None:
    log_in(codex)
    out = codex.stage.person([*NONO, "credential", "logout", "codex"])
    assert "has ended it" in out.stdout, out.stdout + out.stderr
    assert codex.chatgpt.tokens.refresh == set()
    assert codex.stage.files_with(CANARY) == set()
    assert "Not logged in" in status(codex).stderr


def test_an_imported_login_is_neither_replaced_nor_ended_inside(codex: CodexScene) -> None:
    log_in(codex)
    content = codex.log_in_outside()
    codex.stage.nono("credential", "import", "codex")
    with codex.stage.on_screen((*INSIDE, "codex", "login")) as terminal:
        follow(terminal)
        terminal.wait_for("nono credential logout codex")
        assert terminal.end() != 0
    assert codex.stage.run("codex", ("codex", "logout")).exit_code != 0
    assert codex.chatgpt.ended == []
    assert codex.chatgpt.seen.count("POST /oauth/token") == 1
    assert codex.stage.run("codex", CODEX).exit_code == 0
    assert (codex.stage.home / OUTSIDE).read_text() == content


def test_codex_outside_takes_a_place_that_is_only_held_for_a_run(codex: CodexScene) -> None:
    script = "echo > ready; while [ ! -e go ]; do sleep 0.05; done; codex login status"
    with codex.stage.on_screen((*INSIDE, "sh", "-c", script)) as terminal:
        while not (codex.stage.project / "ready").exists():
            terminal.settle(0.1)
        assert "Not logged in" in codex.stage.person(["codex", "login", "status"]).stderr
        saved = codex.stage.person(["codex", "login", "--with-api-key"], stdin="sk-outside")
        assert saved.returncode == 0, saved.stderr
        (codex.stage.project / "go").touch()
        terminal.wait_for("Not logged in")
    assert "sk-outside" in (codex.stage.home / OUTSIDE).read_text()
    assert "sk-outside" not in terminal.shown
