"""What a session waits for is seen and answered from any terminal of its user."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from support.elevation import asked
from support.nono_run import NONO, TIMEOUT_S, NonoRun
from support.sessions.control import ask
from support.sessions.detached import wait_until
from support.sessions.records import directory, leftovers, nono, record_of
from support.terminal import terminal

FAR = "198.51.100.1"
ASKING = (
    "import sys, urllib.request as u\n"
    "try: u.urlopen(sys.argv[1])\n"
    "except Exception as error: print(error, flush=True)\n"
    "sys.stdin.readline()\n"
)


@contextmanager
def waiting(sandbox: NonoRun, url: str = "http://new.test/") -> Iterator[subprocess.Popen[str]]:
    """Yield a session that waits until somebody was asked about a host."""
    argv = [sys.executable, "-u", "-c", ASKING, url]
    with sandbox.started(argv, flags=["--name=web", "--ask"]) as run:
        wait_until(
            lambda: (directory(sandbox.user) / f"{session_id(sandbox)}.asks").exists(), "nobody is asked"
        )
        yield run


def session_id(sandbox: NonoRun) -> str:
    return str(record_of(sandbox.user, "web")["session_id"])


def questions(sandbox: NonoRun) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(nono(sandbox, "approvals", "--json").stdout)
    return found


def decisions(sandbox: NonoRun) -> list[dict[str, Any]]:
    events = json.loads(nono(sandbox, "logs", "web", "--json").stdout)
    return [event["event"] for event in events if event["type"] == "network"]


def test_a_question_is_denied_from_another_terminal(sandbox: NonoRun) -> None:
    with waiting(sandbox) as run:
        (question,) = questions(sandbox)
        assert (question["kind"], question["what"], question["name"]) == (
            "host",
            "connect to new.test:80",
            "web",
        )
        assert re.search(r"needs you \(1, [0-9]+s\)", nono(sandbox, "ps").stdout)
        (shown,) = json.loads(nono(sandbox, "ps", "--json").stdout)
        assert (shown["state"], shown["questions"][0]["id"]) == ("needs you", question["id"])
        assert "connect to new.test:80" in nono(sandbox, "inspect", "web").stdout
        denied = nono(sandbox, "approvals", "deny", question["id"][:8])
        assert (denied.returncode, denied.stderr) == (
            0,
            f"Denied {question['id'][:8]}, connect to new.test:80.\n",
        )
        assert run.stdout is not None
        assert "was not approved: a person said no" in run.stdout.readline()
        late = nono(sandbox, "approvals", "allow", question["id"])
        assert late.returncode == 1
    requested, answered, refused = decisions(sandbox)
    assert requested["decision"] == "approve_requested"
    assert answered["decision"] == "approve_denied"
    assert answered["approval_backend"].startswith("nono approvals (pid ")
    assert f"uid {sandbox.user.uid})" in answered["approval_backend"]
    assert (refused["decision"], refused["denial_category"]) == ("deny", "host_denied")
    assert refused["approval_backend"] == answered["approval_backend"]
    assert "1 access denied." in nono(sandbox, "report", "latest").stdout


@pytest.mark.parametrize("flags", [[], ["--silent"]], ids=["told", "silent"])
def test_a_question_that_no_terminal_shows_is_told_of_once(sandbox: NonoRun, flags: list[str]) -> None:
    argv = [sys.executable, "-u", "-c", ASKING, "http://new.test/"]
    with sandbox.started(argv, flags=["--name=web", "--ask", *flags]) as run:
        wait_until(lambda: questions(sandbox) != [], "nobody is asked")
        name = questions(sandbox)[0]["id"][:8]
        assert nono(sandbox, "approvals", "deny", name).returncode == 0
        said = run.communicate("\n", timeout=TIMEOUT_S)[1]
    told = f"waits for an answer (connect to new.test:80): nono approvals allow {name}, or deny {name}\n"
    assert said.count("waits for an answer") == said.count(told) == (not flags)


def test_a_yes_lets_the_connection_go_on(sandbox: NonoRun) -> None:
    with waiting(sandbox, f"http://{FAR}:9/") as run:
        (question,) = questions(sandbox)
        assert nono(sandbox, "approvals", "allow", question["id"]).returncode == 0
        wait_until(lambda: len(decisions(sandbox)) >= 2, "nothing was answered")
        assert run.poll() is None or run.stdout is not None
    assert [each["decision"] for each in decisions(sandbox)][1] == "approve_granted"
    assert questions(sandbox) == []


def test_a_question_is_answered_for_a_time(sandbox: NonoRun) -> None:
    with waiting(sandbox, f"http://{FAR}:9/"):
        allowed = nono(sandbox, "approvals", "allow", questions(sandbox)[0]["id"], "--for", "5m")
        assert allowed.stderr.startswith(f"Allowed {FAR}:9 in session web, for 5m.\n")
        status, rules = ask(sandbox, session_id(sandbox), "GET", "/v1/rules")
        assert (status, [(rule["decision"], rule["target"]) for rule in rules]) == (
            200,
            [("allow", f"{FAR}:9")],
        )
        wait_until(lambda: len(decisions(sandbox)) >= 2, "the answer was not recorded")
    assert [each["decision"] for each in decisions(sandbox)][1] == "approve_granted"


OVERWRITING = (
    "import sys\n"
    "for path in sys.argv[1:]:\n"
    "    try: open(path, 'w').close()\n"
    "    except OSError as error: print(error.strerror, flush=True)\n"
    "    else: print('written', flush=True)\n"
)


def test_a_file_that_may_be_written_for_a_time_is_not_asked_about_again(sandbox: NonoRun) -> None:
    places = [sandbox.user.home / name for name in ("wanted", "other")]
    for each in places:
        each.write_text("content")
        sandbox.give(each)
    argv = [sys.executable, "-u", "-c", OVERWRITING, *map(str, (places[0], *places))]
    with sandbox.started(argv, profile={}, flags=["--name=web", "--capability-elevation", "--ask"]) as run:
        for action in (("allow", "--for", "5m"), ("deny",)):
            wait_until(lambda: questions(sandbox) != [], "nobody is asked")
            (question,) = questions(sandbox)
            answered = nono(sandbox, "approvals", action[0], question["id"], *action[1:])
            assert answered.returncode == 0
            assert ("for reading and writing in session web, for 5m" in answered.stderr) is (len(action) > 1)
        said = run.communicate(timeout=TIMEOUT_S)[0].splitlines()
    assert said == ["written", "written", "Operation not permitted"]


BY_A_BASE_URL = (
    "import os, sys, urllib.error, urllib.request as u\n"
    "for path in sys.argv[1:]:\n"
    "    headers = {'Authorization': 'Bearer ' + os.environ['SHOP_KEY']}\n"
    "    try: u.urlopen(u.Request(os.environ['SHOP_BASE_URL'] + path, b'', headers))\n"
    "    except urllib.error.HTTPError as error: print(error.code, flush=True)\n"
)
# Nothing listens there, so what is let through ends with 502.
SHOP = {
    "network": {
        "credentials": ["shop"],
        "custom_credentials": {
            "shop": {
                "upstream": "http://127.0.0.1:9/v1",
                "credential_key": "env://SHOP_REAL_KEY",
                "env_var": "SHOP_KEY",
                "endpoint_policy": {"default": "deny", "approve": [{"method": "POST", "path": "/v1/**"}]},
            }
        },
    }
}


def test_an_endpoint_that_is_allowed_for_a_time_is_not_asked_about_again(sandbox: NonoRun) -> None:
    argv = [sys.executable, "-u", "-c", BY_A_BASE_URL, "/pay", "/pay", "/repay"]
    key = {"SHOP_REAL_KEY": "sk-shop-0123456789abcdef"}
    with sandbox.started(argv, profile=SHOP, flags=["--name=web", "--ask"], environment=key) as run:
        for what, *answer in (("/v1/pay", "allow", "--for", "5m"), ("/v1/repay", "deny")):
            wait_until(lambda: questions(sandbox) != [], "nobody is asked")
            (question,) = questions(sandbox)
            assert question["what"] == f"POST 127.0.0.1{what} with the key of shop"
            assert nono(sandbox, "approvals", answer[0], question["id"], *answer[1:]).returncode == 0
        assert run.communicate(timeout=TIMEOUT_S)[0].split() == ["502", "502", "403"]
    asked_about = [each["path"] for each in decisions(sandbox) if each["decision"] == "approve_requested"]
    assert asked_about == ["/shop/pay", "/shop/repay"]


def test_the_questions_are_answered_one_after_another_at_a_terminal(sandbox: NonoRun) -> None:
    with waiting(sandbox) as run:
        argv = sandbox.user.command([*NONO, "approvals", "answer"])
        with terminal(argv, sandbox.user.environment({}), sandbox.project) as person:
            person.answer(b"[Enter] later: ", b"n\r")
            person.wait_for(b"connect to new.test:80.")
            assert person.end() == 0
        assert b"no rule of this run allows the host" in person.shown
        assert run.stdout is not None
        assert "was not approved: a person said no" in run.stdout.readline()


def test_who_answers_second_is_told_of_the_first(sandbox: NonoRun) -> None:
    with waiting(sandbox):
        path = f"/v1/approvals/{questions(sandbox)[0]['id']}"
        first = ask(sandbox, session_id(sandbox), "POST", path, {"answer": "deny"})
        second = ask(sandbox, session_id(sandbox), "POST", path, {"answer": "allow"})
    assert (first[0], first[1]["outcome"]) == (200, "denied")
    assert (second[0], second[1]["outcome"], second[1]["by"]) == (409, "denied", first[1]["by"])


@pytest.mark.parametrize("body", [{"answer": "yes"}, {}, [], None, "allow"], ids=repr)
def test_what_is_no_answer_answers_nothing(body: object, sandbox: NonoRun) -> None:
    with waiting(sandbox):
        path = f"/v1/approvals/{questions(sandbox)[0]['id']}"
        assert ask(sandbox, session_id(sandbox), "POST", path, body)[0] == 400
        assert len(questions(sandbox)) == 1


def test_who_is_asked_on_a_terminal_is_told_of_an_answer_from_elsewhere(sandbox: NonoRun) -> None:
    wanted = sandbox.user.home / "wanted"
    wanted.write_text("its content")
    sandbox.give(wanted)
    with asked(sandbox, ["cat", str(wanted)]) as run:
        run.wait_for_question()
        assert f"\x1b]9;nono needs you: read {wanted}\x1b\\".encode() in run.person.shown
        (question,) = questions(sandbox)
        assert question["what"] == f"read {wanted}"
        assert nono(sandbox, "approvals", "allow", question["id"]).returncode == 0
        run.person.wait_for(b"[nono] Access granted. Answered by nono approvals (pid ")
        run.person.wait_for(b"its content")
        assert run.end() == 0
    assert run.decisions == ["Requested", "Granted"]
    assert run.entries[-1]["backend"].startswith("nono approvals (pid ")


def test_a_killed_session_leaves_no_question_behind(sandbox: NonoRun) -> None:
    with waiting(sandbox) as run:
        run.kill()
        run.wait(TIMEOUT_S)
    assert questions(sandbox) == []
    assert [name for name in leftovers(sandbox.user) if name.endswith(".asks")] == []


def test_without_the_flag_nobody_is_asked(sandbox: NonoRun) -> None:
    began = time.monotonic()
    ended = sandbox.run([sys.executable, "-c", ASKING, "http://new.test/"])
    assert "not in the allowlist" in ended.stdout
    assert time.monotonic() - began < 30
    assert [each["decision"] for each in ended.network] == ["deny"]


def test_asking_needs_a_network(sandbox: NonoRun) -> None:
    ended = sandbox.run(["true"], profile={}, flags=["--ask", "--block-net"])
    assert ended.exit_code == 1
    assert "--ask is for a run with a proxy" in ended.stderr
