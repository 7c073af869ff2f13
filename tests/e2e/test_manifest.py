"""A run by a capability manifest, and by nothing else."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from support.nono_run import NONO, NonoRun, nono_run


@pytest.fixture(scope="module")
def sandbox() -> Iterator[NonoRun]:
    with nono_run() as runner:
        yield runner


def manifest(sandbox: NonoRun, **more: object) -> Path:
    file = sandbox.user.home / "manifest.json"
    grants = [{"path": str(sandbox.project), "access": "readwrite"}]
    document = {"version": "1", "filesystem": {"grants": grants}, "network": {"mode": "blocked"}} | more
    file.write_text(json.dumps(document))
    return file


def nono(sandbox: NonoRun, *words: str, environment: dict[str, str] | None = None) -> CompletedProcess[str]:
    return sandbox.user.run([*NONO, *words], cwd=sandbox.project, environment=environment)


@pytest.mark.parametrize("verb", ["run", "wrap"])
def test_a_manifest_grants_only_what_it_says(sandbox: NonoRun, verb: str) -> None:
    script = "echo mine > here && cat here; cat ../manifest.json; curl -sS http://127.0.0.1:9/"
    done = nono(sandbox, verb, f"--config={manifest(sandbox)}", "--", "sh", "-c", script)
    assert done.stdout == "mine\n", done.stderr
    assert "manifest.json: Permission denied" in done.stderr
    assert "curl: (7)" in done.stderr


def test_an_agent_that_fails_under_a_manifest_is_not_told_of_a_profile(sandbox: NonoRun) -> None:
    agent = sandbox.project / "qwen"
    agent.write_text("#!/bin/sh\nexit 3\n")
    agent.chmod(0o755)
    sandbox.give(agent)
    of_its_own = nono(sandbox, "run", f"--config={manifest(sandbox)}", "--", str(agent))
    assert (of_its_own.returncode, "ran without its profile" in of_its_own.stderr) == (3, False)
    plain = nono(sandbox, "run", f"--allow={sandbox.project}", "--", str(agent))
    assert (plain.returncode, "ran without its profile" in plain.stderr) == (3, True)


def test_a_manifest_with_limits_does_not_run_without_a_supervisor(sandbox: NonoRun) -> None:
    refused = nono(
        sandbox, "wrap", f"--config={manifest(sandbox, resources={'max_processes': 64})}", "--", "true"
    )
    assert refused.returncode == 1
    assert "need a supervisor" in refused.stderr
    assert nono(sandbox, "wrap", f"--config={manifest(sandbox, resources={})}", "--", "true").returncode == 0


def test_a_protected_path_is_refused_as_from_anywhere_else(sandbox: NonoRun) -> None:
    key = sandbox.user.home / ".ssh"
    key.mkdir(exist_ok=True)
    file = manifest(sandbox, filesystem={"grants": [{"path": str(key), "access": "read"}]})
    refused = nono(sandbox, "run", f"--config={file}", "--", "true")
    assert refused.returncode == 1
    assert "is denied by '~/.ssh'" in refused.stderr or "Refusing to grant what a deny rule" in refused.stderr


@pytest.mark.parametrize(
    ("flags", "environment", "other"),
    [
        (["--allow=."], {}, "--allow"),
        (["--profile=default"], {}, "--profile"),
        (["--credential=openai"], {}, "--credential"),
        (["--allow-cwd"], {}, "--allow-cwd"),
        ([], {"NONO_ALLOW_DOMAIN": "x.example"}, "--allow-domain"),
    ],
)
def test_nothing_else_says_what_is_granted(
    sandbox: NonoRun, flags: Sequence[str], environment: dict[str, str], other: str
) -> None:
    file = manifest(sandbox)
    refused = nono(sandbox, "run", "-c", str(file), *flags, "--", "true", environment=environment)
    assert refused.returncode == 2
    assert f"--config and {other} " in refused.stderr


def test_what_a_manifest_does_not_say_may_stand_beside_it(sandbox: NonoRun) -> None:
    file = manifest(sandbox, network={"mode": "proxy", "allow_domain": ["*.example"]})
    flags = ("-v", "--workdir=/", "--deny-domain=x.example", "--proxy-ca-validity=3", "--no-audit")
    done = nono(sandbox, "run", f"--config={file}", *flags, "--dry-run", "--", "true")
    assert done.returncode == 0, done.stderr


def test_a_mode_that_the_rest_contradicts_is_refused(sandbox: NonoRun) -> None:
    file = manifest(sandbox, network={"mode": "unrestricted", "allow_domain": ["x.example"]})
    refused = nono(sandbox, "run", f"--config={file}", "--", "true")
    assert refused.returncode == 1
    assert "network.mode is 'unrestricted', but the other fields make it 'proxy'" in refused.stderr


def test_what_is_shown_of_a_profile_is_answered_for_alike(sandbox: NonoRun) -> None:
    file = sandbox.user.home / "shown.json"
    shown = nono(sandbox, "profile", "show", "python-dev", "--format", "manifest")
    file.write_text(shown.stdout)
    questions = (["--path", "/usr"], ["--path", "~/.ssh"], ["--host", "pypi.org"], ["--host", "x.example"])
    for question in questions:
        asked = [
            json.loads(nono(sandbox, "why", "--json", *policy, *question).stdout)
            for policy in (["--profile=python-dev"], [f"--config={file}"])
        ]
        assert [answer["status"] for answer in asked] == [asked[0]["status"]] * 2
        assert asked[0]["reason"] == asked[1]["reason"]
