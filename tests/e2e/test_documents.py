"""What README.md and the pages of docs show works as it stands there, for an ordinary user."""

from __future__ import annotations

import argparse
import json
import os
import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from nono.cli.args.options import OPTIONS
from nono.cli.command_table import COMMANDS, offered_parsers
from support.agents.codex import CODEX_AT_API
from support.agents.stage import AgentStage, agent_stage
from support.documents.stories import MARK, STORIES
from support.nono_run import NONO
from support.outward.timestamps import authority
from support.private_network import PRIVATE_ADDRESS
from support.servers.http1 import Authority, Received, upstream

ROOT = Path(__file__).parents[2]
BLOCK = re.compile(r"^( *)```(\w+)\n(.*?)^ *```$", re.MULTILINE | re.DOTALL)
SPAN = re.compile(r"`(nono [^`]+)`")


def blocks(page: str, language: str) -> list[str]:
    """Return the blocks of one language, in order and without the page's indentation."""
    found = BLOCK.finditer((ROOT / page).read_text(encoding="utf-8"))
    return [_undented(block[3], len(block[1])) for block in found if block[2] == language]


def commands(page: str) -> list[str]:
    """Return what a person types who follows the page, without the remarks beside it."""
    lines = [line for block in blocks(page, "console") for line in _joined(block).splitlines()]
    typed = (line.removeprefix("$ ") for line in lines if line.startswith("$ "))
    return [re.sub(r"\s+# .*", "", line) for line in typed]


def spans(page: str) -> Iterator[str]:
    """Yield the commands of nono within sentences."""
    text = (ROOT / page).read_text(encoding="utf-8")
    yield from (re.sub(r"\s+", " ", found[1]) for found in SPAN.finditer(BLOCK.sub("", text)))


def _joined(block: str) -> str:
    """Join each command into one line."""
    return re.sub(r" *\\\n *", " ", block)


def _undented(text: str, columns: int) -> str:
    return "".join(line[columns:] for line in text.splitlines(keepends=True))


PAGES = tuple(
    page
    for page in ("README.md", *sorted(str(path.relative_to(ROOT)) for path in (ROOT / "docs").rglob("*.md")))
    if commands(page) and page not in ("docs/control.md", "docs/doctor.md")  # tests of their own run those
)
SHOWN = {page: commands(page) for page in PAGES}
KEYS = {name: f"canary-of-{name}" for name in ("openai", "github", "anthropic")}  # in nono's store
INFERENCE = "canary-of-inference"
GATEWAY = "canary-of-a-gateway"
REAL = {
    **{f"api.{name}.com": key for name, key in KEYS.items()},
    "inference.internal.example": INFERENCE,
    "llm.corp.example": GATEWAY,
}
# Stands in for every agent: it uses what it holds at whoever that is for, and works on the project.
AGENT = """#!/bin/sh
ask() { curl -sS --fail-with-body -o answer -H "Authorization: Bearer $1" "$2" || exit; }
[ -z "$OPENAI_API_KEY" ] || ask "$OPENAI_API_KEY" https://api.openai.com/v1/models
[ -z "$GH_TOKEN" ] || ask "$GH_TOKEN" https://api.github.com/user
[ -z "$ANTHROPIC_API_KEY" ] || ask "$ANTHROPIC_API_KEY" https://api.anthropic.com/v1/models
for turn in turn-*; do
    [ ! -e "$turn" ] || curl -sS -o answer -H "Authorization: Bearer $ANTHROPIC_API_KEY" --data @"$turn" \
        https://api.anthropic.com/v1/messages && echo "made in $turn" > "made-in-$turn"
done
[ -z "$ANTHROPIC_AUTH_TOKEN" ] || ask "$ANTHROPIC_AUTH_TOKEN" https://llm.corp.example/v1/models
[ -z "$INFERENCE_KEY" ] || ask "$INFERENCE_KEY" https://inference.internal.example/v1/models
echo made > made
{ cat ~/.ssh/id || echo > ~/outside; } 2>/dev/null
echo worked
"""
UNTRUSTED = """#!/bin/sh
cat notes
{ echo > written; } 2>/dev/null && echo escaped
curl -s -o answer https://api.openai.com/ && echo escaped
{ cat ~/.ssh/id || ls ~/; } 2>/dev/null && echo escaped
true
"""
STRICT = '{"meta": {"name": "strict"}, "network": {"allow_domain": ["registry.example.com"]}}'
MAKEFILE = "test:\n\techo tested > tested\n"


