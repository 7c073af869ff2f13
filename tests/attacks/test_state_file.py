"""`nono why --self`: what a run tells its own command about itself, and nobody else."""

from __future__ import annotations

import json
import os
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from support.nono_run import NONO, NonoRun
from support.sessions.records import leftovers

SELF = f"--read={Path(__file__).parents[2]}"  # the command runs nono itself
WHY = shlex.join([*NONO, "why", "--json"])
BLOCKED = {"network": {"block": True}}


def inside(
    sandbox: NonoRun, *questions: str, profile: Mapping[str, object], flags: Sequence[str] = ()
) -> list[dict[str, object]]:
    """Return the answers to questions that a command asks about its own run."""
    script = "; echo ,; ".join(f"{WHY} {question}" for question in questions)
    run = sandbox.run(["sh", "-c", script], flags=(SELF, *flags), profile=profile)
    try:
        answers: list[dict[str, object]] = json.loads(f"[{run.stdout}]")
    except ValueError:
        raise AssertionError(f"{run.stdout}\n{run.stderr}") from None
    return answers


@pytest.mark.needs("listener")
def test_a_command_is_told_what_its_own_run_is_granted(sandbox: NonoRun) -> None:
    profile = {
        "network": {
            "allow_domain": [
                "x.example",
                {"domain": "y.example", "endpoints": [{"method": "GET", "path": "/a"}]},
            ]
        }
    }
    asked = inside(
        sandbox,
        f"--self --path {sandbox.project} --op write",
        f"--self --path {sandbox.user.home}",
        "--self --path ~/.ssh/id --op read",
        "--self --host x.example",
        "--self --host z.example",
        "--self --host https://y.example/b",
        "--self --scope abstract-unix-socket",
        "--self --path /run/x.sock --op connect",
        "--self --path $NONO_CAP_FILE",
        "--self --path $NONO_CAP_FILE --op write",
        profile=profile,
    )  # fmt: skip
    told = [(answer["status"], answer.get("reason", answer.get("state"))) for answer in asked]
    assert told == [
        ("allowed", "granted_path"),
        ("denied", "path_not_granted"),
        ("denied", "sensitive_path"),
        ("allowed", "proxy_allowed"),
        ("denied", "proxy_filtered"),
        ("denied", "endpoint_restricted"),
        ("scope", "enforced"),
        ("denied", "unix_socket_not_granted"),
        ("allowed", "granted_path"),
        ("denied", "sensitive_path"),
    ]
    assert str(asked[3]["enforced_by"]).startswith("notify: ")


def test_the_state_file_is_private_read_only_and_temporary(
    sandbox: NonoRun,
) -> None:
    script = (
        'stat -c "%a %u" "$NONO_CAP_FILE"; dir=$(dirname "$NONO_CAP_FILE"); echo x >> "$NONO_CAP_FILE";'
        'rm -f "$NONO_CAP_FILE"; mv "$NONO_CAP_FILE" "$dir/other"; echo x > "$dir/new"; ls "$dir";'
        'head -c 7 "$NONO_CAP_FILE"'
    )
    run = sandbox.run(["sh", "-c", script], profile=BLOCKED)
    assert run.stdout.splitlines() == [f"600 {sandbox.user.uid}", '{"fs":[']
    assert run.stderr.count("Permission denied") + run.stderr.count("Read-only") >= 4
    assert leftovers(sandbox.user) == []


def test_the_next_run_removes_only_the_state_of_a_killed_supervisor(
    sandbox: NonoRun,
) -> None:
    def files() -> list[Path]:
        # Not the key of a session, which is written once its command runs.
        return sorted((sandbox.user.home / ".local/state/nono/sessions").glob(".*nono-*"))

    script = 'echo up; read line; head -c 7 "$NONO_CAP_FILE"'
    with sandbox.started(["sh", "-c", script]) as killed:
        assert killed.stdout is not None
        assert killed.stdout.readline() == "up\n"
        killed.kill()
    (left,) = files()
    with sandbox.started(["sh", "-c", script]) as running:
        assert running.stdout is not None
        assert running.stdin is not None
        assert running.stdout.readline() == "up\n"
        (used,) = files()
        assert used != left
        assert sandbox.run(["true"], profile=BLOCKED).exit_code == 0
        assert files() == [used]
        running.stdin.write("\n")
        running.stdin.close()
        assert running.stdout.read() == '{"fs":['
    assert files() == []


def test_no_secret_is_in_it(sandbox: NonoRun) -> None:
    """A reference names where a key is; neither that nor the key is the command's."""
    canary = "canary-4d1fa9"
    demo = {"upstream": "https://api.example", "credential_key": "env://DEMO_SOURCE", "env_var": "DEMO"}
    profile = {"network": {"credentials": ["demo"], "custom_credentials": {"demo": demo}}}
    run = sandbox.run(
        ["sh", "-c", 'cat "$NONO_CAP_FILE"'], profile=profile, environment={"DEMO_SOURCE": canary}
    )
    assert json.loads(run.stdout)["rules"]["routes"][0]["name"] == "demo"
    assert canary not in run.stdout
    assert "DEMO_SOURCE" not in run.stdout


