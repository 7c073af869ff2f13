"""Between two turns of an agent stands a mark: what each turn changed is shown, and undone from there on."""

from __future__ import annotations

import json
import os
import random
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from support.clients.intercepted import Intercepted, stage_of
from support.nono_run import NONO, Ended
from support.servers.http1 import Gone, Received, upstream
from support.sessions.records import records

ANSWER = json.dumps({"model": "m-1", "usage": {"input_tokens": 7, "output_tokens": 1}}).encode()
TOOLS = [{"name": "Bash"}]
FIRST = {"role": "user", "content": "Do the work"}
RESULT = [{"role": "assistant", "content": "x"}, {"role": "user", "content": [{"type": "tool_result"}]}]
SECOND = [*RESULT, {"role": "assistant", "content": "done"}, {"role": "user", "content": "More"}]
THIRD = [*SECOND, {"role": "assistant", "content": "done"}, {"role": "user", "content": "And more"}]
ASK = 'ask() { curl -sS "$URL/v1/messages" -H "Authorization: Bearer $TOKEN" --data @../"$1" > /dev/null; }\n'
# An agent of three turns. A process of the second writes on until the third has begun.
AGENT = """
ask first; echo one > one; ln one alias; mkdir sub; echo deep > sub/deep; ask result; rm -f old
ask second; echo two >> alias; mkfifo ready; (echo left > background; : > ready) & cat ready; rm ready
ask third; echo three > three; mv sub moved
"""


def answer(request: Received) -> None:
    request.read_body()
    request.connection.respond(body=ANSWER, fields=[("Content-Type", "application/json")])


@dataclass
class Scene:
    """A project with a file `old`, and what the agent asks beside it."""

    service: Intercepted
    asked: Sequence[Path]

    @property
    def project(self) -> Path:
        return self.service.stage.project

    def run(self, agent: str) -> Ended:
        flags = ["--rollback", *(f"--read-file={path}" for path in self.asked)]
        argv = ("env", f"URL={self.service.origin}", "bash", "-euc", ASK + agent)
        return self.service.run(argv, flags=flags)

    def rollback(self, *arguments: str) -> Ended:
        return self.service.stage.runner.bare([*NONO, "rollback", *arguments])


@contextmanager
def staged(handler: Callable[[Received], None]) -> Iterator[Scene]:
    with (
        stage_of("ordinary user") as stage,
        upstream(handler, stage.authority.server_context("localhost")) as server,
    ):
        asked = list[Path]()
        for name, more in {"first": [], "result": RESULT, "second": SECOND, "third": THIRD}.items():
            said = {"model": "m-1", "messages": [FIRST, *more], "tools": TOOLS}
            asked.append(stage.project.parent / name)
            asked[-1].write_text(json.dumps(said))
            stage.runner.give(asked[-1])
        (stage.project / "old").write_text("old\n")
        stage.runner.give(stage.project / "old")
        yield Scene(Intercepted(stage, server, "demo", "TOKEN"), asked)


@pytest.fixture(scope="module")
def scene() -> Iterator[Scene]:
    with staged(answer) as scene:
        yield scene


@pytest.fixture(scope="module")
def run(scene: Scene) -> Ended:
    return scene.run(AGENT)


@pytest.fixture(autouse=True)
def after_the_run(run: Ended) -> None:
    assert run.exit_code == 0, run.stderr


def events(run: Ended, kind: str) -> list[dict[str, Any]]:
    return [event for event in run.events if event["type"] == kind]


def test_a_mark_is_taken_before_each_turn(run: Ended) -> None:
    began, marked = events(run, "turn_began"), events(run, "turn_marked")
    assert [event["turn"] for event in began] == [1, 2, 3]
    assert [(event["turn"], event["snapshot"]) for event in marked] == [(1, 1), (2, 2), (3, 3)]


def test_each_turn_is_listed_with_its_files(scene: Scene) -> None:
    shown = json.loads(scene.rollback("show", "latest", "--json").stdout)
    taken = {each["label"] or each["kind"]: each["changes"] for each in shown["snapshots"]}
    names = {
        label: sorted((Path(each["path"]).name, each["type"]) for each in changes)
        for label, changes in taken.items()
    }
    assert names["before turn 2"] == [
        ("alias", "created"),
        ("deep", "created"),
        ("old", "deleted"),
        ("one", "created"),
        ("sub", "created"),
    ]
    assert names["before turn 3"] == [("alias", "modified"), ("background", "created"), ("one", "modified")]
    assert {name for name, _ in names["end"]} == {"deep", "moved", "sub", "three"}
    text = scene.rollback("show", "latest").stdout
    assert "with what changed since the one above it:\n  000  before the run" in text
    assert "before turn 3" in text
    assert "background" in text


def test_a_turn_that_was_not_seen_is_refused_by_name(scene: Scene) -> None:
    refused = scene.rollback("restore", "latest", "--before-turn", "9")
    assert refused.exit_code == 1
    assert "no snapshot was taken before turn 9" in refused.stderr


def test_a_restore_goes_back_to_before_a_turn(scene: Scene) -> None:
    restored = scene.rollback("restore", "latest", "--before-turn", "3")
    assert restored.exit_code == 0, restored.stdout + restored.stderr
    assert (scene.project / "one").read_text() == "one\ntwo\n"
    assert (scene.project / "sub/deep").read_text() == "deep\n"
    found = {path.name for path in scene.project.iterdir()} - {"environment"}
    assert found == {"one", "alias", "sub", "background"}
    restored = scene.rollback("restore", "latest", "--before-turn", "2")
    assert restored.exit_code == 0, restored.stdout + restored.stderr
    assert (scene.project / "one").read_text() == "one\n"
    assert not (scene.project / "background").exists()
    assert scene.rollback("verify", "latest").exit_code == 0


KILLS = 100 if os.environ.get("NONO_TEST_LONG") else 1
WRITER = """
ask first; head -c 2700000 /dev/urandom | split -b 9000 - n; echo new > old
ask second; echo never > never
"""


def test_a_kill_during_a_mark_loses_nothing_from_before_the_run() -> None:
    during = list[bool]()

    def kill(request: Received) -> None:
        """Let the first turn be, and kill nono while the mark before the second is taken."""
        if len(killed.service.requests) % 2:
            answer(request)
            return
        time.sleep(random.uniform(0, 0.06))
        during.append(not request.body_complete)
        with suppress(ProcessLookupError):
            os.kill(records(killed.service.stage.runner.user)[0]["supervisor_pid"], signal.SIGKILL)
        with suppress(Gone):
            request.read_body()

    with staged(kill) as killed:
        for _ in range(KILLS):
            with suppress(AssertionError):  # the run ended before it could be asked about
                killed.run(WRITER)
            verified = killed.rollback("verify", "latest")
            assert verified.exit_code == 0, verified.stdout + verified.stderr
            restored = killed.rollback("restore", "latest", "--force")
            assert restored.exit_code == 0, restored.stdout + restored.stderr
            assert (killed.project / "old").read_text() == "old\n"
            assert {path.name for path in killed.project.iterdir()} == {"old"}
    assert all(during)