@dataclass(frozen=True)
class Shown:
    """What becomes of a command that a page shows.

    says: what it prints. asks: hosts that get their key. makes: files of the project.
    inside: it is typed inside a run. answers: a person's, by the question.
    """

    says: str = ""
    asks: tuple[str, ...] = ()
    makes: tuple[str, ...] = ()
    stdin: str = ""
    inside: bool = False
    answers: Mapping[str, str] = field(default_factory=dict)


COPIED = {
    "nono credential set openai": Shown("Stored 'openai'", stdin=KEYS["openai"]),
    "nono run --allow . --network-profile developer --credential openai -- your-agent": Shown(
        "worked", ("api.openai.com",), ("made",)
    ),
    "nono run --allow . -- make test": Shown(makes=("tested",)),
    "nono run --allow-cwd --block-net -- ./untrusted": Shown("a secret of the project\n"),
    "nono doctor": Shown("landlock"),
    "nono purge --dry-run": Shown("settings and profiles"),
    "nono run --profile agent -- agent": Shown(
        "worked", ("api.openai.com", "inference.internal.example"), ("made",)
    ),
    "nono run --profile claude-code --allow-cwd -- claude": Shown(
        "worked", ("api.anthropic.com",), ("made",)
    ),
    "nono run --profile claude-code --credential anthropic-token=https://llm.corp.example --allow-cwd "
    "-- claude": Shown("worked", ("llm.corp.example",), ("made",)),
    "nono run -p claude-code,rust-dev --allow-cwd -- claude": Shown(
        "worked", ("api.anthropic.com",), ("made",)
    ),
    "nono run --explain --allow . -- make test": Shown(makes=("tested",)),
    "nono learn -o agent -- agent": Shown(
        "worked",
        ("api.openai.com", "inference.internal.example"),
        ("made",),
        answers={"Watch the command doing that? [y/N]": "y\r", "agent.json? [y/N]": "y\r"},
    ),
    "nono wrap --read . -- grep -r secret .": Shown("./notes:a secret of the project"),
    "nono why --path ~/.ssh/id_ed25519": Shown("DENIED"),
    "nono why --host https://api.example.com --network-profile developer": Shown("DENIED"),
    "nono why --self --path ~/.npmrc": Shown("DENIED", inside=True),
    "nono why --env NPM_TOKEN": Shown("DENIED"),
    "nono run --dry-run -v --profile agent -- agent": Shown("inference"),
    "nono run --profile codex --allow-cwd -- codex --dangerously-bypass-approvals-and-sandbox": Shown(
        "worked", ("api.openai.com",), ("made",)
    ),
}
NOT_RUN = {
    "nono run --profile aider --credential openai=http://localhost:11434/v1 --allow-cwd -- aider": (
        "tests/e2e/test_model_services.py runs one like it, at a port of its own"
    ),
    "make demo": "tests/e2e/test_demo.py runs it",
    "make test": "it is the suite",
    "cosign verify-blob-attestation --key key.pem --bundle anchors/00000017.1.bundle --new-bundle-format "
    "--insecure-ignore-tlog --trusted-root empty-root.json --type https://nono.sh/attestation/audit-head/v1 "
    "anchors/00000017.head": "tests/unit/outward/test_attestation.py runs it",
    "cosign verify-blob-attestation --key key.pem --bundle CLAUDE.md.bundle --new-bundle-format "
    "--insecure-ignore-tlog=true --trusted-root empty-root.json "
    "--type https://nono.sh/attestation/instruction-file/v1 CLAUDE.md": (
        "tests/unit/cli/commands/trust/test_command.py runs it"
    ),
    "nono flows latest": "tests/e2e/test_flows.py runs it, as it serves until it is stopped",
    "nono flows latest --live": "tests/e2e/test_flows.py runs it",
}
IN_ORDER = {step.command for story in STORIES.values() for step in story}


