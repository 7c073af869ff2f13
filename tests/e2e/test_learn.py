"""`nono learn`: real commands are watched, and run again under the profile that came of it."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import socket
import sys
import sysconfig
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.clients.run import Stage, service, stage
from support.learning import Learner
from support.nono_run import PROGRAM_GRANTS, nono_run
from support.ports import unused_port
from support.servers.git import ENVIRONMENT, git_server
from support.servers.http1 import answer_ok, upstream
from support.servers.package_indexes import Index, basic, python_pages

PYTHON = (sys.executable, "-I", "-S", "-B", "-c")
WHO = ["user"] if os.geteuid() else ["root"]  # CI runs them as both
needs_git = pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")


@pytest.fixture(params=WHO)
def learner(request: pytest.FixtureRequest) -> Iterator[Learner]:
    with nono_run(as_root=request.param == "root") as runner:
        yield Learner(runner)


@pytest.fixture
def made() -> Iterator[Stage]:
    with stage() as made:
        yield made


def write(learner: Learner, path: str, text: str) -> Path:
    """Write a file of the user's, with the directories above it."""
    file = learner.runner.user.home / path
    for directory in reversed([*file.parents]):
        if not directory.exists():
            directory.mkdir(mode=0o700)
            learner.runner.give(directory)
    file.write_text(text)
    return learner.runner.give(file)


def test_a_project_below_tmp_is_learned_as_any_other(learner: Learner) -> None:
    """A group lets every command write /tmp, but a run has its own, in which the project shows through."""
    with tempfile.TemporaryDirectory(dir="/tmp") as name:
        project = learner.runner.give(Path(name))
        workdir = f"--workdir={project}"
        read, written = ["sh", "-c", "ls"], ["sh", "-c", "echo made > file; ls"]
        learned = learner.learn(read, flags=["--yes", workdir])
        assert learner.profile["workdir"] == {"access": "read"}, learned.stderr
        refused = learner.again(written, flags=[workdir])
        assert "cannot create file: Read-only file system" in refused.stderr or "denied" in refused.stderr
        assert not (project / "file").exists()
        learned = learner.learn(written, flags=["--yes", workdir, f"--profile={learner.file.stem}"])
        assert learner.profile["workdir"] == {"access": "readwrite"}, learned.stderr
        (project / "file").unlink()
        again = learner.again(written, flags=[workdir])
        assert (again.exit_code, again.stdout) == (0, "file\n"), again.stderr


def test_a_command_runs_again_with_only_what_was_learned(learner: Learner) -> None:
    write(learner, ".toolrc", "colour\n")
    write(learner, ".otherrc", "another\n")
    command = ["sh", "-c", "cat ~/.toolrc && mkdir -p out && cp ~/.toolrc out/copy && ls out"]
    learned = learner.learn(command)
    assert (learned.exit_code, learned.stdout) == (0, "colour\ncopy\n"), learned.stderr
    assert f" --allow-cwd -- {shlex.join(command)}\n" in learned.stderr
    assert learner.profile == {
        "meta": {"name": "learned"},
        "workdir": {"access": "readwrite"},
        "filesystem": {"read_file": ["~/.toolrc"]},
        "network": {"block": True},
    }
    shutil.rmtree(learner.runner.project / "out")
    again = learner.again(command)
    assert (again.exit_code, again.stdout) == (0, "colour\ncopy\n"), again.stderr
    refused = learner.again(["cat", f"{learner.runner.user.home}/.otherrc"])
    assert refused.exit_code == 1
    assert "Permission denied" in refused.stderr


def test_a_program_that_cannot_start_is_told_why(learner: Learner) -> None:
    script = write(learner, "project/tool", "#!/bin/sh\r\necho x\n")
    script.chmod(0o755)
    learned = learner.learn(["./tool"])
    assert learned.exit_code == 127
    assert "tool: its first line ends with a carriage return" in learned.stderr
    assert not learner.file.exists()


def test_a_file_whose_name_no_profile_can_hold_is_refused_before_the_command_runs(learner: Learner) -> None:
    """A profile holds its own name, as text."""
    project = learner.runner.project
    refused = learner.learn(["touch", "ran"], output=os.fsdecode(b"./a\xff.json"))
    assert (refused.exit_code, (project / "ran").exists()) == (1, False)
    assert "a\\xff.json': this path is no UTF-8" in refused.stderr
    learned = learner.learn(["touch", "ran"], output="./ä.json")
    assert (learned.exit_code, (project / "ä.json").exists()) == (0, True), learned.stderr


