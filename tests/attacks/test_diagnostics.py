"""What a person is told after a run: only what was seen, with the rule and the flag, and nothing forged."""

from __future__ import annotations

import json
import shlex
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from support.nono_run import NO_NAMESPACES, NonoRun

pytestmark = pytest.mark.any_user  # what is told comes from the records; e2e has ordinary users read it

TITLE = "NONO DIAGNOSTIC"
BLOCKED = {"network": {"block": True}}
CURL = "curl -sS --max-time 20 -o /dev/null"


@contextmanager
def served_outside(sandbox: NonoRun) -> Iterator[str]:
    """Yield the path of somebody else's socket, which nobody may reach without a grant."""
    path = sandbox.user.home / "x.sock"
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        server.listen()
        path.chmod(0o777)
        yield str(path)
    path.unlink()


@pytest.mark.needs("listener")
def test_each_denial_is_named_with_its_rule_and_fix(sandbox: NonoRun) -> None:
    with socket.create_server(("127.0.0.1", 0)) as outside, served_outside(sandbox) as path:
        port = outside.getsockname()[1]
        script = (
            f"{CURL} https://evil.example/; {CURL} --noproxy '*' http://127.0.0.1:{port}/;"
            f"{CURL} --unix-socket {path} http://x/; {CURL} http://y.example/no; exit 3"
        )
        run = sandbox.run(["sh", "-c", script], flags=["--allow-domain=http://y.example/yes"])
    assert run.exit_code == 3
    _, _, told = run.stderr.partition(TITLE)
    lines = [line.strip() for line in told.splitlines()]
    assert "Command exited with code 3." in lines
    assert "fix: --allow-domain evil.example" in lines
    assert f"fix: --open-port {port}" in lines
    assert f"fix: --allow-unix-socket {path}" in lines
    assert "fix: --allow-domain http://y.example/no" in lines
    assert "rule: network.proxy_only" in " ".join(lines)
    assert "grants any request to evil.example" in lines
    assert f"grants connecting to port {port} of this machine, and listening there" in lines
    assert {event["target"] for event in run.denied} >= {
        "evil.example",
        "127.0.0.1",
        f"unix:{path}",
        "y.example",
    }
    assert max(map(len, told.splitlines())) <= 80


def test_denials_that_one_option_would_allow_share_its_line(sandbox: NonoRun) -> None:
    script = (
        f"{CURL} https://evil.example/; {CURL} http://evil.example/; {CURL} https://evil.example/; exit 3"
    )
    run = sandbox.run(["sh", "-c", script])
    assert run.denied_targets() >= {("evil.example", 443), ("evil.example", 80)}
    _, _, told = run.stderr.partition(TITLE)
    told, _, _ = told.partition("  blocked ")  # what a long run has blocked is counted once more
    assert told.count("evil.example:443") == told.count("at evil.example:80") == 1
    assert fixes(told) == ["--allow-domain evil.example"]


@pytest.mark.needs("listener")
def test_a_socket_named_after_a_process_gets_no_option(sandbox: NonoRun) -> None:
    bind = "import socket, sys; socket.socket(socket.AF_UNIX).bind(sys.argv[1])"
    for name, offered in (("4077.sock", []), ("main.sock", ["--allow-unix-socket-bind /run/main.sock"])):
        run = sandbox.run([sys.executable, "-I", "-S", "-c", bind, f"/run/{name}"])
        assert f"unix socket /run/{name}" in run.stderr
        assert fixes(run.stderr) == offered
        assert {event["target"] for event in run.denied} == {f"unix:/run/{name}"}


@pytest.mark.needs("listener")
def test_an_opened_file_that_nobody_was_asked_about_is_named(sandbox: NonoRun) -> None:
    key = sandbox.user.home / ".ssh"
    key.mkdir(exist_ok=True)
    sandbox.give(key)
    run = sandbox.run(["cat", str(key)], flags=["--capability-elevation"], profile=BLOCKED)
    assert f"{key} (Read)" in run.stderr
    assert f"fix: --read {key} --bypass-protection {key}" in run.stderr
    key.rmdir()


