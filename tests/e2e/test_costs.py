"""Beyond what a service may cost a person is asked, and silence is a no."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from support.nono_run import TIMEOUT_S, NonoRun
from support.servers.http1 import HttpUpstream, Received, upstream
from support.sessions.detached import wait_until
from support.sessions.records import nono

KEY = "canary-of-the-real-key"
ASKS = """
for each in 1 2 3; do
    curl -s -o answer -w "%{http_code} " -d "{}" -H "Authorization: Bearer $OWN_KEY" $OWN_BASE_URL/v1/messages
done
cat answer
"""
# 15 cents at the list price of three dollars for a million tokens.
ANSWER = {"model": "claude-sonnet-4-5-20250929", "usage": {"input_tokens": 50_000, "output_tokens": 0}}


def answer(request: Received) -> None:
    request.read_body()
    fields = [("Content-Type", "application/json")]
    request.connection.respond(body=json.dumps(ANSWER).encode(), fields=fields)


@pytest.fixture
def model() -> Iterator[HttpUpstream]:
    with upstream(answer) as model:
        yield model


@contextmanager
def asking(sandbox: NonoRun, model: HttpUpstream, *flags: str) -> Iterator[subprocess.Popen[str]]:
    service = {
        "upstream": f"http://127.0.0.1:{model.port}",
        "credential_key": "env://REAL",
        "env_var": "OWN_KEY",
    }
    network = {"credentials": ["own"], "custom_credentials": {"own": service}}
    with sandbox.started(
        ["sh", "-c", ASKS],
        profile={"network": network},
        flags=["--name=costs", *flags],
        environment={"REAL": KEY},
    ) as run:
        yield run


def question(sandbox: NonoRun) -> dict[str, Any]:
    found: list[dict[str, Any]] = []

    def is_asked() -> bool:
        found[:] = json.loads(nono(sandbox, "approvals", "--json").stdout)
        return bool(found)

    wait_until(is_asked, "nobody is asked")
    return found[0]


@pytest.mark.parametrize("yes", [True, False], ids=["allowed", "denied"])
def test_a_person_is_asked_once_a_service_has_cost_its_limit(
    yes: bool, sandbox: NonoRun, model: HttpUpstream
) -> None:
    with asking(sandbox, model, "--max-cost=own=0.30") as run:
        asked = question(sandbox)
        assert asked["kind"] == "limit"
        assert "the limit of $0.30 is reached (about $0.30 at list prices)" in asked["what"]
        assert len(model.requests) == 2
        assert nono(sandbox, "approvals", "allow" if yes else "deny", asked["id"]).returncode == 0
        said, told = run.communicate(timeout=TIMEOUT_S)
    assert "ask  beyond $0.30 of own, " in told
    assert len(model.requests) == (3 if yes else 2)
    assert said.startswith("200 200 200 " if yes else "200 200 429 "), told
    if not yes:
        assert "the limit of $0.30 is reached" in said
    events = json.loads(nono(sandbox, "logs", "costs", "--json").stdout)
    decisions = [each["event"]["decision"] for each in events if each["type"] == "network"]
    assert ("approve_granted" in decisions, "deny" in decisions) == (yes, not yes)


def test_below_its_limit_nobody_is_asked(sandbox: NonoRun, model: HttpUpstream) -> None:
    with asking(sandbox, model, "--max-cost=own=$0.50") as run:
        said, told = run.communicate(timeout=TIMEOUT_S)
    assert said.startswith("200 200 200 "), told


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ("other=5", "--max-cost: service 'other' not found in active credentials (own)"),
        ("own", "--max-cost 'own': expected SERVICE=USD"),
        ("own=-1", "--max-cost 'own=-1': expected SERVICE=USD"),
        ("own=1e9", "--max-cost 'own=1e9': expected SERVICE=USD"),
    ],
)
def test_a_limit_of_nothing_that_is_used_or_no_amount_is_refused(
    given: str, words: str, sandbox: NonoRun, model: HttpUpstream
) -> None:
    with asking(sandbox, model, f"--max-cost={given}") as run:
        _, told = run.communicate(timeout=TIMEOUT_S)
    assert words in told
    assert run.returncode != 0
    assert model.requests == []


def test_a_limit_without_a_service_is_refused(sandbox: NonoRun) -> None:
    ended = sandbox.run(["true"], flags=["--max-cost=anthropic=5"])
    assert ended.exit_code != 0
    assert "--max-cost limits a credential service, and none is asked for" in ended.stderr