def test_what_is_learned_is_written_behind_no_link_of_a_command(learner: Learner) -> None:
    """One of an earlier run would have it added to another profile of the person's, or to none of theirs."""
    other = write(learner, ".config/nono/profiles/other.json", '{"meta": {"name": "other"}}')
    project = learner.runner.project
    (project / "new.json").symlink_to(other.with_name("new.json"))
    (project / "mine.json").symlink_to(other)
    (project / "profiles").symlink_to(other.parent)
    for path in ("./new.json", "mine.json", "profiles/new.json"):
        refused = learner.learn(["touch", "ran"], output=path)
        assert (refused.exit_code, (project / "ran").exists()) == (1, False), refused.stderr
        assert f"-o: '{path}' is found by the link '{project}/" in refused.stderr
    assert [*other.parent.iterdir()] == [other]
    assert json.loads(other.read_text()) == {"meta": {"name": "other"}}
    learned = learner.learn(["touch", "ran"], output=str(other))
    assert learned.exit_code == 0, learned.stderr
    assert json.loads(other.read_text())["workdir"] == {"access": "write"}


@needs_git
def test_a_clone_is_learned_as_the_requests_it_makes(made: Stage, tmp_path: Path) -> None:
    learner = Learner(made.runner)
    with git_server(tmp_path, made.authority.server_context("localhost")) as server:
        environment = ENVIRONMENT | {"SSL_CERT_FILE": made.authority.ca_file}
        host = f"localhost:{server.upstream.port}"
        command = ["git", "clone", "--quiet", server.url, "cloned"]
        learned = learner.learn(command, flags=("--yes", f"--allow-domain={host}"), environment=environment)
        assert learned.exit_code == 0, learned.stderr
        assert learner.endpoints == {
            f"https://{host}": {
                ("GET", "/repository.git/info/refs"),
                ("POST", "/repository.git/git-upload-pack"),
            }
        }
        shutil.rmtree(made.project / "cloned")
        again = learner.again(command, environment=environment)
        assert again.exit_code == 0, again.stderr
        assert (made.project / "cloned/README").read_text() == "hello\n"
        push = "cd cloned && git commit -q --allow-empty -m more && git push -q"
        refused = learner.again(["sh", "-c", push], environment=environment)
        assert refused.exit_code != 0
        assert [(event["method"], event["path"]) for event in refused.denied if event["path"]] == [
            ("POST", "/repository.git/git-receive-pack")
        ]


def test_no_flag_is_offered_for_what_steers_programs_outside(learner: Learner) -> None:
    home = learner.runner.user.home
    settings = home / ".config"
    for name in ("autostart", "git", "harmless"):
        directory = settings / name
        directory.mkdir(parents=True)
        (directory / "x").touch()
        learner.runner.give(directory / "x")
        learner.runner.give(directory)
    learner.runner.give(settings)
    tried = "; ".join(f"echo > {settings}/{name}/x" for name in ("autostart", "git", "harmless"))
    learned = learner.learn(["sh", "-c", f"({tried}) 2>/dev/null; true"])
    assert learned.exit_code == 0, learned.stderr
    assert f"{settings}/harmless" in learned.stderr.split("add:")[1]
    before_the_command = learned.stderr.split("[nono] Written")[0]
    assert f"{settings}/autostart" not in before_the_command
    assert f"{settings}/git" not in before_the_command
    assert (
        "~/.config/autostart/x (write): no flag is offered: the desktop or a login outside" in learned.stderr
    )
    assert "~/.config/git/x (write): no flag is offered: git outside runs what it names" in learned.stderr


def test_no_flag_is_offered_for_what_contains_the_home(learner: Learner) -> None:
    home = learner.runner.user.home
    other = home.parent / f"{home.name}-other"
    other.mkdir()
    try:
        learner.runner.give(other)
        learned = learner.learn(["sh", "-c", f"ls / {home.parent} {home} {other} 2>/dev/null; true"])
        assert learned.exit_code == 0, learned.stderr
        offered = learned.stderr.split("add:")[1].split("[nono]")[0].split()
        assert str(other) in offered
        assert not {"/", str(home.parent), str(home)} & {*offered}
    finally:
        other.rmdir()


