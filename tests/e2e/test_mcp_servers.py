"""An MCP server of a profile runs beside the command, with files, hosts and keys that the command has not."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Iterator, Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from nono.sessions.processes import process_stat
from support.nono_run import (
    NO_NAMESPACES,
    NONO,
    POLICIES,
    PROGRAM_GRANTS,
    PROXY_ONLY,
    TIMEOUT_S,
    Ended,
    NonoRun,
)
from support.ports import unused_port
from support.servers.http1 import HttpUpstream, Received, upstream
from support.sessions.detached import has_ended, wait_until
from support.sessions.records import nono, records
from support.terminal import terminal

KEY = "canary-of-the-real-key"
NAME, HOST = "tracker", "tracker.mcp.nono.alt"
FLAG = f"--mcp-server={NAME}"
CLIENT = [*NONO, "mcp", NAME]
# Asks the service once for each line, and answers as MCP's standard input and output do: a line of JSON.
ASKING = """
import json, os, sys, urllib.request
for line in sys.stdin:
    asked = json.loads(line)
    head = {"Authorization": "Bearer " + os.environ["TRACKER_TOKEN"]}
    request = urllib.request.Request(os.environ["TRACKER_BASE_URL"] + asked["path"], headers=head)
    with urllib.request.urlopen(request) as answer:
        print(json.dumps({"id": asked["id"], "said": answer.read().decode()}), flush=True)