def test_a_replaced_file_loses_its_grant(sandbox: NonoRun) -> None:
    """The kernel holds a grant on the file that was there: an editor outside that saves makes another."""
    home = sandbox.user.home
    file, saved = home / "granted", home / "saved"
    for place in (file, saved):
        place.write_text(place.name)
        sandbox.give(place)
    script = f"cat {file}; echo; read line; cat {file}; {WHY} --self --path {file}"
    flags = (SELF, f"--read-file={file}")
    with sandbox.started(["sh", "-c", script], flags=flags) as nono:
        assert nono.stdout is not None
        assert nono.stdin is not None
        assert nono.stdout.readline() == "granted\n"
        os.replace(saved, file)
        nono.stdin.write("\n")
        nono.stdin.close()
        answer = json.loads(nono.stdout.read())
    assert (answer["status"], answer["reason"]) == ("denied", "stale_file_grant")
    assert f"'{file}' was replaced or removed" in answer["details"]
    assert answer["matching_capability"]["access"] == "read"


def test_a_replaced_file_below_a_granted_directory_is_only_a_warning(sandbox: NonoRun) -> None:
    file = sandbox.project / "mine"
    file.write_text("one")
    sandbox.give(file)
    script = f"mv {file} {file}.old; echo two > {file}; {WHY} --self --path {file}"
    run = sandbox.run(["sh", "-c", script], flags=(SELF, f"--read-file={file}"), profile=BLOCKED)
    answer = run.outcomes()
    assert (answer["status"], answer["granted_path"]) == ("allowed", str(sandbox.project))
    assert "was replaced" in answer["warning"]


@pytest.mark.needs("mounts")
def test_the_file_is_found_beside_masks(sandbox: NonoRun) -> None:
    secret = sandbox.project / ".env"
    secret.write_text("secret")
    sandbox.give(secret)
    masked = {"filesystem": {"deny": [str(secret)]}, "network": {"block": True}}
    (answer,) = inside(sandbox, f"--self --path {secret}", profile=masked)
    assert answer["status"] == "denied"
    assert str(answer["enforced_by"]).startswith("mask: ")
    secret.unlink()


@pytest.mark.needs("listener")
def test_the_file_is_found_where_opens_are_trapped(sandbox: NonoRun) -> None:
    (asked,) = inside(sandbox, "--self --path /var/log", flags=("--capability-elevation",), profile=BLOCKED)
    assert asked["status"] == "approval_required"


def test_outside_of_any_run_the_state_is_empty_without_an_error(sandbox: NonoRun) -> None:
    asked = sandbox.bare([*NONO, "why", "--self", "--json", "--exit-code", "--path", "/etc"])
    assert asked.exit_code == 0
    message = "Not running inside a nono sandbox"
    assert asked.outcomes() == {"format": 1, "status": "not_sandboxed", "message": message}


def test_a_file_that_a_caller_names_does_not_reach_the_command(sandbox: NonoRun) -> None:
    run = sandbox.run(
        ["sh", "-c", 'echo "$NONO_CAP_FILE"'], environment={"NONO_CAP_FILE": "/etc/passwd"}, profile=BLOCKED
    )
    assert run.stdout.startswith(str(sandbox.user.home / ".local/state/nono/sessions/.nono-"))


def test_a_run_whose_state_cannot_be_kept_goes_on_with_a_warning(sandbox: NonoRun) -> None:
    state = sandbox.user.home / ".local/state/elsewhere"
    state.mkdir(parents=True, exist_ok=True)
    (state / "nono").touch()
    run = sandbox.run(
        ["sh", "-c", 'echo "[$NONO_CAP_FILE]"'],
        flags=("--no-audit",),
        environment={"XDG_STATE_HOME": str(state)},
        profile=BLOCKED,
    )
    assert run.stdout == "[]\n", run.stderr
    assert "`nono why --self` will not work inside" in run.stderr


def test_a_full_disk_leaves_no_half_written_state_file(sandbox: NonoRun) -> None:
    command = ["sh", "-c", 'cat "$NONO_CAP_FILE"']
    told = [
        sandbox.run(command, flags=("--no-audit",), profile=BLOCKED, wrapper=("prlimit", f"--fsize={size}"))
        for size in (1000, "unlimited")
    ]
    assert [run.exit_code for run in told] == [1, 0]
    assert "No such file" in told[0].stderr
    assert ["File too large" in run.stderr for run in told] == [True, False]


@pytest.mark.parametrize(
    ("content", "mode", "problem"),
    [
        ("{", 0o600, "Expecting property name"),
        ("[]", 0o600, "an object is expected"),
        ("{}", 0o600, "missing or unknown: "),
        ("NaN", 0o600, "NaN is no JSON value"),
        ("[" * 100_000, 0o600, "JSON array"),
        ("{}", 0o644, "must belong to this user and have mode 0600"),
        ("{}", None, "Too many levels of symbolic links"),
    ],
    ids=["syntax", "kind", "fields", "constant", "depth", "mode", "link"],
)
def test_a_file_that_no_run_has_written_is_believed_in_nothing(
    sandbox: NonoRun, content: str, mode: int | None, problem: str
) -> None:
    file = sandbox.user.home / "state.json"
    file.unlink(missing_ok=True)
    if mode is None:
        file.symlink_to("/etc/passwd")
    else:
        file.write_text(content)
        file.chmod(mode)
        sandbox.give(file)
    asked = sandbox.bare([*NONO, "why", "--self", "--path", "/etc"], environment={"NONO_CAP_FILE": str(file)})
    assert (asked.exit_code, asked.stdout) == (1, "")
    assert "Capability state file validation failed" in asked.stderr
    assert problem in asked.stderr
    file.unlink()


def test_other_questions_leave_a_bad_file_alone(sandbox: NonoRun) -> None:
    asked = sandbox.bare(
        [*NONO, "why", "--json", "--path", "/etc/hosts"], environment={"NONO_CAP_FILE": "/nowhere"}
    )
    assert asked.outcomes()["status"] == "allowed"
    assert "--self asks about the sandbox around" in asked.stderr