@dataclass(frozen=True)
class Scene:
    stage: AgentStage
    keys: dict[str, set[str]]  # by host: what was shown there


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    if os.geteuid() != 0:
        pytest.skip("only root can give a provider its own name")
    keys: dict[str, set[str]] = {}

    def api(request: Received) -> None:
        body = request.read_body()
        if request.value(b"host") == b"tsa.example":
            stamp = clock.answer(body)
            request.connection.respond(body=stamp, fields=[("Content-Type", "application/timestamp-reply")])
            return
        host = (request.value(b"host") or b"").decode()
        shown = request.value(b"authorization") or request.value(b"x-api-key") or b""
        keys.setdefault(host, set()).add(shown.decode().rpartition(" ")[2])
        request.connection.respond(body=b"{}")

    def collector(request: Received) -> None:
        (stage.home / "collected").write_bytes(request.read_body())
        request.connection.respond(fields=[("Content-Type", "application/x-protobuf")])

    hosts = [*REAL, "tsa.example", "otel.example"]
    with (
        authority(tmp_path_factory.mktemp("tsa")) as clock,
        agent_stage(hosts, api, mounts={}, login=".codex/auth.json") as stage,
    ):
        programs = {"nono": f'#!/bin/sh\nexec {" ".join(NONO)} "$@"\n'}
        programs |= dict.fromkeys(("agent", "your-agent", "claude", "codex"), AGENT)
        [profile, _hooks], [config] = (
            blocks("docs/guides/profiles.md", "json"),
            blocks("docs/concepts/audit.md", "toml"),
        )
        project = {"Makefile": MAKEFILE, "untrusted": UNTRUSTED, "notes": "a secret of the project\n"}
        stage.furnish(
            {
                **{f".local/bin/{name}": program for name, program in programs.items()},
                **{f"project/{name}": content for name, content in project.items()},
                ".config/nono/profiles/agent.json": profile,
                ".config/nono/config.toml": config,
                "certs/internal-ca.pem": (stage.home / "ca.pem").read_text(),
                "authority.pem": clock.ca.read_text(),
                ".config/nono/profiles/strict.json": STRICT,
            }
        )
        for program in [*(stage.home / ".local/bin").iterdir(), stage.project / "untrusted"]:
            if not program.is_symlink():
                program.chmod(0o755)
        for name, key in {**KEYS, "anthropic-token": GATEWAY}.items():
            stage.nono("credential", "set", name, stdin=key)
        by = Authority(str(stage.home / "certs/collector.pem"))
        stage.runner.give(stage.home / "certs/collector.pem")
        with upstream(collector, by.server_context("otel.example"), (PRIVATE_ADDRESS, 4318)):
            yield Scene(stage, keys)


@pytest.mark.parametrize("page", PAGES)
def test_each_command_of_a_page_is_either_run_or_has_a_reason(page: str) -> None:
    assert SHOWN[page]
    steps = {step.command for step in STORIES.get(page, ())}
    assert set(SHOWN[page]) <= COPIED.keys() | NOT_RUN.keys() | steps


def test_no_command_is_run_that_no_page_shows() -> None:
    assert COPIED.keys() | NOT_RUN.keys() | IN_ORDER == {command for page in PAGES for command in SHOWN[page]}


@pytest.mark.parametrize("command", COPIED)
def test_a_command_of_the_documents_works_as_it_is_copied(command: str, scene: Scene) -> None:
    shown, stage = COPIED[command], scene.stage
    for name in ("made", "tested", "answer"):
        (stage.project / name).unlink(missing_ok=True)
    scene.keys.clear()
    environment = {"NPM_TOKEN": "canary-of-npm"}
    if re.search("(--profile|-o) agent", command):
        environment["INFERENCE_KEY"] = INFERENCE
    script = ["bash", "-c", command]
    if shown.inside:
        script = [*NONO, "run", "--allow", ".", "--", *script]
    if shown.answers:
        with stage.on_screen(script, environment=environment) as screen:
            for question, keys in shown.answers.items():
                screen.wait_for(question)
                screen.settle()
                screen.type(keys)
            status, said, told = screen.end(), screen.shown, screen.text
    else:
        ended = stage.person(script, environment=environment, stdin=shown.stdin)
        status, said, told = ended.returncode, ended.stdout + ended.stderr, ended.stderr
    assert status == 0, said
    assert shown.says in said, told
    assert [name for name in shown.makes if not (stage.project / name).exists()] == []
    assert scene.keys == {host: {REAL[host]} for host in shown.asks}
    assert not any(key in said for key in REAL.values())
    assert "escaped" not in said
    assert not stage.outside.exists()


