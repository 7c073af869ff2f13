"""What --json prints has the shape that is documented, for every command that has it."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import jsonschema
import pytest

from nono.cli.command_table import offered_parsers
from nono.cli.help.json_page import json_page
from nono.cli.help.page_of import subparsers_of
from nono.cli.shapes.table import SHAPES
from nono.trust.policy import PREDICATE
from support.documents.json_shapes import SHAPE_OF, check_shape
from support.nono_run import TIMEOUT_S, NonoRun, nono_run
from support.sessions.detached import wait_until
from support.sessions.records import directory, record_of

ASK = "import urllib.request as u; u.urlopen('http://new.test/')"
CHANGE = """
import pathlib, urllib.request as u
pathlib.Path("README").write_text("mine")
pathlib.Path("sub").mkdir()
try: u.urlopen("http://evil.test/")
except OSError: raise SystemExit(7)
"""
POLICY = json.dumps({"predicate": PREDICATE, "includes": ["CLAUDE.md"]})
# By shape: the words after `nono`; several where the shape has variants.
ASKED: dict[str, list[list[str]]] = {
    "ps --json": [["ps", "--all", "--json"]],
    "inspect SESSION --json": [["inspect", "web", "--json"], ["inspect", "past", "--json"]],
    "logs SESSION --json": [["logs", "web", "--json"], ["logs", "past", "--json", "--tail", "2"]],
    "approvals --json": [["approvals", "--json"]],
    "report SESSION --json": [["report", "past", "--json"]],
    "report --last PERIOD --json": [["report", "--last", "1h", "--json"]],
    "replay --json": [["replay", "past", "--profile", "default", "--block-net", "--json"]],
    "audit list --json": [["audit", "list", "--json"]],
    "audit show SESSION --json": [["audit", "show", "past", "--json"], ["audit", "show", "web", "--json"]],
    "audit verify SESSION --json": [["audit", "verify", "past", "--json"]],
    "audit status --json": [["audit", "status", "--json"]],
    "audit sync --json": [["audit", "sync", "--json"]],
    "rollback list --json": [["rollback", "list", "--all", "--json"]],
    "rollback show SESSION --json": [["rollback", "show", "past", "--json"]],
    "profile list --json": [["profile", "list", "--json"]],
    "profile show PROFILE --json": [
        ["profile", "show", "claude-code", "--json"],
        ["profile", "show", "own", "--json"],
    ],
    "profile diff PROFILE OTHER --json": [["profile", "diff", "default", "claude-code", "--json"]],
    "profile validate PROFILE --json": [
        ["profile", "validate", "own", "--json"],
        ["profile", "validate", "bad", "--json"],
    ],
    "profile groups --json": [["profile", "groups", "--all-platforms", "--json"]],
    "profile groups GROUP --json": [["profile", "groups", "git_config", "--json"]],
    "profile hosts --json": [["profile", "hosts", "--json"]],
    "profile hosts NAME --json": [["profile", "hosts", "developer", "--json"]],
    "why --json": [
        ["why", "~/.ssh", "--json"],
        ["why", "README", "--op", "write", "--read", ".", "--json"],
        ["why", "https://api.openai.com/v1", "--credential", "openai", "--json"],
        ["why", "--env", "OPENAI_API_KEY", "--json"],
        ["why", "--scope", "signal", "--json"],
        ["why", "--self", "README", "--json"],
    ],
    "trust list --json": [["trust", "list", "--json"]],
    "credential list --json": [["credential", "list", "--json"]],
    "credential logins --json": [["credential", "logins", "--json"]],
    "doctor --json": [["doctor", "--project", "--json"]],
}  # fmt: skip
# One process for all of them: a start takes longer than most of them.
IN_ONE_PROCESS = """
import contextlib, io, json, os, sys
from nono.cli.main import main
from nono.credentials.logins.token_store import LoginStore
from nono.secret import Secret
told, asked = [], json.load(sys.stdin)
LoginStore(dict(os.environ)).add([Secret("token")], ["oauth.anthropic"], ["https://a.test"])
sys.stdin = io.TextIOWrapper(io.BytesIO(b"a key"))
for argv in [["credential", "set", "openai"], *asked]:
    out = io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.suppress(SystemExit):
        main(argv)
    told.append(out.getvalue())