"""
CALL = '{"id": 1, "path": "/issues"}\n'


def answer(request: Received) -> None:
    request.read_body()
    request.connection.respond(body=b"three issues")


@pytest.fixture
def tracker() -> Iterator[HttpUpstream]:
    with upstream(answer) as tracker:
        yield tracker


def service(tracker: HttpUpstream) -> dict[str, Any]:
    return service_at(tracker.port)


def service_at(port: int) -> dict[str, Any]:
    own = {
        "upstream": f"http://127.0.0.1:{port}",
        "credential_key": "env://REAL",
        "env_var": "TRACKER_TOKEN",
    }
    return {"network": {"credentials": ["tracker"], "custom_credentials": {"tracker": own}}}


def server(sandbox: NonoRun, program: str, more: Mapping[str, Any] = PROXY_ONLY, name: str = NAME) -> Path:
    """Write the profile of a server that is a Python program. Returns its file."""
    profiles = sandbox.user.home / ".config/nono/profiles"
    profiles.mkdir(parents=True, exist_ok=True)
    reads = [grant.removeprefix("--read=") for grant in PROGRAM_GRANTS]
    document = {
        "filesystem": {"read": reads},
        "binary": sys.executable,
        "command_args": ["-I", "-u", "-c", program],
        **more,
    }
    file = profiles / f"{name}.json"
    file.write_text(json.dumps(document))
    for each in (profiles.parent.parent, profiles.parent, profiles, file):
        sandbox.give(each)
    return file


def asked(sandbox: NonoRun, *flags: str, stdin: str = CALL, **variables: str) -> Ended:
    return sandbox.run(CLIENT, flags=flags, stdin=stdin, environment=variables)


@pytest.mark.parametrize("policy", POLICIES)
def test_a_server_uses_a_key_and_a_host_that_the_command_has_not(
    policy: str, sandbox: NonoRun, tracker: HttpUpstream
) -> None:
    server(sandbox, ASKING, service(tracker))
    command = ["sh", "-c", f'echo "token: $TRACKER_TOKEN" >&2; exec {" ".join(CLIENT)}']
    ended = sandbox.run(
        command, flags=[FLAG, f"--sandbox-policy={policy}"], stdin=CALL, environment={"REAL": KEY}
    )
    assert (ended.exit_code, ended.stdout) == (0, '{"id": 1, "said": "three issues"}\n'), ended.stderr
    assert [request.value(b"authorization") for request in tracker.requests] == [b"Bearer " + KEY.encode()]
    assert "token: \n" in ended.stderr
    assert (HOST, "allow") in {(event["target"], event["decision"]) for event in ended.network}

    itself = sandbox.run(
        ["curl", "-s", "-S", f"http://127.0.0.1:{tracker.port}/issues", "--noproxy", ""],
        flags=[FLAG, f"--sandbox-policy={policy}"],
        environment={"REAL": KEY},
    )
    assert ("127.0.0.1", tracker.port) in itself.denied_targets()
    assert len(tracker.requests) == 1


def test_a_server_that_the_run_does_not_name_is_refused(sandbox: NonoRun, tracker: HttpUpstream) -> None:
    server(sandbox, ASKING, service(tracker))
    server(sandbox, ASKING, service(tracker), "other")
    ended = asked(sandbox, "--mcp-server=other", REAL=KEY)
    assert ended.exit_code == 1
    assert "this run has no MCP server tracker" in ended.stderr
    assert "fix: --mcp-server tracker" in ended.stderr
    assert ended.denied_targets() == {(HOST, 1)}
    assert not tracker.requests


@pytest.mark.parametrize("profile", [{}, {"network": {"block": True}}], ids=["open", "blocked"])
def test_a_run_without_a_proxy_says_that_it_leads_to_no_server(
    profile: dict[str, object], sandbox: NonoRun
) -> None:
    server(sandbox, "pass")
    ended = sandbox.run(CLIENT, profile=profile, stdin=CALL)
    assert ended.exit_code == 1
    assert f"the MCP server '{NAME}' is not there: this run has no proxy" in ended.stderr
    assert f"nono run {FLAG.replace('=', ' ')}, outside" in ended.stderr


def test_an_open_network_names_its_servers_too(sandbox: NonoRun, tracker: HttpUpstream) -> None:
    server(sandbox, ASKING, service(tracker))
    for name, code in ((NAME, 0), ("other", 1)):
        command = [*NONO, "mcp", name]
        ended = sandbox.run(command, profile={}, flags=[FLAG], stdin=CALL, environment={"REAL": KEY})
        assert ended.exit_code == code, ended.stderr
    assert ended.denied_targets() == {("other.mcp.nono.alt", 1)}


def test_a_profile_names_its_servers(sandbox: NonoRun, tracker: HttpUpstream) -> None:
    server(sandbox, ASKING, service(tracker))
    profile = {"network": {"allow_domain": [], "mcp_servers": [NAME]}}
    ended = sandbox.run(CLIENT, profile=profile, stdin=CALL, environment={"REAL": KEY})
    assert ended.stdout == '{"id": 1, "said": "three issues"}\n', ended.stderr
    assert f"mcp  {NAME}, in a sandbox of its own" in ended.stderr


@pytest.mark.parametrize("flags", [(), (NO_NAMESPACES,)], ids=["namespaces", "no namespaces"])
def test_a_client_that_passes_no_variables_has_its_server_all_the_same(
    flags: tuple[str, ...], sandbox: NonoRun, tracker: HttpUpstream
) -> None:
    server(sandbox, ASKING, service(tracker))
    # As the SDKs of MCP, and Codex, start a server.
    started = f'env -i PATH="$PATH" HOME="$HOME" {" ".join(CLIENT)}'
    for named, code in ((FLAG, 0), ("--mcp-server=other", 1)):
        server(sandbox, ASKING, service(tracker), "other")
        command = ["sh", "-c", f"{started}; exit $?"]
        ended = sandbox.run(command, flags=[*flags, named], stdin=CALL, environment={"REAL": KEY})
        assert ended.exit_code == code, ended.stderr
    assert "this run has no MCP server tracker" in ended.stderr
    assert [request.value(b"authorization") for request in tracker.requests] == [b"Bearer " + KEY.encode()]


STREAMS = """
import hashlib, sys
data = sys.stdin.buffer.read()
sys.stderr.write("said to stderr")
sys.stdout.buffer.write(bytes(range(256)) * 16384 + hashlib.sha256(data).hexdigest().encode())
sys.exit(7)
"""


@pytest.mark.parametrize("where", ["inside", "outside"])
def test_input_outputs_and_exit_code_are_those_of_the_server(where: str, sandbox: NonoRun) -> None:
    server(sandbox, STREAMS)
    script = f"head -c 5000000 /dev/zero | {' '.join(CLIENT)} >answer; echo $? >code; wc -c <answer"
    if where == "inside":
        ended = sandbox.run(["sh", "-c", script], flags=[FLAG])
    else:
        ended = sandbox.bare(["sh", "-c", script])
    assert (sandbox.project / "code").read_text() == "7\n", ended.stderr
    found = (sandbox.project / "answer").read_bytes()
    assert found[:-64] == bytes(range(256)) * 16384
    assert found[-64:].decode() == sha256(bytes(5_000_000)).hexdigest()
    assert "said to stderr" in ended.stderr


def test_a_server_answers_each_line_as_it_comes(sandbox: NonoRun) -> None:
    server(sandbox, "import sys\nfor line in sys.stdin: print(line.strip().upper(), flush=True)")
    with sandbox.started(CLIENT, flags=[FLAG]) as run:
        assert run.stdin is not None
        assert run.stdout is not None
        for word in ("one", "two"):
            run.stdin.write(word + "\n")
            run.stdin.flush()
            assert run.stdout.readline() == word.upper() + "\n"
        run.communicate(timeout=TIMEOUT_S)  # or the server would go on for a moment, and write its record


ANSWERS_LATE = """
import sys, time
asked = sys.stdin.read()
time.sleep(6)
print("answer to " + asked, end="")
"""


def test_a_server_may_answer_long_after_its_input_has_ended(sandbox: NonoRun) -> None:
    server(sandbox, ANSWERS_LATE)
    ended = sandbox.run(CLIENT, flags=[FLAG], stdin="a question\n")
    assert (ended.exit_code, ended.stdout) == (0, "answer to a question\n"), ended.stderr
    assert "waiting for MCP servers" not in ended.stderr


FILLS = """
import os, sys, time
os.set_blocking(1, False)
written, last = 0, time.monotonic()
while time.monotonic() - last < 1:
    try: written, last = written + os.write(1, bytes(4096)), time.monotonic()
    except BlockingIOError: time.sleep(0.01)