@pytest.mark.parametrize("page", STORIES)
def test_the_commands_of_a_page_work_one_after_the_other(page: str, scene: Scene) -> None:
    stage, story = scene.stage, STORIES[page]
    folder = stage.directory(Path(page).stem)
    script = f"set -e; cd {folder}\n{''.join(step.script() for step in story)}echo {MARK}"
    environment = {
        "INFERENCE_KEY": INFERENCE if page == "docs/reports.md" else "",
        "OTEL_EXPORTER_OTLP_CERTIFICATE": str(stage.home / "certs/collector.pem"),
    }
    answers = [answer for step in story for answer in step.answers.items()]
    if answers:
        with stage.on_screen(["bash", "-c", script], environment=environment) as screen:
            for question, keys in answers:
                screen.wait_for(question)
                screen.settle()
                screen.type(keys)
            status, said = screen.end(), screen.shown
    else:
        ended = stage.person(["bash", "-c", f"exec 2>&1; {script}"], environment=environment)
        status, said = ended.returncode, ended.stdout
    printed = dict(zip((step.command for step in story), said.split(MARK)[1:], strict=False))
    assert status == 0, printed
    assert {step.command: step.says for step in story if step.says not in printed[step.command]} == {}, said
    assert not any(key in said for key in REAL.values())
    assert not stage.outside.exists()


def test_what_is_denied_in_the_example_is_refused_where_it_is_not_named(scene: Scene) -> None:
    """The example's profile grants the project, and its settings of git, and no more."""
    argv = [*NONO, "run", "--profile", "agent", "--", "cat", str(scene.stage.home / ".ssh/id")]
    run = scene.stage.person(argv, environment={"INFERENCE_KEY": INFERENCE})
    assert run.returncode != 0
    assert "Permission denied" in run.stderr


def test_names_of_the_example_are_left_out_of_the_log(scene: Scene) -> None:
    before = set(scene.stage.runner.logs())
    run = scene.stage.person([*NONO, "run", "--allow", ".", "--", "echo", "--pin", "canary-1234"])
    assert run.returncode == 0, run.stderr
    assert "canary-1234" not in json.dumps(scene.stage.runner.events_since(before))


def test_the_settings_for_codex_are_those_it_is_tried_with() -> None:
    [shown] = blocks("docs/agents.md", "toml")
    assert tomllib.loads(shown) == tomllib.loads(CODEX_AT_API)


@pytest.mark.parametrize("page", [*PAGES, "docs/doctor.md", "docs/troubleshooting.md", "docs/comparison.md"])
def test_a_command_or_option_that_a_page_names_exists(page: str) -> None:
    options = {flag for option in OPTIONS if option.available for flag in option.flags}
    options |= {flag for _, _, parser in offered_parsers() for flag in _flags(parser)}
    text = (ROOT / page).read_text()
    of_nono = [*spans(page), *commands(page)]
    assert {each.split()[1] for each in of_nono if each.startswith("nono ")} - COMMANDS.keys() == set()
    # Any other program has options of its own.
    typed = [each.split(" -- ")[0] for each in of_nono if each.startswith("nono ")]
    named = {flag for each in typed for flag in re.findall(r"(?<!\S)--?[a-z][\w-]*", each)}
    named |= set(re.findall(r"`(--[a-z][\w-]+)", text))
    assert named - options - {"--dangerously-bypass-approvals-and-sandbox"} == set()


def _flags(parser: argparse.ArgumentParser) -> Iterator[str]:
    for action in parser._actions:
        yield from action.option_strings
        if isinstance(action, argparse._SubParsersAction):
            for each in action.choices.values():
                yield from _flags(each)