def test_what_is_sensitive_is_neither_read_nor_learned(learner: Learner) -> None:
    canaries = {
        ".ssh/id_ed25519": "canary of the key",
        ".aws/credentials": "canary of the cloud",
        ".local/state/nono/credentials.json": "canary of nono",
        ".sometool/auth.json": "canary of a tool that no list knows",
        "Documents/letter": "canary of a letter",
    }
    for path, text in canaries.items():
        write(learner, path, text)
    paths = " ".join(f"~/{path}" for path in canaries)
    learned = learner.learn(["sh", "-c", f"cat {paths}; echo done"])
    assert learned.stdout == "done\n", learned.stdout
    assert "filesystem" not in learner.profile
    reasons = {
        ".ssh/id_ed25519": "sensitive (group:deny_credentials)",
        ".local/state/nono/credentials.json": "nono's own state",
        ".sometool/auth.json": "sensitive (by its name)",
        "Documents/letter": "outside what was watched",
    }
    for path, reason in reasons.items():
        assert f"~/{path} (read): {reason}" in learned.stderr


def test_a_directory_of_the_home_is_written_where_a_person_has_named_it(learner: Learner) -> None:
    home = learner.runner.user.home
    write(learner, ".cache/tool/index", "seen")
    command = [
        "sh",
        "-c",
        "cat ~/.cache/tool/index; d=$(mktemp -d ~/.cache/tool/XXXX) && echo x > $d/y && cat $d/y",
    ]
    refused = learner.learn(command)
    assert refused.exit_code == 1
    assert "~/.cache/tool/" in refused.stderr
    assert f"    --allow {home}/.cache/tool\n" in refused.stderr  # and not what was to be made there
    learned = learner.learn(command, flags=("--yes", f"--allow={home}/.cache/tool"))
    assert learned.exit_code == 0, learned.stderr
    assert learner.granted("allow") == {"$XDG_CACHE_HOME/tool"}
    again = learner.again(command)
    assert (again.exit_code, again.stdout) == (0, "seenx\n"), again.stderr
    elsewhere = learner.again(["sh", "-c", "echo x > ~/.cache/other"])
    assert "Permission denied" in elsewhere.stderr


def test_a_new_file_of_the_home_is_offered_as_a_file(learner: Learner) -> None:
    home = learner.runner.user.home
    command = ["sh", "-c", "echo x > ~/.toolrc && mkdir ~/.tool"]
    refused = learner.learn(command)
    assert f"    --write-file {home}/.toolrc\n" in refused.stderr
    write(learner, ".toolrc", "")
    learned = learner.learn(command, flags=("--yes", f"--write-file={home}/.toolrc"))
    assert f"    --allow {home}/.tool\n" in learned.stderr
    assert (home / ".toolrc").read_text() == "x\n"
    assert learner.granted("write_file") == {"~/.toolrc"}


@pytest.mark.parametrize(
    "directory",
    [
        pytest.param(".config", id="of all programs"),
        pytest.param(".gradle", id="with settings that are run outside"),
    ],
)
def test_a_directory_with_more_in_it_is_not_offered_for_what_is_new_there(
    directory: str, learner: Learner
) -> None:
    write(learner, f"{directory}/seen", "seen")
    refused = learner.learn(["sh", "-c", f"mkdir ~/{directory}/tool"])
    assert refused.exit_code == 1
    assert f"    --allow {learner.runner.user.home}/{directory}/tool\n" in refused.stderr


def test_what_was_learned_is_added_to_by_learning_again(learner: Learner) -> None:
    write(learner, ".one", "1")
    write(learner, ".two", "2")
    assert learner.learn(["sh", "-c", "cat ~/.one"]).exit_code == 0
    more = learner.learn(["sh", "-c", "cat ~/.two > out"])
    assert more.exit_code == 0, more.stderr
    assert learner.granted("read_file") == {"~/.one", "~/.two"}
    assert learner.profile["workdir"] == {"access": "write"}
    assert '+      "~/.two"' in more.stderr
    same = learner.learn(["sh", "-c", "cat ~/.two > out"])
    assert "grants all of it already" in same.stderr


SERVE = """
import socket, sys, threading
host, port = sys.argv[1], int(sys.argv[2])
with socket.create_server((host, port)) as server:
    threading.Thread(target=lambda: server.accept()[0].sendall(b"served")).start()
    with socket.create_connection(("127.0.0.1", port), 5) as client:
        print(client.recv(10).decode())
"""