print(written, file=sys.stderr)
"""


def test_a_client_that_reads_late_has_the_last_byte(sandbox: NonoRun) -> None:
    server(sandbox, FILLS)
    script = f"{' '.join(CLIENT)} | (read line <&3; wc -c)"
    with sandbox.started(["bash", "-c", f"({script}) 3<&0 </dev/null"], flags=[FLAG, "--silent"]) as run:
        wait_until(lambda: ended_of(sandbox) is not None, "the server goes on")
        time.sleep(1.5)  # longer than the carrier waits for what else holds the outputs
        told = run.communicate("read\n", timeout=TIMEOUT_S)
    assert told[0].split() == told[1].split(), told


def ended_of(sandbox: NonoRun) -> object:
    """Return how the session of the server has ended; None if it has not, or has not begun."""
    return next((each.get("end") for each in records(sandbox.user) if each["profile"] == NAME), None)


NEVER_WAITS = """
import os, socket, subprocess, sys
ours, theirs = socket.socketpair()
theirs.setblocking(False)
started = subprocess.Popen(sys.argv[1:], stdin=theirs, stdout=theirs)
theirs.close()
for word in ("one", "two"):
    ours.sendall(word.encode() + b"\\n")
    print(ours.makefile().readline(), end="", flush=True)
"""


def test_a_client_may_pass_streams_that_never_wait(sandbox: NonoRun) -> None:
    server(sandbox, "import sys\nfor line in sys.stdin: print(line.strip().upper() * 200_000, flush=True)")
    command = [sys.executable, "-I", "-S", "-c", NEVER_WAITS, *CLIENT]
    ended = sandbox.run(command, flags=[FLAG])
    assert ended.stdout.split() == ["ONE" * 200_000, "TWO" * 200_000], ended.stderr


LOOKS = """
import json, os, pathlib
def tried(path):
    try: pathlib.Path(path).write_text("x"); return "written"
    except OSError as error: return error.strerror
print(json.dumps({"project": tried(%r), "own": tried("note"), "at": os.getcwd(), "options": [
    name for name in os.environ if name == "NONO_ALLOW_DOMAIN"]}))
