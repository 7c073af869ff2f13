"""What a run with a credential leaves for the person: a recording, a sum of tokens, an alarm."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from support.clients.intercepted import KEY, KEY_SOURCE, Intercepted, stage_of
from support.nono_run import NONO, Ended
from support.servers.http1 import HttpUpstream, Received, upstream

CHAT = {
    "model": "gpt-4o-2024-08-06",
    "choices": [],
    "usage": {"prompt_tokens": 1200, "completion_tokens": 34, "total_tokens": 1234},
}
TOKEN = "ghp_c4n4ryC4N4RYc4n4ryC4N4RYc4n4ryC4N4RY"
ASK = 'curl -sS "$URL" -H "Authorization: Bearer $TOKEN" --data "{}"'


def answer(request: Received) -> None:
    request.read_body()
    if request.target.endswith(b"/echo"):
        request.connection.respond(body=(request.value(b"authorization") or b"nothing"))
    elif request.target.endswith(b"/closed"):
        request.connection.respond(401, reason="Unauthorized")
    else:
        request.connection.respond(body=json.dumps(CHAT).encode())


@pytest.fixture
def service() -> Iterator[Intercepted]:
    with (
        stage_of("ordinary user") as stage,
        upstream(answer, stage.authority.server_context("localhost")) as server,
    ):
        yield Intercepted(stage, server, "demo", "TOKEN")


def ask(service: Intercepted, path: str, *flags: str, times: int = 1, **more: Any) -> Ended:
    script = "; ".join([ASK] * times)
    argv = ("env", f"URL={service.origin}{path}", "sh", "-c", script)
    return service.run(argv, flags=flags, **more)


def requests_of(service: Intercepted) -> int:
    assert isinstance(service.server, HttpUpstream)
    return len(service.server.requests)


def test_a_recording_for_mitmdump_holds_neither_key_nor_phantom(service: Intercepted, tmp_path: Path) -> None:
    flows = service.stage.project / "flows"
    run = ask(service, "/v1/chat/completions", f"--record-flows={flows}")
    assert run.exit_code == 0
    mitmdump = Path(sys.executable).with_name("mitmdump")
    argv = [str(mitmdump), "--set", f"confdir={tmp_path}", "--set", "flow_detail=3", "-nr", str(flows)]
    shown = subprocess.run(argv, capture_output=True, text=True, check=True).stdout
    assert "/v1/chat/completions" in shown
    assert "gpt-4o" in shown
    phantom = (service.stage.project / "environment").read_text().partition("\nTOKEN=")[2].partition("\n")[0]
    recorded = flows.read_bytes()
    assert KEY.encode() not in recorded
    assert phantom.encode() not in recorded
    assert flows.stat().st_mode & 0o777 == 0o600


def test_a_recording_never_overwrites_a_file(service: Intercepted) -> None:
    flows = service.stage.project / "flows"
    flows.write_text("mine")
    service.stage.runner.give(flows)
    run = service.stage.runner.run(
        ["true"], profile={"network": {"allow_domain": []}}, flags=[f"--record-flows={flows}"]
    )
    assert run.exit_code == 1
    assert "cannot be made: File exists" in run.stderr
    assert flows.read_text() == "mine"


def test_a_run_ends_with_a_sum_of_its_recorded_tokens(service: Intercepted) -> None:
    run = ask(service, "/v1/chat/completions", times=2)
    assert "demo gpt-4o-2024-08-06 · 2.4 k in · 68 out" in run.stderr
    counted = [event for event in run.events if event["type"] == "model_usage"]
    assert [(event["input_tokens"], event["output_tokens"]) for event in counted] == [(1200, 34), (1200, 34)]


def test_a_run_ends_with_the_sum_of_its_requests(service: Intercepted) -> None:
    run = ask(service, "/v1/chat/completions", times=2)
    report = run.stderr[run.stderr.index("\nnono: exit 0 · ") :].splitlines()
    assert report[2].split() == ["requests", "2", "localhost"]
    assert report[-1].split()[:3] == ["log", "nono", "logs"]


DOUBT = f"localhost answered 401: is the key in {KEY_SOURCE} valid?"


def test_a_run_whose_key_was_refused_ends_with_the_question_where_the_key_came_from(
    service: Intercepted,
) -> None:
    assert DOUBT in ask(service, "/v1/closed").stderr
    assert "answered 401" not in ask(service, "/v1/chat/completions").stderr


def test_a_stored_key_that_was_refused_is_doubted_with_the_way_to_store_another(service: Intercepted) -> None:
    service.stage.runner.user.run([*NONO, "credential", "set", "demo_key"], stdin=KEY)
    told = ask(service, "/v1/closed", credential_key="demo_key").stderr
    assert "is the key of 'demo' valid? nono credential set demo_key stores another" in " ".join(told.split())


def test_a_placeholder_that_nono_refuses_says_nothing_of_the_key(service: Intercepted) -> None:
    argv = (
        "sh",
        "-c",
        f'curl -sS -w "%{{http_code}}" {service.origin}/v1/x -H "Authorization: Bearer other"',
    )
    run = service.run(argv)
    assert run.stdout.endswith("401")
    assert "answered 401" not in run.stderr


def test_a_silent_run_ends_without_a_report(service: Intercepted) -> None:
    assert ask(service, "/v1/chat/completions", "--silent").stderr == ""


def test_a_limit_of_tokens_ends_the_use_of_a_key(service: Intercepted) -> None:
    run = ask(service, "/v1/chat/completions", times=3, limits={"input_tokens": 2000})
    assert requests_of(service) == 2
    assert "the limit of 2,000 input tokens is reached (2,400 used)" in run.stdout


def test_a_key_that_comes_back_is_not_used_again(service: Intercepted) -> None:
    run = ask(service, "/v1/echo", times=2)
    assert "*" * len(KEY) in run.stdout
    assert requests_of(service) == 1
    assert "the credential of 'demo' is frozen for the rest of this session" in run.stderr
    assert [event["service"] for event in run.events if event["type"] == "credential_frozen"] == ["demo"]


@pytest.mark.parametrize("key", [KEY, TOKEN], ids=["another service's", "the service's own"])
def test_a_token_on_the_command_line_is_warned_about_once(service: Intercepted, key: str) -> None:
    service = replace(service, key=key)
    warned = service.run(("true", TOKEN)).stderr
    assert warned.count("can read it there") == 1
    assert "argument 5 of the command looks like a key" in warned  # four words are put before the command
    assert "the command and other processes" in " ".join(warned.split())
    assert TOKEN not in warned
    assert "can read it there" not in service.run(("true", TOKEN[:12])).stderr


def test_a_token_on_the_command_line_is_warned_about_without_a_service_as_well(service: Intercepted) -> None:
    run = service.stage.runner.run(("true", TOKEN))
    assert "argument 1 of the command looks like a key" in run.stderr
    assert "looks like a key" not in service.stage.runner.run(("true", TOKEN[:12])).stderr


def test_the_key_of_a_service_on_the_command_line_is_warned_about(service: Intercepted) -> None:
    warned = service.run(("true", f"--key={KEY}")).stderr
    assert "the command line holds the key of 'demo'" in " ".join(warned.split())
    assert "can read it there" not in service.run(("true", f"--key={KEY[:-1]}")).stderr
