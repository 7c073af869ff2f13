"""What a command finds of its caller's secrets in the environment it is given."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from support.nono_run import NONO, Ended, NonoRun

SELF = f"--read={Path(__file__).parents[2]}"  # the command runs nono itself
BLOCKED: Mapping[str, object] = {"network": {"block": True}}
# A shell as people have it. None of these is a key of anybody.
SHELL = {
    "ANTHROPIC_API_KEY": "canary-anthropic",
    "GITHUB_TOKEN": "canary-github",
    "NPM_TOKEN": "canary-npm",
    "HF_TOKEN": "canary-hf",
    "SLACK_BOT_TOKEN": "canary-slack",
    "MY_PASSWORD": "canary-password",
    "DATABASE_URL": "postgres://me:canary-database@db.example/app",
    "INNOCENT": "hf_" + "canary4711" * 4,
    "SSH_AUTH_SOCK": "/run/canary-agent",
}
HARMLESS = {
    "TOKENIZERS_PARALLELISM": "false",
    "PUBLIC_KEY": "x",
    "LANG": "C.UTF-8",
    "PLAIN_URL": "https://a.example/b",
}


def variables(ended: Ended) -> dict[str, str]:
    pairs = [line.partition("=") for line in ended.stdout.splitlines()]
    return {name: value for name, _, value in pairs}


def withheld(ended: Ended) -> dict[str, str]:
    """The variables that the audit log says were withheld, each with the rule."""
    events = [event for event in ended.events if event["type"] == "variables_withheld"]
    return {each["name"]: each["rule"] for event in events for each in event["variables"]}


def test_the_secrets_of_the_callers_shell_stay_outside(sandbox: NonoRun) -> None:
    shell = {**SHELL, **HARMLESS}
    assert shell.items() <= variables(sandbox.bare(["env"], environment=shell)).items()
    ended = sandbox.run(["env"], environment=shell, profile=BLOCKED)
    assert variables(ended).items() >= HARMLESS.items()
    assert "canary" not in ended.stdout
    assert SHELL.keys() <= withheld(ended).keys()
    assert "canary" not in ended.stderr + json.dumps(ended.events)


def test_a_secret_that_is_named_is_passed_on(sandbox: NonoRun) -> None:
    inside = variables(sandbox.run(["env"], environment=SHELL, profile=BLOCKED, flags=["--env=NPM_TOKEN"]))
    assert {name: inside.get(name) for name in SHELL} == {
        name: value if name == "NPM_TOKEN" else None for name, value in SHELL.items()
    }


def test_a_command_is_told_which_variables_were_withheld(sandbox: NonoRun) -> None:
    def told(name: str) -> tuple[Any, Any]:
        command = [*NONO, "why", "--self", "--json", "--env", name]
        ended = sandbox.run(command, environment={**SHELL, **HARMLESS}, profile=BLOCKED, flags=[SELF])
        answer = ended.outcomes()
        return answer["status"], answer["reason"]

    assert told("NPM_TOKEN") == ("denied", "secret_name")
    assert told("PLAIN_URL") == ("allowed", "inherited")