"""


def test_the_two_share_no_files_and_no_options(sandbox: NonoRun) -> None:
    server(sandbox, LOOKS % str(sandbox.project / "by-the-server"))
    own = sandbox.user.home / ".cache/nono/mcp" / NAME
    script = f"{' '.join(CLIENT)}; cat {own}/note; echo x >{own}/by-the-command"
    variables = {"NONO_ALLOW_DOMAIN": "example.com"}
    ended = sandbox.run(["sh", "-c", script], flags=[FLAG], environment=variables)
    found = json.loads(ended.stdout)
    assert found == {"project": "Permission denied", "own": "written", "at": str(own), "options": []}
    assert (own / "note").read_text() == "x"
    assert sorted(path.name for path in own.iterdir()) == ["note"]
    served = next(record for record in records(sandbox.user) if record["profile"] == NAME)
    log = sandbox.user.home / ".local/state/nono/audit" / served["session_id"] / "audit-events.ndjson"
    assert "example.com" not in log.read_text()


def test_python_loads_nothing_of_the_project_for_a_server(sandbox: NonoRun) -> None:
    server(sandbox, "print('up')")
    run_outside = sandbox.user.home / "run-outside"
    planted = sandbox.project / "sitecustomize.py"
    planted.write_text(f"open({str(run_outside)!r}, 'w').close()")
    variables = {"PYTHONPATH": str(sandbox.project)}  # an isolated nono heeds it no more than `python -I`
    sandbox.bare([sys.executable, "-c", ""], environment=variables)
    assert run_outside.exists()
    run_outside.unlink()
    ended = sandbox.run(CLIENT, flags=[FLAG], environment=variables)
    assert ended.stdout == "up\n", ended.stderr
    assert not run_outside.exists()


WAITS = """
import signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("up", flush=True)
time.sleep(600)
"""


@pytest.mark.parametrize(
    "end",
    [
        "the run ends",
        "the client is killed",
        "nono is killed",
        "its carrier is killed",
        "its pipes are closed",
    ],
)
def test_a_server_ends_with_its_client(end: str, sandbox: NonoRun) -> None:
    server(sandbox, WAITS)
    script = f"""
        coproc exec {" ".join(CLIENT)}
        read line <&${{COPROC[0]}}; echo "$line"
        read line; eval "$line"; sleep 600
    """
    with sandbox.started(["bash", "-c", script], flags=[FLAG], is_own_child=True) as run:
        assert run.stdin is not None
        assert run.stdout is not None
        assert run.stdout.readline() == "up\n"
        served = next(record for record in records(sandbox.user) if record["profile"] == NAME)
        pid, command = served["supervisor_pid"], served["child_pid"]
        if end == "the run ends":
            run.send_signal(signal.SIGTERM)
            told = run.communicate(timeout=TIMEOUT_S)[1]
            assert has_ended(pid)
            assert "waiting for MCP servers to end" in told
        elif end == "nono is killed":
            run.kill()
        elif end == "its carrier is killed":
            carrier = process_stat(pid)
            assert carrier is not None
            os.kill(carrier.parent, signal.SIGKILL)
        else:
            closed = "exec {COPROC[0]}<&- {COPROC[1]}>&-"
            run.stdin.write(("kill -9 $COPROC_PID" if end == "the client is killed" else closed) + "\n")
            run.stdin.flush()
        wait_until(lambda: has_ended(pid) and has_ended(command), "the server goes on")


def test_what_carries_the_streams_of_a_server_shows_nobody_its_environment(sandbox: NonoRun) -> None:
    server(sandbox, WAITS)
    with sandbox.started(CLIENT, flags=[FLAG]) as run:
        assert run.stdout is not None
        assert run.stdout.readline() == "up\n"
        served = next(record for record in records(sandbox.user) if record["profile"] == NAME)
        carrier = process_stat(served["supervisor_pid"])
        assert carrier is not None
        assert sandbox.bare(["cat", f"/proc/{carrier.parent}/comm"]).exit_code == 0
        assert sandbox.bare(["cat", f"/proc/{carrier.parent}/environ"]).exit_code != 0


def test_a_run_has_so_many_servers_at_once(sandbox: NonoRun) -> None:
    server(sandbox, "import sys; sys.stdin.read()")
    script = f"for i in $(seq 17); do {' '.join(CLIENT)} < <(sleep 600) & done; wait -n; echo $?"
    ended = sandbox.run(["bash", "-c", script], flags=[FLAG])
    assert ended.stdout == "1\n"
    assert "16 servers of this run have not ended" in ended.stderr


def test_a_denial_during_the_run_cuts_a_server(sandbox: NonoRun) -> None:
    server(sandbox, "import time; print('up', flush=True); time.sleep(600)")
    with sandbox.started(CLIENT, flags=[FLAG, "--name=cut"]) as run:
        assert run.stdout is not None
        assert run.stdout.readline() == "up\n"
        assert nono(sandbox, "deny", "--session", "cut", HOST).returncode == 0
        _, told = run.communicate(timeout=TIMEOUT_S)
    assert run.returncode == 1
    assert "the run ended the server" in told


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"binary": None}, "profile 'tracker' names no program to start"),
        ({"network": {"mcp_servers": ["other"]}}, "a server has none of its own"),
    ],
    ids=["without a program", "with servers"],
)
def test_a_profile_that_is_no_server_ends_the_start(
    more: dict[str, Any], said: str, sandbox: NonoRun
) -> None:
    server(sandbox, "pass", {**PROXY_ONLY, **more})
    ended = sandbox.run(["true"], flags=[FLAG])
    assert ended.exit_code != 0
    assert said in ended.stderr
    if "binary" in more:
        assert said in sandbox.bare(CLIENT).stderr
    server(sandbox, "pass")
    assert sandbox.run(["true"], flags=[FLAG]).exit_code == 0


@pytest.mark.parametrize(
    ("binary", "arguments"),
    [
        ("{}/server", []),
        ("python3", ["-u", "{}/server.py"]),
        ("deno", ["run", "--config={}/server.ts"]),
        ("env", ["{}/server"]),
        ("uv", ["--directory", "{}", "run", "server.py"]),
        ("npm", ["--prefix={}", "start"]),
        ("uvx", ["--from", "{}", "server"]),
        ("uvx", ["--with=requests,tools@file://{}[http]", "server"]),
        ("npx", ["-y", "{}"]),
        ("npx", ["-y", "file:{}"]),
        ("bun", ["run", "{}"]),
        ("node", ["--import=file://{}/server.data", "server"]),
        ("node", ["--inspect", "{}"]),
    ],
    ids=[
        *("program", "script", "value", "executable", "directory", "prefix", "source", "one of several"),
        *("package", "URL of a package", "run", "module", "directory of a module"),
    ],
)
def test_a_program_that_the_command_may_write_ends_the_start(
    binary: str, arguments: list[str], sandbox: NonoRun
) -> None:
    program = sandbox.project / "server"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    elsewhere = sandbox.user.home / "elsewhere"
    for place, code in ((sandbox.project, 1), (elsewhere, 0)):
        words = [word.format(place) for word in (binary, *arguments)]
        server(sandbox, "", {**PROXY_ONLY, "binary": words[0], "command_args": words[1:]})
        ended = sandbox.run(["true"], flags=[FLAG])
        assert ended.exit_code == code, ended.stderr
        assert ("and so decide what the server is" in ended.stderr) is bool(code)


PRINTED: dict[str, Any] = {"credential_key": "cmd://vend", "env_var": "TRACKER_TOKEN"}


def outside_of(runs: str, place: Path, sandbox: NonoRun) -> dict[str, Any]:
    """Return a profile whose run uses a file at `place` outside the sandbox, which this makes."""
    program = place / "program"
    program.write_text(KEY if runs.endswith("file") else f"#!/bin/sh\necho {KEY}\n")
    program.chmod(0o700)
    sandbox.give(program)
    reference = f"file://{program}" if runs.endswith("file") else "cmd://vend"
    key = {"upstream": "https://127.0.0.1:9", "credential_key": reference, "env_var": "TRACKER_TOKEN"}
    keyed: dict[str, Any] = {"network": {"credentials": ["tracker"], "custom_credentials": {"tracker": key}}}
    documents: dict[str, dict[str, Any]] = {
        "hook": {**PROXY_ONLY, "session_hooks": {"before": {"script": str(program)}}},
        "credential_capture": {"credential_capture": {"vend": {"command": [str(program)]}}, **keyed},
        "key file": keyed,
        "variable of a file": {**PROXY_ONLY, "env_credentials": {reference: "TRACKER_TOKEN"}},
    }
    return documents[runs]


@pytest.mark.parametrize("runs", ["hook", "credential_capture", "key file", "variable of a file"])
def test_what_runs_for_a_server_outside_is_not_the_commands_to_write(runs: str, sandbox: NonoRun) -> None:
    """Each is outside of every sandbox, and the run of the server would not know of this command."""
    own = sandbox.make(sandbox.user.home / "own")
    for place, code in ((sandbox.project, 1), (own, 0)):
        server(sandbox, "pass", outside_of(runs, place, sandbox))
        ended = sandbox.run(["true"], flags=[FLAG])
        assert ended.exit_code == code, ended.stderr
        assert (f"--mcp-server: profile '{NAME}': " in ended.stderr) is bool(code)
        assert (f"{place}, which " in ended.stderr) is bool(code)


def test_no_keyring_is_asked_for_the_key_of_a_server_at_a_bus_in_the_commands_reach(
    sandbox: NonoRun,
) -> None:
    environment = {"DBUS_SESSION_BUS_ADDRESS": f"unix:path={sandbox.project}/bus", "REAL": KEY}
    for reference, code in (("keyring://tracker/me", 1), ("env://REAL", 0)):
        key = {"upstream": "https://127.0.0.1:9", "credential_key": reference, "env_var": "TRACKER_TOKEN"}
        keyed = {"network": {"credentials": ["tracker"], "custom_credentials": {"tracker": key}}}
        server(sandbox, "pass", keyed)
        ended = sandbox.run(["true"], flags=[FLAG], environment=environment)
        assert ended.exit_code == code, ended.stderr
        assert (f"MCP server '{NAME}': DBUS_SESSION_BUS_ADDRESS names" in ended.stderr) is bool(code)


@pytest.mark.parametrize("way", ["program of AWS", "link"])
def test_what_prints_keys_for_a_server_is_not_the_commands_to_replace(way: str, sandbox: NonoRun) -> None:
    """Neither is seen in its profile: the settings of AWS name one, and a link leads to the other."""
    own, aws = sandbox.make(sandbox.user.home / "own"), sandbox.make(sandbox.user.home / ".aws")
    (sandbox.project / "link").symlink_to(own)
    key: dict[str, Any] = {"upstream": "https://bedrock-runtime.us-east-1.amazonaws.com"}
    signs: dict[str, Any] = {"aws_auth": {}}
    key.update(signs if way == "program of AWS" else PRINTED)
    for place, code in ((sandbox.project / "link", 1), (own, 0)):
        program = place / "program"
        program.write_text(f"#!/bin/sh\necho {KEY}\n")
        program.chmod(0o700)
        sandbox.give(program)
        (aws / "config").write_text(f"[profile work]\ncredential_process = '{program}' --for work\n")
        sandbox.give(aws / "config")
        captured = {"credential_capture": {"vend": {"command": [str(program)]}}} if way == "link" else {}
        keyed = {"network": {"credentials": ["tracker"], "custom_credentials": {"tracker": key}}}
        server(sandbox, "pass", {**captured, **keyed})
        ended = sandbox.run(["true"], flags=[FLAG])
        assert ended.exit_code == code, ended.stderr
        assert (f"--mcp-server: profile '{NAME}': " in ended.stderr) is bool(code)
        assert ("runs outside the sandbox to fetch its key" in ended.stderr) is bool(code)


@pytest.mark.parametrize("whose", ["the command", "another server"])
@pytest.mark.parametrize("runs", ["hook", "credential_capture", "key file", "variable of a file"])
def test_what_runs_outside_is_no_servers_to_write_for(whose: str, runs: str, sandbox: NonoRun) -> None:
    """The command has a server's tools do what it may not itself."""
    granted = sandbox.make(sandbox.user.home / "granted")
    own = sandbox.make(sandbox.user.home / "own")
    reads = [grant.removeprefix("--read=") for grant in PROGRAM_GRANTS]
    server(sandbox, "pass", {**PROXY_ONLY, "filesystem": {"read": reads, "allow": [str(granted)]}})
    for place, code in ((granted, 1), (own, 0)):
        document: Mapping[str, Any] = outside_of(runs, place, sandbox)
        flags = [FLAG]
        if whose == "another server":
            server(sandbox, "pass", document, "other")
            document, flags = PROXY_ONLY, [FLAG, "--mcp-server=other"]
        ended = sandbox.run(["true"], profile=document, flags=flags)
        assert ended.exit_code == code, ended.stderr
        beside = "the command of this run" if whose == "the command" else "the server 'other'"
        assert (f"--mcp-server: profile '{NAME}', beside {beside}: " in ended.stderr) is bool(code)
        assert (f"{place}, which " in ended.stderr) is bool(code)


