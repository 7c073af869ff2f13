"""`nono report`, `replay` and `flows` look back at a real run."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from support.clients.browser import CHROMIUM, Browser, browser
from support.clients.intercepted import Intercepted, stage_of
from support.documents.json_shapes import check_shape
from support.nono_run import Ended, NonoRun
from support.servers.http1 import Received, upstream
from support.sessions.records import nono, records

CHAT = {"model": "gpt-4o", "choices": [], "usage": {"prompt_tokens": 1200, "completion_tokens": 34}}
MARKUP = "<img src=x onerror=document.title='owned'>"
SCRIPT = (
    'curl -sS "$URL/v1/chat/completions" -H "Authorization: Bearer $TOKEN" --data "{}" >/dev/null;'
    'curl -sS -m 5 -x "$HTTPS_PROXY" https://evil.test/ >/dev/null 2>&1;'
    'echo "use flake" > .envrc; mkdir -p .github/workflows; echo "on: push" > ".github/workflows/$0.yml";'
    "rm README; exit 7"
)


def answer(request: Received) -> None:
    request.read_body()
    request.connection.respond(body=json.dumps(CHAT).encode())


class Past:
    """A run that has ended, and its user."""

    def __init__(self, service: Intercepted) -> None:
        self.sandbox: NonoRun = service.stage.runner
        self.sandbox.run(["sh", "-c", "echo all: > Makefile; echo mine > README"])
        self.plain = records(self.sandbox.user)[0]
        self.flows = service.stage.project / "flows"
        argv = ("env", f"URL={service.origin}", "sh", "-c", SCRIPT, MARKUP)
        self.run: Ended = service.run(argv, flags=(f"--record-flows={self.flows}", "--rollback"))
        self.record = records(self.sandbox.user)[0]
        self.profile = self.record["profile"]
        self.port = service.server.port

    def nono(self, *argv: str) -> Any:
        return nono(self.sandbox, *argv, REAL_KEY="canary-of-the-real-key")


@pytest.fixture(scope="module")
def past() -> Iterator[Past]:
    with (
        stage_of("ordinary user") as stage,
        upstream(answer, stage.authority.server_context("localhost")) as server,
    ):
        yield Past(Intercepted(stage, server, "demo", "TOKEN"))


def test_a_report_says_what_the_run_did(past: Past) -> None:
    told = past.nono("report", "latest")
    assert told.returncode == 0, told.stderr
    assert max(map(len, told.stdout.splitlines())) <= 80
    for words in (
        "exited(7)", "evil.test", "--allow-domain evil.test", f"localhost:{past.port}",
        "POST /v1/chat/completions", "by credential route 'demo'", "demo", "1.2 k", "gpt-4o", ".envrc",
        "The log is intact",
    ):  # fmt: skip
        assert words in told.stdout, words


def test_a_report_for_programs_has_the_same(past: Past) -> None:
    told = json.loads(past.nono("report", past.record["session_id"][:8], "--json").stdout)
    assert told["format"] == 1
    check_shape("report SESSION --json", told)
    assert told["session"]["id"] == past.record["session_id"]
    assert told["credentials"] == [
        {"service": "demo", "hosts": [f"localhost:{past.port}"], "requests": 1, "frozen": None}
    ]
    assert told["turns"][0]["usage"][0]["input_tokens"] == 1200
    assert [(each["what"], each["option"]) for each in told["denials"]] == [
        ("evil.test:443", "--allow-domain evil.test")
    ]
    assert {Path(each["path"]).name for each in told["later"]} == {".envrc", f"{MARKUP}.yml"}
    assert told["integrity"]["is_intact"] is True


def test_a_profile_that_is_gone_leaves_the_options_that_were_told(past: Past) -> None:
    profile = Path(past.profile)
    content = profile.read_text()
    profile.unlink()
    try:
        told = json.loads(past.nono("report", "latest", "--json").stdout)
    finally:
        profile.write_text(content)
    assert [each["option"] for each in told["denials"]] == ["--allow-domain evil.test"]


def test_the_changed_files_are_shown_with_their_lines(past: Past) -> None:
    told = json.loads(past.nono("report", "latest", "--json").stdout)
    found = {Path(each["path"]).name: (each["change"], each["diff"]) for each in told["files"]}
    assert found[".envrc"] == ("created", ["@@ -0,0 +1 @@", "+use flake"])
    assert f"{MARKUP}.yml" in found


def test_without_what_undo_keeps_files_that_run_later_are_found_by_their_times(past: Past) -> None:
    told = json.loads(past.nono("report", past.plain["session_id"], "--json").stdout)
    assert told["files"] is None  # and nothing is claimed of them
    assert "Makefile" in {Path(each["path"]).name for each in told["later"]}


def test_a_file_that_runs_later_is_found_behind_any_number_of_others() -> None:
    many = "mkdir a; (cd a; seq 2100 | xargs touch); echo all: > justfile"
    with stage_of("ordinary user") as stage:
        stage.runner.run(["sh", "-c", many], flags=("--rollback",))
        (record,) = records(stage.runner.user)
        told = json.loads(nono(stage.runner, "report", record["session_id"], "--json").stdout)
    assert len(told["files"]) == 2000
    assert {Path(each["path"]).name for each in told["later"]} == {"justfile"}


def test_files_are_not_looked_for_where_a_link_of_the_command_leads(past: Past) -> None:
    project = past.sandbox.project
    laid = "mkdir -p ../elsewhere/workflows; touch ../elsewhere/workflows/foreign.yml; mv .github kept"
    past.sandbox.user.run(["sh", "-euc", f"{laid}; ln -s ../elsewhere .github"], cwd=project)
    try:
        told = json.loads(past.nono("report", past.plain["session_id"], "--json").stdout)["later"]
        named = {os.path.relpath(each["path"], project) for each in told}
        assert named >= {".github/workflows", "Makefile"}
        assert ".github/workflows/foreign.yml" not in named
    finally:
        (project / ".github").unlink()
        (project / "kept").rename(project / ".github")
        shutil.rmtree(project.parent / "elsewhere")


def with_another_host(log: bytes) -> bytes:
    return log.replace(b"evil.test", b"good.test")


def without_its_end(log: bytes) -> bytes:
    return log[: log.rindex(b"\n", 0, -1) + 1]


@contextmanager
def changed(past: Past, edit: Callable[[bytes], bytes]) -> Iterator[None]:
    """Edit the log of the run until the block is left."""
    folder = past.sandbox.user.home / ".local/state/nono/audit" / past.record["session_id"]
    log = folder / "audit-events.ndjson"
    before = log.read_bytes()
    log.write_bytes(edit(before))
    try:
        yield
    finally:
        log.write_bytes(before)


@pytest.mark.parametrize("edit", [with_another_host, without_its_end])
def test_a_log_that_was_changed_is_reported_as_such(edit: Callable[[bytes], bytes], past: Past) -> None:
    with changed(past, edit):
        assert "The log is NOT intact" in past.nono("report", "latest").stdout


def test_nothing_is_concluded_from_a_log_that_was_changed(past: Past) -> None:
    with changed(past, with_another_host):
        told = past.nono("replay", "latest", "--profile", past.profile)
    assert (told.returncode, told.stdout, "is not intact" in told.stderr) == (1, "", True)


def test_a_page_is_written_for_its_owner_alone(past: Past) -> None:
    file = past.sandbox.project / "page.html"
    assert past.nono("report", "latest", "--html", "page.html").returncode == 0
    assert file.stat().st_mode & 0o777 == 0o600
    assert MARKUP not in file.read_text()


def test_a_page_never_follows_a_link_that_the_command_has_turned(past: Past) -> None:
    target = past.sandbox.user.home / "mine"
    target.write_text("mine")
    link = past.sandbox.project / "linked.html"
    link.symlink_to(target)
    assert past.nono("report", "latest", "--html", "linked.html").returncode == 0
    assert target.read_text() == "mine"
    assert not link.is_symlink()


def test_the_sessions_of_a_week_are_added_up(past: Past) -> None:
    told = json.loads(past.nono("report", "--last", "7d", "--json").stdout)
    assert (told["runs"], told["ends"]) == (2, [["exited(0)", 1], ["exited(7)", 1]])
    assert told["models"][0]["input_tokens"] == 1200
    assert [(each["times"], each["example"]) for each in told["denials"]] == [(1, "evil.test")]
    assert "evil.test" in past.nono("report", "--last", "7d").stdout
    wrong = past.nono("report", "--last", "7")
    assert (wrong.returncode, "such as 7d" in wrong.stderr) == (2, True)


def test_the_options_of_the_run_break_nothing_of_it(past: Past) -> None:
    told = past.nono("replay", "latest")
    assert (told.returncode, "Nothing would be decided otherwise." in told.stdout) == (0, True), told.stdout


def test_a_profile_in_place_of_the_runs_keeps_its_other_options(past: Past) -> None:
    told = past.nono("replay", "latest", "--profile", "default", "--json")
    found = {each["what"] for each in json.loads(told.stdout)["differences"] if each["effect"] == "breaks"}
    assert found == {f"POST localhost:{past.port}/v1/chat/completions"}


def test_a_narrower_profile_breaks_what_worked(past: Past) -> None:
    told = past.nono("replay", "latest", "--alone", "--allow-domain", "evil.test", "--json")
    found = {(each["effect"], each["what"]) for each in json.loads(told.stdout)["differences"]}
    assert told.returncode == 1
    assert ("breaks", f"{past.sandbox.project}/.envrc (write)") in found
    assert {each for each in found if "(write)" not in each[1]} == {
        ("breaks", f"POST localhost:{past.port}/v1/chat/completions"),
        ("opens", "evil.test:443"),
    }


def test_removing_a_file_needs_its_directory(past: Past) -> None:
    told = past.nono("replay", "latest", "--alone", "--profile", past.profile, "--json")
    found = {each["what"] for each in json.loads(told.stdout)["differences"]}
    assert f"{past.sandbox.project} (write)" in found


def test_two_profiles_are_compared_over_the_last_sessions(past: Past) -> None:
    told = past.nono("replay", "--last", "7d", "--profile", past.profile, "--against", "default", "--json")
    assert told.stderr == ""
    found = {(each["what"], each["against"]) for each in json.loads(told.stdout)["differences"]}
    assert (f"POST localhost:{past.port}/v1/chat/completions", "denied") in found


@pytest.mark.parametrize("option", ["--profile", "--against", "--extends"])
def test_a_profile_that_is_not_there_judges_no_period(past: Past, option: str) -> None:
    told = past.nono("replay", "--last", "7d", option, "no-such-profile")
    assert (told.returncode, told.stdout) == (1, "")
    assert told.stderr.startswith("nono: Profile not found: no-such-profile\n")


@pytest.mark.parametrize("command", [("report",), ("replay",), ("audit", "export", "--format=ocsf")])
def test_the_last_sessions_are_those_of_a_period(past: Past, command: tuple[str, ...]) -> None:
    assert past.nono(*command, "--last", "1h").returncode == 0
    wrong = past.nono(*command, "--last", "5")
    assert (wrong.returncode, wrong.stdout) == (2, "")
    assert wrong.stderr.startswith("nono: --last '5': expected a number with m, h, d or w, such as 7d.\n")


def test_a_run_without_a_recording_says_how_to_make_one(past: Past) -> None:
    told = past.nono("flows", past.plain["session_id"])
    assert (told.returncode, "recorded no exchanges" in told.stderr, "--record-flows" in told.stderr) == (
        1,
        True,
        True,
    )


@pytest.fixture(scope="module")
def opened() -> Iterator[Browser]:
    if CHROMIUM is None:
        pytest.skip("needs Chromium")
    with browser() as found:
        yield found


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280])
def test_the_page_fits_a_screen(width: int, scheme: str, past: Past, opened: Browser, tmp_path: Path) -> None:
    file = tmp_path / "page.html"
    file.write_text(past.nono("report", past.record["session_id"], "--html", "-").stdout)
    opened.open(file.as_uri(), width=width, height=900, scheme=scheme)
    assert opened.evaluate("document.documentElement.scrollWidth") <= width
    assert opened.evaluate("document.title").endswith("nono report")  # what stood in a name has not run
    background = opened.evaluate("getComputedStyle(document.body).backgroundColor")
    assert background == ("rgb(251, 251, 250)" if scheme == "light" else "rgb(22, 24, 27)")
    assert opened.requested == [file.as_uri()]
    assert opened.screenshot().startswith(b"\x89PNG")
