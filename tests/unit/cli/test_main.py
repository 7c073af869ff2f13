"""The command line answers with one clear sentence and the documented status."""

from __future__ import annotations

import errno
import json
import os
import pwd
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from nono import __version__
from nono.cli.command_table import COMMANDS, LATER
from nono.cli.main import main
from nono.errors import NonoError
from nono.kernel import process
from nono.printable import printable


def outcome(capsys: pytest.CaptureFixture[str], *argv: str) -> tuple[int, str, str]:
    try:
        status = main(argv)
    except SystemExit as ended:  # argparse's own way out, for --help and usage errors
        status = ended.code if isinstance(ended.code, int) else 1
    captured = capsys.readouterr()
    return status, captured.out, captured.err


@pytest.mark.parametrize(
    ("variables", "argv", "hint"),
    [
        (
            {"NONO_UPSTREAM_PROXY": "bad"},
            ["proxy"],
            "NONO_UPSTREAM_PROXY is set, which stands for --upstream-proxy",
        ),
        (
            {"NONO_EXTERNAL_PROXY": "bad"},
            ["proxy"],
            "NONO_EXTERNAL_PROXY is set, which stands for --upstream-proxy",
        ),
        (
            {"NONO_BLOCK_NET": "1"},
            ["run", "--allow-net", "true"],
            "leave one of them out; NONO_BLOCK_NET is set, which stands for --block-net",
        ),
        ({"NONO_UPSTREAM_PROXY": "worse"}, ["proxy", "--upstream-proxy", "bad"], None),
        ({}, ["proxy", "--upstream-proxy=bad"], None),
    ],
    ids=["value", "old name", "contradiction", "typed as well", "typed"],
)
def test_a_mistake_in_a_variable_names_the_variable(
    variables: dict[str, str],
    argv: list[str],
    hint: str | None,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for name in ("NONO_UPSTREAM_PROXY", "NONO_EXTERNAL_PROXY", "NONO_BLOCK_NET"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    status, _, err = outcome(capsys, *argv)
    assert status == 2
    hints = [line.removeprefix("hint: ") for line in err.splitlines() if line.startswith("hint: ")]
    assert hints == ([] if hint is None else [hint])


def test_help_and_version_go_to_stdout(capsys: pytest.CaptureFixture[str]) -> None:
    status, out, err = outcome(capsys, "--help")
    assert (status, err) == (0, "")
    offered = [name for name, command in COMMANDS.items() if not command.is_hidden]
    assert [name for name in offered if f"\n  {name} " not in out] == []
    assert outcome(capsys, "--version") == (0, f"nono {__version__}\n", "")


def test_a_word_after_an_option_that_prints_is_not_ignored(capsys: pytest.CaptureFixture[str]) -> None:
    status, out, err = outcome(capsys, "--version", "x")
    assert (status, out, err.splitlines()[0]) == (2, "", "nono: unexpected word: 'x'")
    assert outcome(capsys, "--help", "ps") == outcome(capsys, "help", "ps")


def test_help_fits_a_narrow_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    for argv in (["--help"], *([command, "--help"] for command in COMMANDS)):
        _, out, _ = outcome(capsys, *argv)
        assert [line for line in out.splitlines() if len(line) > 80] == []


@pytest.mark.parametrize("command", sorted(set(COMMANDS) - {"connect-helper", "policy"}))
def test_a_row_of_the_table_loads_the_command_of_its_name(command: str) -> None:
    parser = COMMANDS[command].load().parser
    assert parser is not None
    assert parser().prog == f"nono {command}"


def test_no_command_is_a_usage_error(capsys: pytest.CaptureFixture[str]) -> None:
    status, out, err = outcome(capsys)
    assert (status, out) == (2, "")
    assert "Usage: nono [OPTIONS] COMMAND" in err


@pytest.mark.parametrize("command", sorted(LATER))
def test_a_command_to_come_is_known(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    status, _, err = outcome(capsys, command, "--json")
    assert status == 2
    assert err == f"nono: `nono {command}` is not available yet.\nhint: {LATER[command]}\n"


def test_a_mistyped_command_gets_its_nearest_name(capsys: pytest.CaptureFixture[str]) -> None:
    status, _, err = outcome(capsys, "rum")
    assert status == 2
    assert "did you mean 'run'?" in err


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("claude", "nono run --profile claude-code --allow-cwd -- claude"),
        ("sleep", "nono run --allow-cwd -- sleep runs that program in the sandbox"),
        ("sleeq", "nono --help lists the commands"),
        ("top ", "did you mean 'top'?"),
    ],
    ids=["agent", "program", "neither", "command"],
)
def test_a_program_typed_for_a_command_is_told_how_to_run_it(
    name: str, hint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    status, _, err = outcome(capsys, name, "--version")
    assert status == 2
    assert err.splitlines()[1] == f"hint: {hint}"


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("profil", "did you mean 'profile'?"),
        ("echo", "nono run --allow-cwd -- echo runs that program in the sandbox"),
    ],
)
def test_a_program_called_almost_like_a_command_is_taken_for_the_command(
    name: str, hint: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("shutil.which", lambda program: f"/bin/{program}")
    assert outcome(capsys, name)[2].splitlines()[1] == f"hint: {hint}"


@pytest.mark.parametrize("argv", [["-s", "run"], ["--silent", "run"], ["run", "-s"], ["run", "--silent"]])
def test_global_options_stand_on_either_side(argv: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    status, _, err = outcome(capsys, *argv)
    assert status == 1
    assert err.startswith("nono: No command specified\n")


@pytest.mark.parametrize("argv", [["ps"], ["credential", "list"], ["why", "/etc/hosts"], ["profile", "list"]])
def test_a_relative_place_for_its_files_is_said_to_be_ignored_by_any_command(
    argv: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process, "keep_memory_private", lambda: None)  # the worker stays dumpable
    note = "note: XDG_STATE_HOME=rel is ignored, as it is not an absolute path.\n"
    monkeypatch.setenv("XDG_STATE_HOME", "rel")
    assert outcome(capsys, *argv)[2].startswith(note)
    assert note not in outcome(capsys, *argv, "--silent")[2]
    monkeypatch.setenv("XDG_STATE_HOME", "/rel")
    assert "is ignored" not in outcome(capsys, *argv)[2]


@pytest.mark.parametrize(
    "argv",
    [
        *(["run"], ["wrap"], ["shell", "--no-such"], ["learn"], ["proxy", "--no-such"], ["connect-helper"]),
        *(["help"], ["version"], ["completion", "bash"]),
    ],
    ids=lambda argv: argv[0],
)
def test_what_keeps_no_files_or_warns_itself_leaves_a_relative_place_to_others(
    argv: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", "rel")
    assert "is ignored" not in outcome(capsys, *argv)[2]


def test_a_word_that_why_takes_for_a_host_is_said_to_be_one(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """`main.py` is the name of a host as well: `.py` is a country."""
    monkeypatch.chdir(tmp_path)
    said = "Details: host main.py, port 443\n"
    assert said in outcome(capsys, "why", "main.py")[1]
    assert said not in outcome(capsys, "why", "./main.py")[1]
    (tmp_path / "main.py").touch()
    assert said not in outcome(capsys, "why", "main.py")[1]


def test_an_unknown_option_is_a_usage_error(capsys: pytest.CaptureFixture[str]) -> None:
    status, _, err = outcome(capsys, "run", "--alow", ".", "--", "true")
    assert status == 2
    assert err == (
        "nono: no such option: --alow\nhint: did you mean '--allow'? "
        "It would grant a directory, with all below it, for reading and writing.\n"
    )


def test_an_empty_word_too_many_is_a_usage_error(capsys: pytest.CaptureFixture[str]) -> None:
    status, _, err = outcome(capsys, "proxy", "--no-auth", "")
    assert (status, err) == (2, "nono: unexpected word: ''\nhint: nono proxy --help\n")


@pytest.mark.parametrize(
    "argv", [["--theme", "latte", "run"], ["--theme=x", "run"], ["--log-file", "x", "-s", "run"]]
)
def test_options_of_every_command_stand_in_front_as_well(
    argv: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    status, _, err = outcome(capsys, *argv)
    assert (status, err.splitlines()[0]) == (1, "nono: No command specified")


@pytest.mark.parametrize("argv", [["--theme"], ["--log-file"]])
def test_an_option_in_front_needs_its_value(argv: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    status, _, err = outcome(capsys, *argv)
    assert (status, err) == (2, f"nono: {argv[0]}: a value is expected.\n")


@pytest.mark.parametrize("command", sorted(set(COMMANDS) - {"connect-helper"}))
def test_every_command_takes_the_options_of_every_command(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    status, out, _ = outcome(capsys, "-s", "--theme", "latte", "--log-file", "x", command, "--help")
    assert (status, "--log-file FILE" in out) == (0, True)


@pytest.mark.parametrize(
    ("argv", "sentence"),
    [
        (["--path", "/etc", "--host", "a.example"], "--path and --host are several questions"),
        ([], "a question is missing: a path, a host or a variable"),
        (["--path", ""], "--path: its value is empty."),
        (["--scope", "signal", "--command", "git"], "--command and --scope are several questions"),
        (["--path", "/etc", "--caller", "git"], "--caller belongs to a question about --command"),
        (["--path", "/etc", "--self", "--read", "/etc"], "--self is about the run around it"),
        (["--path", "/etc", "--method", "GET"], "--method belongs to a question about --host"),
        (["--host", ""], "--host: its value is empty."),
        (["--host", "http://["], "--host 'http://['"),
        (["--host", "a.example:0"], "--host 'a.example:0'"),
    ],
    ids=repr,
)
def test_why_refuses_what_is_not_one_question(
    argv: list[str], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    status, out, err = outcome(capsys, "why", *argv)
    assert (status != 0, out) == (True, "")
    assert sentence in err


def test_why_says_which_command_is_blocked_by_its_name(capsys: pytest.CaptureFixture[str]) -> None:
    argv = ("why", "--json", "--exit-code", "--command")
    status, out, _ = outcome(capsys, *argv, "git", "--caller", "npm", "--", "push", "--force")
    assert (status, json.loads(out)["reason"]) == (0, "command_not_policy_controlled")
    status, out, _ = outcome(capsys, *argv, "/bin/rm")
    answer = json.loads(out)
    assert (status, answer["reason"], answer["suggested_flag"]) == (
        1,
        "command_blocked",
        "--allow-command rm",
    )
    assert answer["policy_source"] == "group dangerous_commands"


def test_why_prints_a_path_on_one_line_whatever_it_holds(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    file = tmp_path / "x\nALLOWED\x1b[2J"
    file.touch()
    _, out, _ = outcome(capsys, "why", "--path", str(file), "--read-file", str(file))
    assert out.startswith("ALLOWED\n  Reason: granted path\n  Granted by: ")
    assert "\nALLOWED" not in out
    assert out.replace("\n", "").isprintable()


def test_why_says_whether_scopes_are_held(capsys: pytest.CaptureFixture[str]) -> None:
    _, out, _ = outcome(capsys, "why", "--scope", "signal")
    assert out.startswith("SCOPE\n  Scope: signal\n  State: ")


def test_why_breaks_no_word_at_a_terminal_and_no_fix(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setattr("nono.cli.commands.why.line_columns", lambda stream, environ: 40)
    several = tmp_path / "one/of/several"
    several.mkdir(parents=True)
    _, out, _ = outcome(capsys, "why", "--path", str(several / "words"), "--namespaces=off")
    assert f"\n  Suggested fix: --read {several}\n" in out
    _, out, _ = outcome(
        capsys, "why", "--host", "https://x.example/no/../no", "--allow-domain", "https://x.example/ok/**"
    )
    assert max(map(len, out.splitlines())) <= 40


def test_why_says_what_a_fix_grants_beyond_what_was_asked(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = tmp_path.resolve() / "home/.ssh/id_ed25519"
    key.parent.mkdir(parents=True)
    key.touch()
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    _, out, _ = outcome(capsys, "why", "--path", "~/.ssh/id_ed25519")
    fix = f"  Suggested fix: --read-file {key} --bypass-protection {key}\n"
    assert out.endswith(f"{fix}    lifts the rule that keeps {key} from the command\n")
    beside = tmp_path / "beside"
    beside.mkdir()
    _, out, _ = outcome(capsys, "why", "--path", str(beside / "file"), "--namespaces=off")
    assert out.endswith(f"\n  Suggested fix: --read {beside}\n    grants reading everything in {beside}\n")


@pytest.mark.parametrize("host", ["a.example", "a.example:80", "[::1]:443", "::1", "https://[::1]/x"])
def test_why_takes_a_host_in_any_spelling_of_a_url(host: str, capsys: pytest.CaptureFixture[str]) -> None:
    status, out, _ = outcome(capsys, "why", "--host", host)
    assert status == 0
    assert out.startswith("ALLOWED\n  Reason: network allowed\n  Details: host ")


@pytest.mark.parametrize(
    ("argv", "status", "lines"),
    [
        (["--host", "https://x.example/ok/1?q"], 0, ["ALLOWED", "endpoint restricted", "* /ok/**"]),
        (
            ["--host", "https://x.example/no"],
            1,
            ["DENIED", "Suggested fix: --allow-domain https://x.example/no"],
        ),
        (["--host", "x.example", "--method", "delete"], 1, ["DELETE / is denied"]),
        (["--host", "https://x.example/ok/../no"], 1, ["the path holds a dot segment"]),
        (["--host", "https://x.example/ok/%2e%2e/no"], 1, ["the path holds a dot segment"]),
        (["--host", "https://y.example/ok/1"], 1, ["proxy filtered"]),
    ],
)
def test_why_judges_a_url_by_the_rules_for_its_path(
    argv: list[str], status: int, lines: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    rules = ["--allow-domain", "https://x.example/ok/**", "--exit-code"]
    got, out, _ = outcome(capsys, "why", *argv, *rules)
    assert got == status
    assert all(line in out for line in lines)


@pytest.mark.parametrize("path", ["/ok/@scope%2Fname", "/ok//x", "/ok/.."])
@pytest.mark.parametrize("rule", ["x.example", "https://x.example/ok/**"])
def test_why_takes_a_spelling_that_parsers_may_read_otherwise_where_no_rule_reads_the_path(
    path: str, rule: str, capsys: pytest.CaptureFixture[str]
) -> None:
    status, out, _ = outcome(
        capsys, "why", "--allow-domain", rule, "--exit-code", "--host", f"https://x.example{path}"
    )
    is_refused = rule != "x.example"
    assert (status, "the proxy refuses such a request" in out) == (int(is_refused), is_refused)


def test_why_names_the_host_that_is_not_granted_before_a_path(capsys: pytest.CaptureFixture[str]) -> None:
    asked = ["why", "--allow-domain", "https://x.example/ok/**", "--host"]
    for host, reason in (("x.example", "dot segment"), ("y.example", "y.example is not in the allowlist")):
        assert reason in outcome(capsys, *asked, f"https://{host}/ok/..")[1]


TOKENS = {"limits": {"output_tokens": 1000}}
REQUESTS = {"limits": {"requests": 9}}
LISTED = {"upgrades": [{"path": "/v1/live"}]}
GENERATE = "https://model.example/v1/models/m:generateContent"


@pytest.mark.parametrize(
    ("limited", "question", "answer"),
    [
        ({}, ["https://model.example/v1/batches", "--method", "POST"], "ALLOWED"),
        (TOKENS, ["https://model.example/v1/batches", "--method", "POST"], "nobody can count the tokens"),
        (TOKENS, ["https://model.example/v1/messages", "--method", "POST"], "ALLOWED"),
        (TOKENS, [f"{GENERATE}?alt=json", "--method", "POST"], "ALLOWED"),
        (TOKENS, [f"{GENERATE}?alt=json&fields=a", "--method", "POST"], "parameter fields can leave"),
        (REQUESTS, [f"{GENERATE}?fields=a", "--method", "POST"], "ALLOWED"),
        ({}, ["wss://model.example/v1/live"], "ALLOWED"),
        (TOKENS, ["wss://model.example/v1/live"], "nobody counts the tokens of a WebSocket"),
        (REQUESTS, ["wss://model.example/v1/live"], "nobody counts the messages of a WebSocket"),
        (REQUESTS, ["https://model.example/v1/live"], "ALLOWED"),
        (LISTED, ["wss://model.example/v1/live"], "ALLOWED"),
        (LISTED, ["wss://model.example/v1/other"], "a WebSocket on /v1/other is not allowed"),
        (LISTED, ["https://model.example/v1/other"], "ALLOWED"),
    ],
)
def test_why_knows_what_the_limits_of_a_service_cannot_count(
    limited: dict[str, object],
    question: list[str],
    answer: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    service = {
        "upstream": "https://model.example",
        "credential_key": "env://MODEL_KEY",
        "env_var": "MODEL_KEY",
    }
    network = {"credentials": ["model"], "custom_credentials": {"model": {**service, **limited}}}
    profile = tmp_path / "limited.json"
    profile.write_text(json.dumps({"meta": {"name": "limited"}, "network": network}), encoding="utf-8")
    status, out, _ = outcome(capsys, "why", "--profile", str(profile), "--exit-code", "--host", *question)
    assert (status, answer in out) == (int(answer != "ALLOWED"), True), out


@pytest.mark.parametrize("words", ["--version", "why --path /etc"])
def test_output_that_cannot_be_written_is_one_sentence(words: str) -> None:
    full = f"exec env -u PYTHONUNBUFFERED {sys.executable} -m nono {words} >/dev/full"
    result = subprocess.run(["sh", "-c", full], capture_output=True, text=True, check=False)
    assert (result.returncode, result.stderr) == (1, "nono: No space left on device\n")


@pytest.mark.parametrize(
    ("raised", "status", "said"),
    [
        (KeyboardInterrupt(), 130, ""),
        (BrokenPipeError(), 1, ""),  # whoever reads the output, head(1) for instance, has enough
        (
            ImportError("no x"),
            1,
            "nono: a part of nono cannot be loaded: no x\nhint: if nono is being updated",
        ),
        (SyntaxError("y"), 1, "nono: a part of nono cannot be loaded: y\nhint: if nono is being updated"),
    ],
    ids=["Ctrl-C", "a closed pipe", "a module is gone", "half a module"],
)
def test_what_ends_a_command_has_its_status(
    raised: BaseException,
    status: int,
    said: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def end(arguments: list[str]) -> int:
        raise raised

    monkeypatch.setattr("nono.cli.main._dispatch", end)
    monkeypatch.setattr(sys, "stdout", sys.stdout)
    ended, _, told = outcome(capsys, "run")
    # Python flushes at exit, and would tell of a closed pipe itself.
    assert (ended, sys.stdout is None) == (status, isinstance(raised, BrokenPipeError))
    assert (told[: len(said)], bool(told)) == (said, bool(said))


def test_a_full_disk_is_named_by_path_with_what_helps(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(arguments: list[str]) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "/state/log")

    monkeypatch.setattr("nono.cli.main._dispatch", full)
    monkeypatch.setattr(sys, "stdout", sys.stdout)  # which is taken away, and given back
    status, _, said = outcome(capsys, "run")
    assert (status, said) == (
        1,
        "nono: /state/log: No space left on device\n"
        "hint: free space there; nono prune and nono rollback cleanup drop what is kept of old runs\n",
    )


@pytest.mark.parametrize(
    ("cause", "is_told"), [(errno.ENOSPC, True), (errno.EDQUOT, True), (errno.EROFS, False)]
)
def test_what_a_full_disk_prevents_is_told_with_what_helps(
    cause: int, is_told: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def prevented(arguments: list[str]) -> int:
        raise NonoError("the session cannot be recorded") from OSError(cause, os.strerror(cause))

    monkeypatch.setattr("nono.cli.main._dispatch", prevented)
    said = outcome(capsys, "run")[2]
    assert said.startswith("nono: the session cannot be recorded\n")
    assert ("hint: free space there" in said) is is_told


@pytest.mark.parametrize(
    ("cause", "named", "is_told"),
    [(errno.EROFS, "state", True), (errno.EROFS, "config", False), (errno.EACCES, "state", False)],
)
def test_a_read_only_home_is_told_with_where_the_state_may_be(
    cause: int,
    named: str,
    is_told: bool,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def prevented(arguments: list[str]) -> int:
        raise NonoError(f"{tmp_path}/{named}/nono/x: no") from OSError(cause, os.strerror(cause))

    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setattr("nono.cli.main._dispatch", prevented)
    assert ("hint: XDG_STATE_HOME=DIR nono ..." in outcome(capsys, "run")[2]) is is_told


def test_a_limit_for_files_is_told_with_what_shows_it(tmp_path: Path) -> None:
    limited = f"ulimit -f 0; exec {sys.executable} -m nono run --read /usr -- true"
    environment = {**os.environ, "XDG_STATE_HOME": str(tmp_path)}
    result = subprocess.run(
        ["sh", "-c", limited], capture_output=True, text=True, check=False, env=environment
    )
    assert (result.returncode, "File too large\nhint: no file may be larger here" in result.stderr) == (
        1,
        True,
    ), result.stderr


def test_a_file_that_is_too_large_to_be_read_is_told_without_a_limit(tmp_path: Path) -> None:
    (tmp_path / "trust-policy.json").touch()
    os.truncate(tmp_path / "trust-policy.json", 1 << 32)
    argv = [sys.executable, "-m", "nono", "run", "--allow", ".", "--", "true"]
    result = subprocess.run(argv, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (result.returncode, "ulimit" in result.stderr) == (1, False), result.stderr
    assert "larger than 4194304 bytes" in result.stderr


def test_too_few_descriptors_are_told_with_what_raises_their_number() -> None:
    few = f"ulimit -n 6; exec {sys.executable} -m nono run --allow /usr -- true"
    result = subprocess.run(["sh", "-c", few], capture_output=True, text=True, check=False)
    assert (result.returncode, "Too many open files\nhint: " in result.stderr) == (1, True), result.stderr
    assert "ulimit -n" in result.stderr


@pytest.mark.parametrize(
    ("error", "hint"),
    [
        (OSError(errno.EAGAIN, os.strerror(errno.EAGAIN)), "ulimit -u"),
        (BlockingIOError(errno.EAGAIN, "write could not complete without blocking", 0), None),
        (OSError(errno.EMFILE, os.strerror(errno.EMFILE), "/x"), "ulimit -n"),
        (OSError(errno.ENFILE, os.strerror(errno.ENFILE)), None),
    ],
)
def test_a_limit_of_the_shell_is_named_and_nothing_else_is_taken_for_one(
    error: OSError, hint: str | None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def limited(arguments: list[str]) -> int:
        raise error

    monkeypatch.setattr("nono.cli.main._dispatch", limited)
    monkeypatch.setattr(sys, "stdout", sys.stdout)
    said = outcome(capsys, "run")[2]
    assert (hint in said) if hint else ("hint:" not in said)


def test_no_hint_that_would_not_help_stands_beside_too_many_open_files(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def prevented(arguments: list[str]) -> int:
        cause = OSError(errno.EMFILE, os.strerror(errno.EMFILE))
        raise NonoError("the audit log cannot be opened", hint="--no-audit") from cause

    monkeypatch.setattr("nono.cli.main._dispatch", prevented)
    said = outcome(capsys, "run")[2]
    assert ("ulimit -n" in said, "--no-audit" in said) == (True, False)


@pytest.mark.parametrize(("code", "advised"), [(errno.ENOLCK, True), (errno.EACCES, False)])
def test_a_file_system_without_locks_is_left_by_a_variable(
    code: int, advised: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The hint of the error itself is about the mode of the directory."""

    def prevented(arguments: list[str]) -> int:
        raise NonoError("the key cannot be kept", hint="ls -ld /home/me") from OSError(
            code, os.strerror(code)
        )

    monkeypatch.setattr("nono.cli.main._dispatch", prevented)
    said = outcome(capsys, "run")[2]
    assert ("XDG_STATE_HOME=" in said, "ls -ld" in said) == (advised, not advised)


@pytest.mark.parametrize(("is_loaded", "advised"), [(True, True), (False, False)])
def test_an_error_is_told_although_no_advice_on_it_can_be_loaded(
    is_loaded: bool, advised: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def prevented(arguments: list[str]) -> int:
        raise NonoError("the log cannot be kept") from OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("nono.cli.main._dispatch", prevented)
    if not is_loaded:
        monkeypatch.setitem(sys.modules, "nono.cli.advice", None)
        monkeypatch.delattr("nono.cli.advice", raising=False)
    said = outcome(capsys, "run")[2]
    assert said.startswith("nono: the log cannot be kept\n")
    assert ("hint: free space there" in said) is advised


def test_an_error_keeps_its_own_hint_although_no_advice_can_be_loaded(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def prevented(arguments: list[str]) -> int:
        raise NonoError("the log cannot be kept", hint="--no-audit")

    monkeypatch.setattr("nono.cli.main._dispatch", prevented)
    monkeypatch.setitem(sys.modules, "nono.cli.advice", None)
    monkeypatch.delattr("nono.cli.advice", raising=False)
    assert outcome(capsys, "run")[2] == "nono: the log cannot be kept\nhint: --no-audit\n"


@pytest.mark.parametrize(
    ("mode", "of_another", "is_told"), [(0o700, 0, True), (0o500, 0, False), (0o700, 1, False)]
)
def test_only_a_directory_that_its_mode_opens_is_closed_by_a_sandbox(
    mode: int,
    of_another: int,
    is_told: bool,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def refuse(path: str, flags: int) -> int:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), path)

    def prevented(arguments: list[str]) -> int:
        monkeypatch.setattr("nono.cli.advice.os.open", refuse)
        raise NonoError(f"closed: {state}", hint="chmod 700") from PermissionError(errno.EACCES, "closed")

    state = tmp_path / "nono"
    state.mkdir(mode)
    monkeypatch.setattr("nono.cli.main._dispatch", prevented)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setattr("os.geteuid", lambda: tmp_path.stat().st_uid + of_another)
    hint = "a sandbox around this nono" if is_told else "chmod 700"
    assert f"hint: {hint}" in outcome(capsys, "run")[2]


@pytest.mark.parametrize(
    ("user", "own", "hint"),
    [
        pytest.param(1, "/home/ada", "export HOME=/home/ada", id="of another"),
        pytest.param(0, "/home/ada", "--no-audit", id="of this user"),
        pytest.param(1, "HOME", "--no-audit", id="of another, and the account's"),
    ],
)
def test_a_home_of_another_user_is_named_with_the_one_of_the_account(
    user: int,
    own: str,
    hint: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def prevented(arguments: list[str]) -> int:
        cause = PermissionError(errno.EACCES, "Permission denied")
        raise NonoError(
            f"the log cannot be opened: {tmp_path}/.local/state/nono", hint="--no-audit"
        ) from cause

    monkeypatch.setattr("nono.cli.main._dispatch", prevented)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("XDG_STATE_HOME", raising=False)
    account = SimpleNamespace(pw_dir=str(tmp_path) if own == "HOME" else own)
    monkeypatch.setattr("pwd.getpwuid", lambda _: account)
    monkeypatch.setattr("os.geteuid", lambda: tmp_path.stat().st_uid + user)
    assert hint in outcome(capsys, "run")[2].splitlines()[-1]


@pytest.mark.parametrize("value", [None, "", "relative"])
def test_a_home_that_is_missing_is_named_with_the_one_of_the_account(
    value: str | None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("HOME") if value is None else monkeypatch.setenv("HOME", value)
    status, _, err = outcome(capsys, "logs", "latest")
    assert status == 1
    assert err.splitlines() == [
        "nono: Environment variable 'HOME' validation failed: it must be set to an absolute path.",
        f"hint: export HOME={pwd.getpwuid(os.geteuid()).pw_dir}",
    ]
    monkeypatch.setenv("HOME", "/nonexistent")
    assert "export HOME" not in outcome(capsys, "logs", "latest")[2]


def test_a_closed_standard_stream_is_replaced_by_dev_null() -> None:
    closed = f"exec {sys.executable} -m nono credential set x <&- 2>&1"
    result = subprocess.run(["sh", "-c", closed], capture_output=True, text=True, check=False)
    assert (result.returncode, result.stdout) == (1, "nono: the value of 'x' is empty; nothing was stored\n")


def test_nothing_of_its_own_goes_to_stdout_when_stderr_is_closed() -> None:
    closed = f"exec {sys.executable} -m nono nonsense 2>&-"
    result = subprocess.run(["sh", "-c", closed], capture_output=True, text=True, check=False)
    assert (result.returncode, result.stdout) == (2, "")


def test_control_characters_of_a_name_are_spelled_out() -> None:
    assert printable("a\x1b[31m\x9b\r\u202eb\tü\n") == "a\\x1b[31m\\x9b\\r\\u202eb\tü\n"


@pytest.mark.parametrize(
    ("question", "option"),
    [
        ("/etc/passwd", "--path"),
        ("~/.ssh", "--path"),
        ("./x", "--path"),
        ("a.example", "--host"),
        ("https://a.example/x", "--host"),
        ("localhost", "--host"),
        ("NPM_TOKEN", "--env"),
    ],
)
def test_why_guesses_what_is_asked_about(
    question: str, option: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert outcome(capsys, "why", question) == outcome(capsys, "why", option, question)


def test_why_takes_one_question_only(capsys: pytest.CaptureFixture[str]) -> None:
    status, out, err = outcome(capsys, "why", "/etc", "--host", "a.example")
    assert (status, out, err.splitlines()[0]) == (2, "", "nono: '/etc' is a second question; ask one")


@pytest.mark.parametrize(
    ("words", "command"),
    [
        (["pause"], "detach"),
        (["resume"], "attach"),
        (["session", "cleanup"], "prune"),
        (["-s", "session", "cleanup"], "prune"),
        (["ls"], "ps"),
    ],
    ids=repr,
)
def test_another_name_runs_the_command(
    words: list[str], command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    status, out, _ = outcome(capsys, *words, "--help")
    assert (status, f"Usage: nono {command} " in out) == (0, True)


@pytest.mark.parametrize("words", [["session"], ["session", "list"]], ids=repr)
def test_a_word_that_is_only_half_of_a_name_is_refused(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    status, out, err = outcome(capsys, *words)
    assert (status, out) == (2, "")
    assert "nono ps" in err
    assert "nono session cleanup" in err


@pytest.mark.parametrize(
    "argv",
    [
        ["run", "--listen-port", "a\nb", "true"],
        ["run", "--sandbox-policy", "a\nb", "true"],
        ["run", "--a\nb", "true"],
        ["a\nb"],
        ["help", "a\nb"],
        ["logs", "a\nb"],
        ["profile", "show", "a\nb"],
        ["profile", "groups", "a\nb"],
        ["credential", "test", "a\nb"],
        ["why", "--host", "a\nb"],
    ],
    ids=repr,
)
def test_a_value_with_a_line_end_does_not_look_like_a_line_of_nono(
    argv: list[str], capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    status, out, err = outcome(capsys, *argv)
    assert (status > 0, out) == (True, "")
    assert [line for line in err.splitlines() if not line.startswith(("nono: ", "hint: "))] == []