def test_a_program_that_another_server_may_write_ends_the_start(sandbox: NonoRun) -> None:
    granted, elsewhere = sandbox.user.home / "granted", sandbox.user.home / "elsewhere"
    reads = [grant.removeprefix("--read=") for grant in PROGRAM_GRANTS]
    server(sandbox, "", {**PROXY_ONLY, "filesystem": {"read": reads, "allow": [str(sandbox.make(granted))]}})
    for place, code in ((granted, 1), (elsewhere, 0)):
        server(sandbox, "", {**PROXY_ONLY, "binary": str(place / "program")}, "other")
        ended = sandbox.run(["true"], flags=[FLAG, "--mcp-server=other"])
        assert ended.exit_code == code, ended.stderr
        said = f"this server may write {place / 'program'}, and so decide what the server is"
        assert (said in ended.stderr) is bool(code)


@pytest.mark.needs("listener")
def test_the_command_does_not_answer_for_the_host_of_a_server(sandbox: NonoRun) -> None:
    """A service of this machine without TLS is known by its port alone."""
    port = unused_port()
    server(sandbox, ASKING, service_at(port))
    listening = (
        "import socket, sys\n"
        "for port in map(int, sys.argv[1:]):\n"
        "    try:\n"
        "        socket.socket().bind(('127.0.0.1', port)); print('bound')\n"
        "    except OSError as error:\n"
        "        print(error.strerror)\n"
    )
    argv = [sys.executable, "-I", "-c", listening, str(port), str(unused_port())]
    ended = sandbox.run(argv, flags=[FLAG], environment={"REAL": KEY})
    assert ended.stdout == "Permission denied\nbound\n", ended.stderr
    alone = sandbox.run(argv)
    assert alone.stdout == "bound\nbound\n", alone.stderr