print(json.dumps(told[1:]))
"""


def told(sandbox: NonoRun, commands: list[list[str]]) -> list[str]:
    """Return the standard output of each command, as the user of the sandbox."""
    done = subprocess.run(
        sandbox.user.command([sys.executable, "-I", "-c", IN_ONE_PROCESS]),
        env=sandbox.user.environment({}),
        cwd=sandbox.project,
        input=json.dumps(commands),
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=True,
    )
    found: list[str] = json.loads(done.stdout)
    return found


@pytest.fixture(scope="module")
def printed() -> Iterator[dict[str, list[str]]]:
    """Yield the output of each command beside an ended session, and one that waits for an answer."""
    with nono_run() as sandbox:
        profiles = sandbox.user.home / ".config/nono/profiles"
        profiles.mkdir(parents=True)
        (profiles / "own.json").write_text(
            '{"meta": {"name": "own", "version": "3"}, "network": {"block": true}}'
        )
        (profiles / "bad.json").write_text('{"nework": {}}')
        for place in (profiles.parents[1], profiles.parents[0], profiles, *profiles.iterdir()):
            sandbox.give(place)
        past = sandbox.run(
            [sys.executable, "-c", CHANGE],
            flags=["--name=past", "--rollback", "--diagnostics-json", "--silent"],
            environment={"NONO_NO_SAVE_PROMPT": "1"},
        )
        with sandbox.started([sys.executable, "-c", ASK], flags=["--name=web", "--ask"]):
            questions = directory(sandbox.user)
            wait_until(
                lambda: (questions / f"{record_of(sandbox.user, 'web')['session_id']}.asks").exists(),
                "nobody is asked",
            )
            (sandbox.project / "CLAUDE.md").write_text("Be brief.")
            (sandbox.project / "trust-policy.json").write_text(POLICY)
            answers = iter(told(sandbox, [argv for variants in ASKED.values() for argv in variants]))
            found = {command: [next(answers) for _ in variants] for command, variants in ASKED.items()}
        yield {**found, "run --diagnostics-json": [past.stderr]}


@pytest.mark.parametrize("command", SHAPE_OF)
def test_what_is_printed_has_the_shape_that_is_documented(
    command: str, printed: dict[str, list[str]]
) -> None:
    for text in printed[command]:
        document = json.loads(text)
        assert document, f"nothing to see: {command}"
        check_shape(command, document)


def test_a_field_that_is_not_documented_is_found(printed: dict[str, list[str]]) -> None:
    (first, *_) = json.loads(printed["ps --json"][0])
    with pytest.raises(jsonschema.ValidationError):
        check_shape("ps --json", [{**first, "another": 1}])


def test_every_object_says_the_format_of_its_shape(printed: dict[str, list[str]]) -> None:
    for texts in printed.values():
        for document in map(json.loads, texts):
            for each in document if isinstance(document, list) else [document]:
                assert each["format"] == 1


def test_every_option_for_json_has_a_shape() -> None:
    having = {" ".join(words) for words, parser in commands() if "--json" in parser._option_string_actions}
    described = {
        " ".join(word for word in shape.command.split() if word.islower() and not word.startswith("-"))
        for shape in SHAPES
    }
    assert having == described - {"run"}


def commands() -> Iterator[tuple[tuple[str, ...], argparse.ArgumentParser]]:
    for name, _, parser in offered_parsers():
        yield (name,), parser
        for _, action in subparsers_of(parser):
            yield (name, action.prog.split()[-1]), action


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape.file)
def test_each_shape_is_a_json_schema(shape: Any) -> None:
    jsonschema.Draft202012Validator.check_schema(shape.document)


def test_the_page_describes_every_shape() -> None:
    page = json_page("../schemas")
    for shape in SHAPES:
        part = page.partition(f"## nono {shape.command}\n")[2].partition("\n## ")[0]
        fields = shape.schema.get("items", shape.schema)
        assert f"](../schemas/{shape.file})" in part
        assert [name for name in fields.get("properties", ()) if f"| `{name}` |" not in part] == []