def test_ports_are_learned_by_the_address_they_are_listened_on(learner: Learner) -> None:
    port = unused_port()
    command = [*PYTHON, SERVE, "127.0.0.1", str(port)]
    learned = learner.learn(command)
    assert (learned.exit_code, learned.stdout) == (0, "served\n"), learned.stderr
    assert learner.profile["network"] == {"block": True, "open_port": [port]}
    again = learner.again(command, flags=PROGRAM_GRANTS)
    assert (again.exit_code, again.stdout) == (0, "served\n"), again.stderr
    refused = learner.again([*PYTHON, SERVE, "127.0.0.1", str(unused_port())], flags=PROGRAM_GRANTS)
    assert "Permission denied" in refused.stderr


def test_what_nono_owes_is_not_told_as_a_failure_of_a_watched_command(learner: Learner) -> None:
    assert learner.learn(["true"]).exit_code == 0
    with (learner.runner.user.home / ".local/state/nono/audit/ledger.ndjson").open("ab") as ledger:
        ledger.write(b"torn")
    learned = learner.learn(["true"])
    assert (learned.exit_code, "the ledger of sessions was damaged" in learned.stderr) == (1, True)
    assert "It ended with" not in learned.stderr
    failed = learner.learn(["sh", "-c", "exit 3"])
    assert (failed.exit_code, "It ended with 3" in failed.stderr) == (3, True)


def test_learning_does_not_reach_services_of_this_machine(learner: Learner) -> None:
    with socket.create_server(("127.0.0.1", 0)) as service:
        port = service.getsockname()[1]
        command = [*PYTHON, SERVE, "127.0.0.1", str(port)]
        refused = learner.learn(command)
        assert "Address already in use" in refused.stderr
        connect = f"import socket; socket.create_connection(('127.0.0.1', {port}), 5)"
        refused = learner.learn([*PYTHON, connect])
        assert "Permission denied" in refused.stderr
        assert f"127.0.0.1:{port} (connect)" in refused.stderr
        assert "open_port" not in learner.profile["network"]
        named = learner.learn([*PYTHON, connect], flags=("--yes", f"--open-port={port}"))
        assert named.exit_code == 0, named.stderr
        assert learner.profile["network"]["open_port"] == [port]


SHOP = """
fetch() { curl -sS --fail-with-body "$@" -H "Authorization: Bearer $KEY" "https://$HOST$1"; }
fetch /v1/things/4711 && fetch /v1/things/4712 -d '{}' && fetch /
"""


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
@pytest.mark.parametrize(
    ("source", "variable", "is_elsewhere"),
    [
        ("REAL_KEY", "SHOP_KEY", False),
        pytest.param("REAL_KEY", "SHOP_KEY", True, id="at another address"),
        pytest.param(
            "OPENROUTER_API_KEY", "OPENROUTER_API_KEY", False, id="that a shipped service reads too"
        ),
    ],
)
def test_a_credential_is_learned_by_the_name_of_its_service(
    made: Stage, source: str, variable: str, is_elsewhere: bool
) -> None:
    learner = Learner(made.runner)
    with upstream(answer_ok, made.authority.server_context("localhost")) as server:
        named = f"shop=https://localhost:{server.port}" if is_elsewhere else "shop"
        shop = service(1 if is_elsewhere else server.port, source, made.authority, env_var=variable)
        base = {"network": {"allow_domain": [], "custom_credentials": {"shop": shop}}}
        write(learner, ".config/nono/profiles/base.json", json.dumps(base))
        environment = {source: "canary", "HOST": f"localhost:{server.port}"}
        command = ["sh", "-c", f"KEY=${variable}; {SHOP}"]
        flags = ("--yes", "--profile=base", f"--credential={named}")
        learned = learner.learn(command, flags=flags, environment=environment)
        assert learned.exit_code == 0, learned.stderr
        assert learner.profile["extends"] == "base"
        assert learner.profile["network"] == {"allow_domain": [], "credentials": [named]}
        again = learner.again(command, environment=environment)
        assert again.exit_code == 0, again.stderr
        assert {request.value(b"authorization") for request in server.requests} == {b"Bearer canary"}
        assert "canary" not in learned.stdout + learned.stderr + again.stdout + learner.file.read_text()


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_requests_are_learned_by_method_and_what_varies_of_the_path(made: Stage) -> None:
    learner = Learner(made.runner)
    with upstream(answer_ok, made.authority.server_context("localhost")) as server:
        environment = {"SSL_CERT_FILE": made.authority.ca_file, "U": f"https://localhost:{server.port}"}
        flags = ("--yes", f"--allow-domain=localhost:{server.port}")
        fetch = "curl -sS --fail-with-body"
        command = [
            "sh",
            "-c",
            f"{fetch} $U/v1/users/123?token=secret && {fetch} -X DELETE $U/v1/users/77/keys/1",
        ]
        learned = learner.learn(command, flags=flags, environment=environment)
        assert learned.exit_code == 0, learned.stderr
        assert learner.endpoints == {
            f"https://localhost:{server.port}": {
                ("GET", "/v1/users/*"),
                ("DELETE", "/v1/users/*/keys/*"),
            }
        }
        other = ["sh", "-c", f"{fetch} $U/v1/users/456"]
        assert learner.again(other, environment=environment).exit_code == 0
        refused = learner.again(["sh", "-c", f"{fetch} -X DELETE $U/v1/users/456"], environment=environment)
        assert refused.exit_code == 22
        assert "secret" not in learner.file.read_text()