def test_the_command_has_no_variable_that_holds_the_key_of_a_server(
    sandbox: NonoRun, tracker: HttpUpstream
) -> None:
    server(sandbox, ASKING, service(tracker))
    for flags, shown in (([FLAG], ""), ([], KEY)):
        ended = sandbox.run(["sh", "-c", "echo $REAL"], flags=flags, environment={"REAL": KEY})
        assert ended.stdout == f"{shown}\n", ended.stderr


@pytest.mark.parametrize("whose", ["the command", "another server"])
def test_a_server_has_no_variable_that_holds_the_key_of(
    whose: str, sandbox: NonoRun, tracker: HttpUpstream
) -> None:
    server(sandbox, 'import os; print(os.environ.get("REAL"))')
    server(sandbox, ASKING, service(tracker), "other")
    flags = [FLAG, *(["--mcp-server=other"] if whose == "another server" else [])]
    profile = service(tracker) if whose == "the command" else PROXY_ONLY
    variables = {"REAL": KEY}
    ended = sandbox.run(CLIENT, profile=profile, flags=flags, environment=variables)
    assert ended.stdout == "None\n", ended.stderr
    assert sandbox.run(CLIENT, flags=[FLAG], environment=variables).stdout == f"{KEY}\n"


def test_a_server_and_the_command_may_have_one_key(sandbox: NonoRun, tracker: HttpUpstream) -> None:
    server(sandbox, ASKING, service(tracker))
    ended = sandbox.run(CLIENT, profile=service(tracker), flags=[FLAG], stdin=CALL, environment={"REAL": KEY})
    assert ended.stdout == '{"id": 1, "said": "three issues"}\n', ended.stderr
    assert tracker.requests[0].value(b"authorization") == b"Bearer " + KEY.encode()