@pytest.mark.parametrize(
    "command",
    [["false"], ["grep", "no such line", "/etc/passwd"], ["test", "-f", "/nowhere"], ["sh", "-c", "exit 5"]],
    ids=" ".join,
)
def test_a_run_failing_for_its_own_reasons_is_told_nothing(sandbox: NonoRun, command: list[str]) -> None:
    run = sandbox.run(command, profile=BLOCKED)
    assert run.exit_code in (1, 5)
    assert TITLE not in run.stderr


def test_nothing_is_told_after_ctrl_c(sandbox: NonoRun) -> None:
    script = f"{CURL} https://evil.example/; kill -INT $$"
    run = sandbox.run(["sh", "-c", script])
    assert (run.exit_code, TITLE in run.stderr) == (130, False)
    assert ("evil.example", 443) in run.denied_targets()
    terminated = sandbox.run(["sh", "-c", script.replace("INT", "TERM")])
    assert (terminated.exit_code, TITLE in terminated.stderr) == (143, True)


def test_nothing_is_told_after_a_run_that_ends_well(sandbox: NonoRun) -> None:
    assert TITLE not in sandbox.run(["true"], profile=BLOCKED).stderr


def test_nothing_is_told_to_who_does_not_want_to_hear_it(sandbox: NonoRun) -> None:
    for flag in ("--silent", "--no-diagnostics"):
        run = sandbox.run(["false"], flags=[flag], profile=BLOCKED)
        assert (run.exit_code, TITLE in run.stderr) == (1, False)


def test_a_signal_is_named(sandbox: NonoRun) -> None:
    run = sandbox.run(["sh", "-c", "kill -KILL $$"], profile=BLOCKED)
    assert (run.exit_code, "killed by signal 9 (SIGKILL)" in run.stderr) == (137, True)


def test_a_command_writes_no_line_of_the_diagnostic(sandbox: NonoRun) -> None:
    """It chooses the host and the path of what is refused."""
    forged = "http://evil.example/%0a%1b[2J/a\\x1b[2Jb"
    run = sandbox.run(
        ["sh", "-c", f"{CURL} --globoff '{forged}'; false"], flags=["--allow-domain=x.example"], profile={}
    )
    assert TITLE in run.stderr
    assert "\x1b" not in run.stderr


def fixes(stderr: str) -> list[str]:
    """Return the fix lines of a diagnostic, as somebody would copy them."""
    return [
        line.strip().removeprefix("fix: ") for line in stderr.splitlines() if line.strip().startswith("fix: ")
    ]


def as_a_shell_reads(line: str, sandbox: NonoRun) -> list[str]:
    """Return the words of a line as a shell in the project splits it."""
    argv = ["sh", "-c", f"printf '%s\\n' {line}"]
    return subprocess.run(
        argv, cwd=sandbox.project, capture_output=True, text=True, check=False, timeout=20
    ).stdout.splitlines()


@pytest.mark.skipif(not shutil.which("script"), reason="there is no script(1)")
def test_what_is_offered_to_a_program_that_opens_terminals_is_enough(sandbox: NonoRun) -> None:
    """Without namespaces, where no terminals are its own."""
    command = ["script", "-qc", "echo typed", "/dev/null"]
    refused = sandbox.run(command, profile={}, flags=[NO_NAMESPACES])
    offered = [word for fix in fixes(refused.stderr) for word in shlex.split(fix)]
    granted = sandbox.run(command, profile={}, flags=[NO_NAMESPACES, *offered])
    assert (refused.exit_code, granted.exit_code) == (1, 0), granted.stderr
    assert "typed" in granted.stdout


