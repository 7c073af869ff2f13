"""K20-aws: a command takes the place of a program that is run outside for a person's AWS keys."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from support.nono_run import Ended, NonoRun, program

# Nobody is at the address: a request that could be signed is a 502.
PROFILE = {
    "network": {
        "custom_credentials": {
            "bedrock": {
                "upstream": "https://127.0.0.1:9",
                "aws_auth": {"region": "eu-west-1", "service": "bedrock"},
            }
        }
    }
}
KEYS = """echo '{"Version": 1, "AccessKeyId": "AKIDOFTHEPERSON", "SecretAccessKey": "canary"}'"""
SIGNED, WITHOUT_KEYS = 502, 503


@pytest.fixture
def bin_of_project(sandbox: NonoRun) -> Path:
    """Return what an activated environment puts in front of PATH."""
    directory = sandbox.project / ".venv/bin"
    for each in (directory.parent, directory):
        if not each.exists():
            sandbox.make(each)
    return directory


def planting(sandbox: NonoRun, directory: Path, process: str, marker: Path, *flags: str) -> Ended:
    """Return a run whose command puts a program `vend` in a directory and asks for a signature."""
    aws = sandbox.user.home / ".aws"
    if not aws.exists():
        sandbox.make(aws)
    (aws / "config").write_text(f"[default]\ncredential_process = {process}\n")
    sandbox.give(aws / "config")
    own = sandbox.user.home / "own"
    return sandbox.run(
        program("proxy.signed_request", str(directory / "vend"), f"#!/bin/sh\ntouch {marker}\n{KEYS}\n"),
        profile=PROFILE,
        flags=["--credential=bedrock", *flags],
        environment={"PATH": f"{directory}:{own}:/usr/bin:/bin", "AWS_EC2_METADATA_DISABLED": "true"},
    )


@pytest.mark.parametrize("has_own", [False, True])
def test_a_program_of_the_project_is_not_run_for_keys(
    sandbox: NonoRun, bin_of_project: Path, has_own: bool
) -> None:
    marker = sandbox.user.home / "ran-outside"
    if has_own:
        own = sandbox.make(sandbox.user.home / "own")
        (own / "vend").write_text(f"#!/bin/sh\n{KEYS}\n")
        (own / "vend").chmod(0o755)
        sandbox.give(own / "vend")
    ended = planting(sandbox, bin_of_project, "vend --for work", marker)
    assert ended.outcomes() == {"status": SIGNED if has_own else WITHOUT_KEYS}
    assert not marker.exists()


def test_a_program_that_is_named_in_a_grant_is_not_run(sandbox: NonoRun) -> None:
    granted, marker = sandbox.make(sandbox.user.home / "tools"), sandbox.user.home / "ran-outside"
    ended = planting(sandbox, granted, f"{granted}/vend", marker, f"--allow={granted}")
    assert ended.outcomes() == {"status": WITHOUT_KEYS}
    assert f"'bedrock': {granted}/vend runs outside the sandbox to fetch its key" in ended.stderr
    assert not marker.exists()


def test_a_script_that_is_named_in_a_grant_is_not_run(sandbox: NonoRun, bin_of_project: Path) -> None:
    marker = sandbox.user.home / "ran-outside"
    ended = planting(sandbox, bin_of_project, f"/bin/sh {bin_of_project}/vend", marker)
    assert ended.outcomes() == {"status": WITHOUT_KEYS}
    assert not marker.exists()


def test_a_program_that_the_command_has_put_on_path_gives_no_key_to_sign_with(sandbox: NonoRun) -> None:
    """The key of an anchor is asked for again at the end of a run, if it was not to be had before."""
    granted, marker = sandbox.user.home / "more-tools", sandbox.user.home / "ran-for-an-anchor"
    sandbox.make(granted)
    planted = f"printf '#!/bin/sh\\ntouch {marker}\\n' > {granted}/op; chmod +x {granted}/op"
    ended = sandbox.run(
        ["sh", "-c", planted],
        flags=[f"--allow={granted}", "--audit-anchor=key:op://vault/item/key"],
        environment={"PATH": f"{granted}:/usr/bin:/bin"},
    )
    assert ended.exit_code == 0
    assert (granted / "op").exists()
    assert "was not anchored at key:op:" in ended.stderr, ended.stderr
    assert not marker.exists()


def test_no_library_writes_the_secrets_of_tls_where_the_command_leads_it(sandbox: NonoRun) -> None:
    """A person who looks into TLS has named a file of the project, which botocore opens to append to it."""
    outside, named = sandbox.user.home / "outside", sandbox.project / "tls.log"
    named.symlink_to(outside)
    attack = program("proxy.signed_request", str(sandbox.project / "unused"), "")
    shown = ["sh", "-c", 'echo "$SSLKEYLOGFILE"; exec "$@"', "sh", *attack]
    argv = sandbox.argv(shown, profile=PROFILE, flags=["--credential=bedrock"])
    argv[argv.index("-I")] = "-P"  # as an installed nono runs: botocore heeds the variable
    variables = {
        "PATH": "/usr/bin:/bin",
        "SSLKEYLOGFILE": str(named),
        "AWS_CONFIG_FILE": "/nonexistent",
        "AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://127.0.0.1:9/keys",
    }
    ended = subprocess.run(
        argv,
        env=sandbox.user.environment(variables),
        cwd=sandbox.project,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert f'"status": {WITHOUT_KEYS}' in ended.stdout, ended.stderr
    assert ended.stdout.startswith(f"{named}\n")
    assert not outside.exists()