def test_a_server_may_be_told_of_a_project_that_the_command_writes(sandbox: NonoRun) -> None:
    database = sandbox.project / "issues.db"
    database.write_text("")
    words = [str(sandbox.project), "--db-path", str(database), f"--root={sandbox.project}"]
    for started in (["npx", "-y", "tracker-mcp@1.4.2"], ["tracker-mcp"]):
        own = {"binary": started[0], "command_args": [*started[1:], *words]}
        server(sandbox, "", {**PROXY_ONLY, **own})
        ended = sandbox.run(["true"], flags=[FLAG])
        assert ended.exit_code == 0, ended.stderr


@pytest.mark.parametrize(
    "granted", [".cache", ".cache/nono/mcp/tracker", ".cache/nono/mcp/tracker/bin", ".cache/nono/caches"]
)
def test_a_command_that_may_write_where_a_server_starts_or_has_its_caches_does_not_start(
    granted: str, sandbox: NonoRun
) -> None:
    server(sandbox, "pass")
    directory = sandbox.user.home / granted
    directory.mkdir(parents=True)
    for each in (directory, *directory.parents):
        if each == sandbox.user.home:
            break
        sandbox.give(each)
    ended = sandbox.run(["true"], flags=[FLAG, f"--allow={directory}"])
    assert "and so decide what the server is" in ended.stderr
    assert sandbox.run(["true"], flags=[FLAG, f"--read={directory}"]).exit_code == 0