@pytest.mark.needs("listener")
@pytest.mark.parametrize(
    "path",
    [
        "/run/x;touch OWNED;#",
        "/run/$(touch OWNED)",
        "/run/`touch OWNED`",
        "/run/'; touch OWNED; '",
        "/run/x --allow /home",
        "/run/`--allow /home`",
    ],
)
def test_a_path_that_the_command_chose_is_one_word_of_its_fix(path: str, sandbox: NonoRun) -> None:
    bind = "import socket, sys; socket.socket(socket.AF_UNIX).bind(sys.argv[1])"
    run = sandbox.run([sys.executable, "-I", "-S", "-c", bind, path])
    [fix] = fixes(run.stderr)
    assert as_a_shell_reads(fix, sandbox) == ["--allow-unix-socket-bind", path]
    assert shlex.split(fix) == ["--allow-unix-socket-bind", path]  # as what is offered to be saved is read
    assert not (sandbox.project / "OWNED").exists()
    assert f"unix:{path}" in {event["target"] for event in run.denied}


def test_a_request_that_the_command_chose_is_one_word_of_its_fix(sandbox: NonoRun) -> None:
    url = "http://y.example/no;echo$IFS&'$(id)"
    flags = ["--allow-domain=http://y.example/yes"]
    run = sandbox.run(["sh", "-c", f'{CURL} --globoff "$1"; false', "sh", url], flags=flags)
    [fix] = fixes(run.stderr)
    assert as_a_shell_reads(fix, sandbox) == ["--allow-domain", url]
    assert not (sandbox.project / "OWNED").exists()


def test_no_fix_for_what_the_command_asked_for_grants_more_than_that(sandbox: NonoRun) -> None:
    """A group of hosts by its name, all paths of a host by one that is a pattern."""
    urls = ["https://llm_apis/", "http://y.example/**", "http://y.example/[a-z]", "http://y.example/no"]
    script = f'for url; do {CURL} --globoff "$url"; done; false'
    run = sandbox.run(["sh", "-c", script, "sh", *urls], flags=["--allow-domain=http://y.example/yes"])
    assert fixes(run.stderr) == ["--allow-domain llm_apis:443", "--allow-domain http://y.example/no"]
    assert "a rule for GET /**" not in run.stderr


@pytest.mark.needs("listener")
def test_the_same_is_had_as_json(sandbox: NonoRun) -> None:
    with served_outside(sandbox) as path:
        script = f"{CURL} https://evil.example/; {CURL} --unix-socket {path} http://x/; exit 4"
        run = sandbox.run(["sh", "-c", script], flags=["--silent", "--diagnostics-json"])
    document = json.loads(run.stderr[run.stderr.index("{\n") :])
    session = document["session"]
    assert session["exit_code"] == 4
    assert session["ipc_denials"] == [
        {
            "target": path,
            "operation": "connect",
            "reason": "UnixSocketDenied",
            "remediation": "grant_unix_socket",
            "suggested_flag": f"--allow-unix-socket {path}",
        }
    ]
    assert [each["code"] for each in session["diagnostics"]] == [
        "sandbox_denied_network",
        "sandbox_denied_unix_socket",
    ]
    assert document["proxy"][0]["hint"] == "--allow-domain evil.example"


def test_a_host_is_not_offered_for_a_request_without_the_token(sandbox: NonoRun) -> None:
    """Anybody on this machine can send one to the proxy, with a host of their choice."""
    without = f'{CURL} --proxy "http://${{HTTP_PROXY##*@}}" http://planted.example/'
    # Where nono knows a connection of the command by its socket, nobody else gets as far as a host.
    flags = ["--sandbox-policy=landlock"]
    run = sandbox.run(["sh", "-c", f"{without}; {CURL} http://asked.example/; false"], flags=flags)
    assert fixes(run.stderr) == ["--allow-domain asked.example"]
    assert {event["target"] for event in run.denied} >= {"planted.example", "asked.example"}
