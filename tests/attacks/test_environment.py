"""What a command finds of its caller's secrets in the environment it is given."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from support.nono_run import NONO, SANDBOX_POLICIES, Ended, NonoRun

pytestmark = pytest.mark.any_user

KEY = "canary/of+the route 4711"  # no name, shape or prefix gives it away
SELF = f"--read={Path(__file__).parents[2]}"  # the command runs nono itself
BLOCKED: Mapping[str, object] = {"network": {"block": True}}
ROUTE: Mapping[str, object] = {
    "network": {
        "credentials": ["svc"],
        "custom_credentials": {
            "svc": {
                "upstream": "https://svc.example",
                "credential_key": "env://SVC_KEY",
                "env_var": "SVC_KEY",
            }
        },
    }
}
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
    """Map each variable that the audit log lists as withheld to the rule."""
    events = [event for event in ended.events if event["type"] == "variables_withheld"]
    return {each["name"]: each["rule"] for event in events for each in event["variables"]}


SPELLINGS = {
    "under a second name": KEY,
    "as the password of a URL": f"https://user:{quote(KEY, safe='')}@host.example/",
    "in the path of a URL": f"https://host.example/hook/{quote(KEY, safe='')}",
    "in base64": b64encode(f"user:{KEY}".encode()).decode(),
    "in JSON": json.dumps({"key": KEY}),
    "in hex": KEY.encode().hex(),
}


@pytest.mark.parametrize("policy", SANDBOX_POLICIES)
@pytest.mark.parametrize("value", SPELLINGS.values(), ids=SPELLINGS)
def test_no_variable_holds_the_key_of_a_route(sandbox: NonoRun, value: str, policy: str) -> None:
    environment = {"SVC_KEY": KEY, "SECOND": value, "NEIGHBOUR": value[:7]}
    assert variables(sandbox.bare(["env"], environment=environment))["SECOND"] == value
    flags = (f"--sandbox-policy={policy}", "-v")
    ended = sandbox.run(["env"], environment=environment, profile=ROUTE, flags=flags)
    inside = variables(ended)
    assert (ended.exit_code, inside["NEIGHBOUR"], inside.get("SECOND")) == (0, value[:7], None), ended.stderr
    assert inside["SVC_KEY"].startswith("nono_")
    assert withheld(ended)["SECOND"] in ("loaded_key", "secret_value")
    assert "SECOND" in ended.stderr
    assert KEY not in ended.stderr + json.dumps(ended.events)


@pytest.mark.parametrize(
    "flags", [("--env=SECOND",), (f"--env=SECOND={KEY}",)], ids=["passed on", "set"]
)  # fmt: skip
def test_no_option_hands_over_the_key_of_a_route(sandbox: NonoRun, flags: tuple[str, ...]) -> None:
    environment = {"SVC_KEY": KEY, "SECOND": KEY}
    ended = sandbox.run(["env"], environment=environment, profile=ROUTE, flags=(*flags, "--env=OTHER=x"))
    assert (variables(ended)["OTHER"], KEY in ended.stdout) == ("x", False), ended.stderr
    assert withheld(ended)["SECOND"] == "loaded_key"


def test_no_credential_is_handed_out_that_a_route_keeps(sandbox: NonoRun) -> None:
    def run(source: str) -> Ended:
        flags = (f"--env-credential=env://{source}=COPY",)
        environment = {"SVC_KEY": KEY, "SECOND": KEY, "OTHER": "another key"}
        return sandbox.run(["env"], environment=environment, profile=ROUTE, flags=flags)

    assert variables(run("OTHER"))["COPY"] == "another key"
    refused = run("SECOND")
    assert (refused.exit_code, refused.stdout) == (1, "")
    assert "COPY" in refused.stderr


@pytest.mark.parametrize("way", ["file", "directory"])
def test_no_later_run_is_handed_the_file_that_a_link_of_the_command_leads_to(
    sandbox: NonoRun, way: str
) -> None:
    secret = sandbox.make(sandbox.user.home / f"linked-{way}") / "key"
    kept = sandbox.make(sandbox.user.home / f"kept-{way}") / "key"
    planted = sandbox.make(sandbox.project / way) / "key"
    for path in (secret, kept, planted):
        path.write_text("of nobody" if path != secret else "canary-4711")
        path.chmod(0o600)
        sandbox.give(path)
    laid = {
        "file": "ln -sf ~/linked-file/key file/key",
        "directory": "rm -r directory && ln -s ~/linked-directory directory",
    }
    assert sandbox.run(["sh", "-ec", laid[way]], flags=["--allow=."]).exit_code == 0
    assert planted.read_text() == "canary-4711"

    def handed(path: Path) -> Ended:
        return sandbox.run(["env"], flags=["--allow=.", f"--env-credential=file://{path}=COPY"])

    assert variables(handed(kept))["COPY"] == "of nobody"
    refused = handed(planted)
    assert (refused.exit_code, refused.stdout) == (1, "")
    assert "COPY from a file in" in refused.stderr
    assert "which the command may write" in refused.stderr


def test_no_key_is_asked_for_at_a_bus_that_may_be_the_commands(sandbox: NonoRun) -> None:
    def ended(bus: Path, key: str) -> Ended:
        environment = {"DBUS_SESSION_BUS_ADDRESS": f"unix:path={bus}", "OTHER": "x"}
        flags = ["--allow=.", "--env-credential-map", key, "COPY"]
        return sandbox.run(["true"], environment=environment, flags=flags)

    inside, elsewhere = sandbox.project / "bus", sandbox.user.home / "bus"
    refused = ended(inside, "keyring://service/me")
    assert (refused.exit_code, "it could get the keys" in refused.stderr) == (1, True), refused.stderr
    asked = ended(elsewhere, "keyring://service/me")
    assert "no system keyring answers here" in asked.stderr, asked.stderr
    warned, silent = ended(inside, "env://OTHER"), ended(elsewhere, "env://OTHER")
    assert (warned.exit_code, silent.exit_code) == (0, 0), warned.stderr
    assert "it could listen there in place of the bus" in warned.stderr
    assert "in place of the bus" not in silent.stderr


def test_a_key_on_the_command_line_is_warned_about(sandbox: NonoRun) -> None:
    def warnings(argument: str) -> list[str]:
        ended = sandbox.run(["true", argument], environment={"SVC_KEY": KEY}, profile=ROUTE)
        return [line for line in ended.stderr.splitlines() if "command line" in line and "'svc'" in line]

    assert warnings("harmless") == []
    (said,) = warnings(f"--header={KEY}")
    assert KEY not in said


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