def test_a_link_from_where_a_server_starts_into_the_project_ends_the_start(sandbox: NonoRun) -> None:
    server(sandbox, "pass")
    caches = sandbox.user.home / ".cache/nono"
    caches.mkdir(parents=True)
    (caches / "mcp").symlink_to(sandbox.project)
    for each in (caches.parent, caches):
        sandbox.give(each)
    ended = sandbox.run(["true"], flags=[FLAG])
    assert f"the command may write {sandbox.project}/{NAME}, and so decide" in ended.stderr


@pytest.mark.needs("listener")
@pytest.mark.parametrize("is_piped", [True, False], ids=["a client", "a person"])
def test_a_server_asks_nobody_at_the_terminal_of_its_client(is_piped: bool, sandbox: NonoRun) -> None:
    secret = sandbox.user.home / "secret"
    secret.write_text("secret")
    sandbox.give(secret)
    asks = {"security": {"capability_elevation": True}}
    server(sandbox, f"open({str(secret)!r})", {**PROXY_ONLY, **asks})
    started = " ".join(CLIENT)
    script = f"sleep 60 | {started}; echo the end" if is_piped else f"{started}; echo the end"
    argv = sandbox.user.command(["sh", "-c", script])
    with terminal(argv, sandbox.user.environment({}), sandbox.project) as person:
        person.wait_for(b"PermissionError" if is_piped else b"Grant access?")
        assert (b"Grant access?" in person.shown) is not is_piped


def test_a_server_whose_profile_the_command_may_write_ends_the_start(sandbox: NonoRun) -> None:
    file = server(sandbox, "pass")
    lifted = [f"--bypass-protection={file.parent}"]
    ended = sandbox.run(["true"], flags=[FLAG, *lifted, f"--allow={file.parent}"])
    assert f"the command may write {file}, and so decide what the server is" in ended.stderr
    assert sandbox.run(["true"], flags=[FLAG, *lifted, f"--read={file.parent}"]).exit_code == 0


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--mcp-server=nobody"], "Profile not found: nobody"),
        (["--mcp-server=./tracker.json"], "is not the name of a profile in lower case"),
        ([FLAG, "--block-net"], "--block-net and --mcp-server are contradictory"),
        ([FLAG, "--allow-net"], "--allow-net and --mcp-server contradict each other"),
    ],
)
def test_what_names_no_server_is_refused(flags: list[str], said: str, sandbox: NonoRun) -> None:
    server(sandbox, "pass")
    assert said in sandbox.run(["true"], profile={}, flags=flags).stderr
