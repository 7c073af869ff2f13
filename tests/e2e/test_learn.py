"""`nono learn`: real commands are watched, and run again under the profile that came of it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.client_run import Stage, stage
from support.git_server import ENVIRONMENT, git_server
from support.learning import Learner
from support.nono_run import nono_run

WHO = ["user", "root"] if os.geteuid() == 0 else ["user"]
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
    """A file of the user's, with the directories above it."""
    file = learner.runner.user.home / path
    for directory in reversed([*file.parents]):
        if not directory.exists():
            directory.mkdir(mode=0o700)
            learner.runner.give(directory)
    file.write_text(text)
    return learner.runner.give(file)


def test_a_command_runs_again_with_what_was_learned_and_nothing_else(learner: Learner) -> None:
    write(learner, ".toolrc", "colour\n")
    write(learner, ".otherrc", "another\n")
    command = ["sh", "-c", "cat ~/.toolrc && mkdir -p out && cp ~/.toolrc out/copy && ls out"]
    learned = learner.learn(command)
    assert (learned.exit_code, learned.stdout) == (0, "colour\ncopy\n"), learned.stderr
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
