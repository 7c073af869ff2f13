"""Between two turns of an agent stands a mark: what each turn changed is shown, and undone from there on."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from support.clients.intercepted import Intercepted, stage_of
from support.nono_run import NONO, Ended
from support.servers.http1 import Received, upstream

ANSWER = json.dumps({"model": "m-1", "usage": {"input_tokens": 7, "output_tokens": 1}}).encode()
TOOLS = [{"name": "Bash"}]
FIRST = {"role": "user", "content": "Do the work"}
RESULT = [{"role": "assistant", "content": "x"}, {"role": "user", "content": [{"type": "tool_result"}]}]
SECOND = [*RESULT, {"role": "assistant", "content": "done"}, {"role": "user", "content": "More"}]
THIRD = [*SECOND, {"role": "assistant", "content": "done"}, {"role": "user", "content": "And more"}]
ASK = 'ask() { curl -sS "$URL/v1/messages" -H "Authorization: Bearer $TOKEN" --data @../"$1" > /dev/null; }'
# An agent of three turns. A process of the second writes on until the third has begun.
AGENT = f"""
{ASK}
ask first; echo one > one; ln one alias; mkdir sub; echo deep > sub/deep; ask result; rm -f old
ask second; echo two >> alias; mkfifo ready; (echo left > background; : > ready) & cat ready; rm ready
ask third; echo three > three; mv sub moved
"""


def answer(request: Received) -> None:
    request.read_body()
    request.connection.respond(body=ANSWER, fields=[("Content-Type", "application/json")])


@dataclass
class Scene:
    service: Intercepted
    run: Ended

    @property
    def project(self) -> Path:
        return self.service.stage.project

    def rollback(self, *arguments: str) -> Ended:
        return self.service.stage.runner.bare([*NONO, "rollback", *arguments])

    def events(self, kind: str) -> list[dict[str, Any]]:
        return [event for event in self.run.events if event["type"] == kind]


@pytest.fixture(scope="module")
def scene() -> Iterator[Scene]:
    with (
        stage_of("ordinary user") as stage,
        upstream(answer, stage.authority.server_context("localhost")) as server,
    ):
        service = Intercepted(stage, server, "demo", "TOKEN")
        for name, more in {"first": [], "result": RESULT, "second": SECOND, "third": THIRD}.items():
            said = {"model": "m-1", "messages": [FIRST, *more], "tools": TOOLS}
            (stage.project.parent / name).write_text(json.dumps(said))
            stage.runner.give(stage.project.parent / name)
        (stage.project / "old").write_text("old\n")
        stage.runner.give(stage.project / "old")
        flags = [
            "--rollback",
            *(
                f"--read-file={stage.project.parent / name}"
                for name in ("first", "result", "second", "third")
            ),
        ]
        argv = ("env", f"URL={service.origin}", "bash", "-euc", AGENT)
        yield Scene(service, service.run(argv, flags=flags))


def test_a_mark_is_taken_before_each_turn(scene: Scene) -> None:
    assert scene.run.exit_code == 0, scene.run.stderr
    began, marked = scene.events("turn_began"), scene.events("turn_marked")
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