def test_a_package_is_installed_again_from_the_index_that_was_seen(made: Stage) -> None:
    learner = Learner(made.runner)
    index = Index(python_pages, basic("x:key"))
    with upstream(index, made.authority.server_context("localhost")) as server:
        url = f"https://x:key@localhost:{server.port}/simple/"
        pip = f"PYTHONPATH={sysconfig.get_path('purelib')} {sys.executable} -S -m pip install --quiet"
        install = f"{pip} --disable-pip-version-check --no-compile --index-url {url} --target packages"
        command = ["sh", "-c", f"{install} tiny-canary"]
        environment = {"SSL_CERT_FILE": made.authority.ca_file, "PIP_CONFIG_FILE": "/dev/null"}
        flags = ("--yes", f"--allow-domain=localhost:{server.port}")
        learned = learner.learn(command, flags=flags, environment=environment)
        assert learned.exit_code == 0, learned.stderr
        shutil.rmtree(made.project / "packages")
        again = learner.again(command, environment=environment)
        assert again.exit_code == 0, again.stderr
        assert [*(made.project / "packages").glob("tiny_canary*")]
        refused = learner.again(["sh", "-c", f"{install} other-package"], environment=environment)
        assert refused.exit_code != 0
        assert ("GET", "/simple/other-package/") in {(e["method"], e["path"]) for e in refused.denied}


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_a_host_that_trusts_nobody_else_is_learned_as_a_whole(made: Stage) -> None:
    learner = Learner(made.runner)
    with upstream(answer_ok, made.authority.server_context("localhost")) as server:
        host = f"localhost:{server.port}"
        command = ["curl", "-sS", "--cacert", made.authority.ca_file, f"https://{host}/a"]
        trusted = f"--read-file={made.authority.ca_file}"
        refused = learner.learn(command, flags=("--yes", f"--allow-domain={host}", trusted))
        assert refused.exit_code == 60
        assert f"{host} (connect)" in refused.stderr
        assert "--tunnel localhost" in refused.stderr
        flags = ("--yes", f"--allow-domain={host}", trusted, "--tunnel=localhost")
        learned = learner.learn(command, flags=flags)
        assert learned.exit_code == 0, learned.stderr
        assert learner.profile["network"]["allow_domain"] == [host]
        assert learner.again(command).exit_code == 0


TALK = """
import os, socket
home = os.path.expanduser("~")
with socket.socket(socket.AF_UNIX) as server:
    server.bind(f"{home}/run/own.sock")
    server.listen()
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(f"{home}/run/theirs.sock")
os.remove(f"{home}/run/own.sock")
print("talked")
"""


def test_unix_sockets_that_were_named_are_learned(learner: Learner) -> None:
    home = learner.runner.user.home
    with socket.socket(socket.AF_UNIX) as theirs:
        theirs.bind(str(home / "run/theirs.sock"))
        theirs.listen()
        learner.runner.give(home / "run/theirs.sock")
        refused = learner.learn([*PYTHON, TALK])
        assert "run/own.sock" in refused.stderr
        flags = [f"--allow-unix-socket-bind={home}/run/own.sock"]
        flags += [f"--allow-unix-socket={home}/run/theirs.sock"]
        learned = learner.learn([*PYTHON, TALK], flags=("--yes", *flags))
        assert (learned.exit_code, learned.stdout) == (0, "talked\n"), learned.stderr
        assert learner.granted("unix_socket") == {"~/run/theirs.sock"}
        assert learner.granted("unix_socket_bind") == {"~/run/own.sock"}
        again = learner.again([*PYTHON, TALK], flags=PROGRAM_GRANTS)
        assert (again.exit_code, again.stdout) == (0, "talked\n"), again.stderr
