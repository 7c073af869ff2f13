"""`nono audit`: what real runs leave is listed, shown and verified, and what was changed is noticed."""

from __future__ import annotations

import json
import os
import random
import re
import shlex
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from nono.audit.proof.check import check
from nono.audit.proof.verdict import VERIFIED
from nono.audit.stored import session_ids
from support.forked import in_child
from support.nono_run import NO_NAMESPACES, NONO, TIMEOUT_S, NonoRun, nono_run
from support.sessions.records import nono, record_of, records

OPEN: dict[str, Any] = {}


@pytest.fixture(scope="module")
def sandbox() -> Iterator[NonoRun]:
    """Yield one sandbox for all tests: each looks at the sessions that it has made."""
    with nono_run() as runner:
        yield runner


def audit_of(sandbox: NonoRun) -> Path:
    return sandbox.user.home / ".local/state/nono/audit"


def ran(sandbox: NonoRun, script: str = "true", *flags: str) -> tuple[str, int, str]:
    """Finish a run. Returns its id, the exit code of nono and its output."""
    ended = sandbox.run(["sh", "-c", script], profile=OPEN, flags=flags)
    return records(sandbox.user)[0]["session_id"], ended.exit_code, ended.stderr


def verified(sandbox: NonoRun, session_id: str, *flags: str) -> tuple[int, dict[str, Any]]:
    told = nono(sandbox, "audit", "verify", session_id, "--json", *flags)
    return told.returncode, json.loads(told.stdout)


@contextmanager
def running(sandbox: NonoRun, script: str, name: str) -> Iterator[subprocess.Popen[str]]:
    """Yield a session whose script has printed a line."""
    with sandbox.started(["sh", "-c", script], flags=[NO_NAMESPACES, f"--name={name}"]) as run:
        assert run.stdout is not None
        assert run.stdout.readline() == "up\n"
        yield run


def test_a_run_that_ended_is_verified(sandbox: NonoRun) -> None:
    session_id, exit_code, said = ran(sandbox, "exit 3")
    assert (exit_code, "verified" in said) == (3, False)
    told = nono(sandbox, "audit", "verify", session_id)
    assert (told.returncode, told.stdout.splitlines()[-1]) == (0, "VERIFIED")
    status, verdict = verified(sandbox, session_id)
    assert (status, verdict["verified"], verdict["ledger"]["session_digest_matches"]) == (0, True, True)


def test_a_changed_byte_fails_verification_as_text_and_as_json(sandbox: NonoRun) -> None:
    session_id, _, _ = ran(sandbox, "exit 3")
    log = audit_of(sandbox) / session_id / "audit-events.ndjson"
    assert nono(sandbox, "logs", session_id).stderr == ""
    log.write_bytes(log.read_bytes().replace(b'\\"exit_code\\":3', b'\\"exit_code\\":0'))
    for flags in ((), ("--follow", "--tail", "1", "--json")):
        listed = nono(sandbox, "logs", session_id, *flags)
        assert "session_ended" in listed.stdout or "session ended" in listed.stdout
        last = log.read_bytes().count(b"\n") - 1
        changed = f"the log is damaged: record {last} has an event that differs"
        assert (changed in listed.stderr, listed.stderr.count("\n")) == (True, 1)
        assert f"nono audit verify {session_id}" in listed.stderr
    told = nono(sandbox, "audit", "verify", session_id)
    assert (told.returncode, told.stdout.splitlines()[-1]) == (1, "MISMATCH")
    assert "an event that differs from the one that was hashed" in " ".join(told.stdout.split())
    status, verdict = verified(sandbox, session_id)
    assert (status, verdict["state"], verdict["session"]["records_verified"]) == (1, "mismatch", False)
    told = nono(sandbox, "audit", "show", session_id, "--json")
    shown = json.loads(told.stdout)
    assert (told.returncode, shown["audit_event_count"]) == (1, verdict["session"]["event_count"])
    assert "an event that differs from the one that was hashed" in shown["damage"]


def test_what_was_not_started_is_verified_as_well(sandbox: NonoRun) -> None:
    flags = ["--env-credential-map", "env://NONE_OF_THAT_NAME", "KEY"]
    assert sandbox.run(["true"], profile=OPEN, flags=flags).exit_code == 1
    record = records(sandbox.user)[0]
    assert record["end"]["cause"] == "not_started"
    assert verified(sandbox, record["session_id"])[0] == 0


def test_a_session_that_runs_is_unfinished(sandbox: NonoRun) -> None:
    with running(sandbox, "echo up; read line", "goes-on") as run:
        status, verdict = verified(sandbox, "goes-on")
        assert (status, verdict["state"], verdict["problems"]) == (1, "unfinished", [])
        assert verdict["notes"][0] == "the session is running"
        assert nono(sandbox, "audit", "cleanup", "--all").returncode == 0
        assert (audit_of(sandbox) / verdict["session_id"]).exists()
        run.communicate("\n", timeout=TIMEOUT_S)
    assert verified(sandbox, "goes-on")[0] == 0


def test_a_session_whose_hook_still_runs_is_not_called_changed(sandbox: NonoRun) -> None:
    hook, said = sandbox.user.home / "after", sandbox.user.home / "said"
    verify = shlex.join([*NONO, "audit", "verify", "--json"])
    hook.write_text(f'#!/usr/bin/env bash\n{verify} "$NONO_SESSION_ID" > {said}\n')
    hook.chmod(0o755)
    os.chown(hook, sandbox.user.uid, sandbox.user.gid)
    sandbox.run(["true"], profile={"session_hooks": {"after": {"script": str(hook)}}})
    verdict = json.loads(said.read_text())
    assert (verdict["state"], verdict["problems"]) == ("unfinished", [])
    assert verified(sandbox, verdict["session_id"])[0] == 0


def test_a_session_whose_supervisor_was_killed_says_what_is_missing(sandbox: NonoRun) -> None:
    with running(sandbox, "echo up; read line", "killed") as run:
        record = record_of(sandbox.user, "killed")
        run.send_signal(signal.SIGKILL)
        run.wait(TIMEOUT_S)
    status, verdict = verified(sandbox, record["session_id"])
    assert (status, verdict["state"]) == (1, "unfinished")
    assert "its supervisor was killed" in verdict["notes"][0]
    listed = json.loads(nono(sandbox, "audit", "list", "--json").stdout)
    (row,) = [row for row in listed if row["session_id"] == record["session_id"]]
    assert (row["status"], row["is_stale"], row["is_alive"]) == ("orphaned", True, False)
    shown = json.loads(nono(sandbox, "audit", "show", record["session_id"], "--json").stdout)
    assert shown["audit_integrity"]["event_count"] == shown["audit_event_count"] > 0


# What a killed supervisor may leave undone, each by the name that the verdict gives it.
UNDONE = {
    (),
    ("session.json is missing, although the log has the end of the session",),
    ("the ledger has no entry of this session",),
}


def all_verdicts(sandbox: NonoRun) -> list[tuple[str, tuple[str, ...]]]:
    """State and problems of every session, as its user finds them."""
    root = audit_of(sandbox).parent

    def work() -> list[list[object]]:
        os.setresgid(*(sandbox.user.gid,) * 3)
        os.setresuid(*(sandbox.user.uid,) * 3)
        verdicts = [check(str(root), each) for each in session_ids(str(root))]
        return [[verdict.state, verdict.problems] for verdict in verdicts]

    return [(state, tuple(problems)) for state, problems in in_child(work)]


def test_a_run_killed_at_any_moment_is_verified_or_names_what_is_missing() -> None:
    with nono_run() as sandbox:
        for _ in range(500 if os.environ.get("NONO_TEST_LONG") else 8):
            with sandbox.started(["true"], flags=[NO_NAMESPACES]) as run, suppress(subprocess.TimeoutExpired):
                run.wait(random.uniform(0.05, 0.5))
        ran(sandbox)
        found = all_verdicts(sandbox)
    assert {problems for _, problems in found} <= UNDONE
    assert (VERIFIED, ()) in found


def test_a_damaged_ledger_fails_the_run_that_finds_it(sandbox: NonoRun) -> None:
    before, _, _ = ran(sandbox)
    ledger = audit_of(sandbox) / "ledger.ndjson"
    for command, exit_code, flags in (("true", 1, ()), ("true", 1, ("--silent",)), ("exit 3", 3, ())):
        ledger.write_bytes(ledger.read_bytes() + b"torn")
        session_id, found, said = ran(sandbox, command, *flags)
        assert (found, "the ledger of sessions was damaged" in said) == (exit_code, True)
        assert verified(sandbox, session_id)[0] == 0
    assert ran(sandbox)[1] == 0
    status, verdict = verified(sandbox, before)
    assert (status, "which was set aside" in " ".join(verdict["notes"])) == (0, True)


@pytest.mark.parametrize(("status", "exit_code"), [(0, 1), (3, 3)])
def test_what_nono_owes_is_not_told_as_a_failure_of_the_command(
    sandbox: NonoRun, status: int, exit_code: int
) -> None:
    ran(sandbox)
    with (audit_of(sandbox) / "ledger.ndjson").open("ab") as ledger:
        ledger.write(b"torn")
    ended = sandbox.run(["sh", "-c", f"curl -s http://refused.example/; exit {status}"])
    assert (ended.exit_code, "the ledger of sessions was damaged" in ended.stderr) == (exit_code, True)
    assert f"Command exited with code {status}." in ended.stderr


@pytest.mark.parametrize(("script", "exit_code"), [("exit 0", 1), ("exit 3", 3)])
def test_a_session_that_cannot_be_summed_up_fails_a_run_that_would_succeed(
    sandbox: NonoRun, script: str, exit_code: int
) -> None:
    name = f"unsummed-{exit_code}"
    with running(sandbox, f"echo up; read line; {script}", name) as run:
        session_id = record_of(sandbox.user, name)["session_id"]
        (audit_of(sandbox) / session_id).chmod(0o500)
        _, said = run.communicate("\n", timeout=TIMEOUT_S)
    assert (run.returncode, "the session cannot be verified later" in said) == (exit_code, True)
    assert ("The command has succeeded; nono exits with 1 for this" in said) is (script == "exit 0")
    status, verdict = verified(sandbox, session_id)
    assert (status, verdict["problems"]) == (
        1,
        ["session.json is missing, although the log has the end of the session"],
    )


READ_ONLY = 'mount --bind "$1" "$1" && mount -o remount,bind,ro "$1" && shift && exec "$@"'


@pytest.mark.root
def test_without_a_log_a_run_ends_well_where_its_state_is_read_only(sandbox: NonoRun) -> None:
    ran(sandbox)
    stage = ["unshare", "--mount", "sh", "-c", READ_ONLY, "sh", str(audit_of(sandbox).parent)]
    refused = sandbox.run(["echo", "fine"], profile=OPEN, stage=stage)
    assert (refused.exit_code, refused.stdout) == (1, "")
    assert f"the audit log cannot be opened: {audit_of(sandbox)}/" in refused.stderr.replace("\n", " ")
    advised = sandbox.run(["echo", "fine"], profile=OPEN, flags=["--no-audit"], stage=stage)
    assert (advised.exit_code, advised.stdout) == (0, "fine\n"), advised.stderr
    assert "XDG_STATE_HOME=DIR nono ..." in refused.stderr
    elsewhere = {"XDG_STATE_HOME": str(sandbox.user.home / "elsewhere")}
    kept = sandbox.run(["echo", "fine"], profile=OPEN, environment=elsewhere, stage=stage)
    assert (kept.exit_code, kept.stdout) == (0, "fine\n"), kept.stderr


def test_a_list_names_what_ran_by_its_directory(sandbox: NonoRun) -> None:
    session_id, _, _ = ran(sandbox, "exit 3")
    lines = nono(sandbox, "audit", "list", "--recent", "1").stdout.splitlines()
    assert lines[0] == str(sandbox.project)
    assert [session_id, "completed (3)"] == [lines[1].split()[0], " ".join(lines[1].split()[3:5])]
    (row,) = json.loads(nono(sandbox, "audit", "list", "--recent=1", "--today", "--json").stdout)
    assert {name: row[name] for name in ("session_id", "exit_code", "status", "command")} == {
        "session_id": session_id,
        "exit_code": 3,
        "status": "completed",
        "command": ["sh", "-c", "exit 3"],
    }
    for nothing in (["--until=2020-01-01"], ["--command=python"], ["--path=/nowhere"]):
        assert nono(sandbox, "audit", "list", *nothing).stdout == ""


def test_a_session_shows_its_events_with_how_requests_ended(sandbox: NonoRun) -> None:
    sandbox.run(["curl", "-s", "-o", "/dev/null", "http://nowhere.test/", "http://nowhere.test:81/"])
    shown = json.loads(nono(sandbox, "audit", "show", "latest", "--json").stdout)
    assert [event["decision"] for event in shown["network_events"] if event["target"] == "nowhere.test"] == [
        "deny"
    ] * 2
    log = audit_of(sandbox) / shown["session_id"] / "audit-events.ndjson"
    events = [json.loads(line)["event"]["type"] for line in log.read_text().splitlines()]
    assert shown["audit_integrity"]["event_count"] == shown["audit_event_count"] == len(events)
    (row,) = json.loads(nono(sandbox, "audit", "list", "--recent=1", "--json").stdout)
    assert (row["network_event_count"], events.count("network")) == (2, 2)
    assert (row["is_stale"], row["is_alive"], shown["damage"]) == (False, False, None)
    text = nono(sandbox, "audit", "show", "latest").stdout
    assert "Merkle root:" in text
    assert "nowhere.test" in text


def test_a_session_behind_a_link_is_an_error_of_its_own(sandbox: NonoRun) -> None:
    session_id, _, _ = ran(sandbox)
    link = audit_of(sandbox) / "feedfeed"
    link.symlink_to(session_id)
    for action in ("verify", "show"):
        told = nono(sandbox, "audit", action, "feedfeed")
        assert (told.returncode, "resolves outside audit root" in told.stderr) == (1, True)
    assert nono(sandbox, "audit", "verify", session_id).returncode == 0
    link.unlink()


def test_a_cleanup_removes_what_is_asked_for(sandbox: NonoRun) -> None:
    old, new = ran(sandbox)[0], ran(sandbox)[0]
    refused = nono(sandbox, "audit", "cleanup")
    assert (refused.returncode, "Say which logs to remove" in refused.stderr) == (1, True)
    assert nono(sandbox, "audit", "cleanup", "--older-than=1").stderr == "Nothing to remove.\n"
    assert f"Would remove: {old}" in nono(sandbox, "audit", "cleanup", "--keep=1", "--dry-run").stderr
    assert f"Removed: {old}" in nono(sandbox, "audit", "cleanup", "--keep=1").stderr
    assert [path.name for path in audit_of(sandbox).iterdir() if path.is_dir()] == [new]
    assert verified(sandbox, new)[0] == 0


def test_a_cleanup_is_refused_inside_a_sandbox(sandbox: NonoRun) -> None:
    inside = sandbox.run([*NONO, "audit", "cleanup", "--all"], profile=OPEN)
    assert (inside.exit_code, "cannot be used inside a sandbox" in inside.stderr) == (1, True)


def test_the_trees_are_hashed_before_a_run_and_after(sandbox: NonoRun) -> None:
    for script, differs in (("true", False), ("echo x > new", True)):
        ran(sandbox, script, "--audit-integrity")
        shown = json.loads(nono(sandbox, "audit", "show", "latest", "--json").stdout)
        before, after = shown["merkle_roots"]
        assert (before != after) == differs
        assert len(shown["executable_identity"]["sha256"]) == 64
    ran(sandbox, "rm new", "--audit-integrity", "--rollback", "--no-rollback-prompt")
    shown = json.loads(nono(sandbox, "audit", "show", "latest", "--json").stdout)
    assert shown["merkle_roots"] == [after, before]


def test_files_too_large_to_hash_cost_the_log_no_proof(sandbox: NonoRun) -> None:
    session_id, exit_code, said = ran(sandbox, "truncate -s 1T huge", "--audit-integrity")
    (sandbox.project / "huge").unlink()
    assert (exit_code, "the files after the run are not covered" in said) == (1, True)
    assert verified(sandbox, session_id)[0] == 0
    assert re.search("Tree after: +not hashed", nono(sandbox, "audit", "show", session_id).stdout)


def test_a_run_without_a_log_says_so(sandbox: NonoRun) -> None:
    before = records(sandbox.user)
    logged = sandbox.run(["true"], profile=OPEN)
    assert (logged.exit_code, "nothing that this run does is recorded" in logged.stderr) == (0, False)
    logs = sorted(audit_of(sandbox).iterdir())
    unlogged = sandbox.run(["true"], profile=OPEN, flags=["--no-audit"])
    assert unlogged.exit_code == 0
    assert "WARNING: --no-audit: nothing that this run does is recorded." in unlogged.stderr
    assert sorted(audit_of(sandbox).iterdir()) == logs
    assert len(records(sandbox.user)) == len(before) + 2


UNRECORDED = (
    ("run", "--no-audit", "--", "true"),
    ("run", "--no-audit-integrity", "--", "true"),
    ("shell", "--no-audit", "--shell=true"),
    ("learn", "--no-audit", "--dry-run", "--", "true"),
    ("wrap", "--", "true"),
)


@pytest.mark.parametrize("argv", UNRECORDED, ids=" ".join)
def test_a_profile_that_requires_a_log_starts_nothing_without_one(
    sandbox: NonoRun, argv: tuple[str, ...]
) -> None:
    mode, *rest = argv
    base, above = sandbox.user.home / "base.json", sandbox.user.home / "above.json"
    above.write_text(json.dumps({"extends": str(base), "security": {"audit_required": False}}))
    base.write_text("{}")
    assert nono(sandbox, mode, f"--profile={above}", *rest).returncode == 0
    base.write_text('{"security": {"audit_required": true}}')
    refused = nono(sandbox, mode, f"--profile={above}", *rest)
    assert (refused.returncode, "(security.audit_required)" in refused.stderr) == (1, True), refused.stderr


def test_a_profile_that_requires_a_log_gets_one(sandbox: NonoRun) -> None:
    ran(sandbox, "true")
    logs = len(list(audit_of(sandbox).iterdir()))
    assert sandbox.run(["true"], profile={"security": {"audit_required": True}}).exit_code == 0
    assert len(list(audit_of(sandbox).iterdir())) == logs + 1


@pytest.mark.parametrize("variable", ["XDG_CONFIG_HOME", "XDG_STATE_HOME"])
def test_a_relative_place_for_its_files_is_ignored_and_said(sandbox: NonoRun, variable: str) -> None:
    ran(sandbox, "true")
    before = len(list(audit_of(sandbox).iterdir()))
    relative = sandbox.run(["true"], profile=OPEN, environment={variable: "rel"})
    assert f"WARNING: {variable}=rel is ignored, as it is not an absolute path." in relative.stderr
    assert relative.stderr.count("is ignored") == 1
    assert (relative.exit_code, len(list(audit_of(sandbox).iterdir()))) == (0, before + 1)
    assert not (sandbox.project / "rel").exists()
    for value in ("", str(sandbox.user.home / ".local/state")):
        assert "is ignored" not in sandbox.run(["true"], profile=OPEN, environment={variable: value}).stderr


@pytest.mark.parametrize("other", ["--audit-integrity", "--no-audit-integrity", "--audit-sign-key=x"])
def test_no_audit_contradicts_what_proves_one(sandbox: NonoRun, other: str) -> None:
    ended = sandbox.run(["true"], profile=OPEN, flags=["--no-audit", other])
    assert (ended.exit_code, "contradict each other" in ended.stderr) == (2, True)


@pytest.fixture(scope="module")
def signing_key(sandbox: NonoRun) -> Path:
    """Return the file of a signing key; its public half lies beside it."""
    path = sandbox.user.home / "sign.key"
    made = nono(sandbox, "trust", "keygen", f"--keyref=file://{path}")
    assert made.returncode == 0, made.stderr
    return path


def test_a_signed_session_is_verified_by_its_key_and_by_no_other(sandbox: NonoRun, signing_key: Path) -> None:
    session_id, exit_code, _ = ran(sandbox, "true", f"--audit-sign-key=file://{signing_key}")
    assert exit_code == 0
    status, verdict = verified(sandbox, session_id, f"--public-key-file={signing_key}.pub")
    assert (status, verdict["attestation"]["expected_public_key_matches"]) == (0, True)
    nono(sandbox, "trust", "keygen", f"--keyref=file://{sandbox.user.home}/other.key")
    status, verdict = verified(sandbox, session_id, f"--public-key-file={sandbox.user.home}/other.key.pub")
    assert (status, verdict["attestation"]["verification_error"]) == (
        1,
        "a key other than the expected one made it",
    )
    unsigned, _, _ = ran(sandbox)
    status, verdict = verified(sandbox, unsigned, f"--public-key-file={signing_key}.pub")
    assert (status, verdict["problems"]) == (1, ["the session is not signed"])


@pytest.mark.skipif(shutil.which("cosign") is None, reason="cosign is not installed")
@pytest.mark.parametrize("key", ["sign.key", "other.key"])
def test_cosign_verifies_the_signature_of_a_session(
    sandbox: NonoRun, signing_key: Path, tmp_path: Path, key: str
) -> None:
    other = f"file://{sandbox.user.home}/{key}"
    nono(sandbox, "trust", "keygen", f"--keyref={other}")
    session_id, _, _ = ran(sandbox, "true", f"--audit-sign-key=file://{signing_key}")
    (tmp_path / "key.pem").write_text(
        nono(sandbox, "trust", "export-key", f"--keyref={other}", "--pem").stdout
    )
    # Of those that sign without a key: nobody, or cosign would ask the network.
    root = {"mediaType": "application/vnd.dev.sigstore.trustedroot+json;version=0.1"}
    (tmp_path / "root.json").write_text(json.dumps(root))
    argv = ["cosign", "verify-blob-attestation", f"--key={tmp_path}/key.pem", "--new-bundle-format"]
    argv += ["--insecure-ignore-tlog=true", f"--trusted-root={tmp_path}/root.json"]
    argv += ["--type=https://nono.sh/attestation/audit-session/alpha"]
    argv += ["--bundle=audit-attestation.bundle", "audit-events.ndjson"]
    directory = audit_of(sandbox) / session_id
    done = subprocess.run(argv, cwd=directory, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode == 0) == (key == "sign.key"), done.stderr


def test_a_signing_key_that_the_command_could_read_is_refused(sandbox: NonoRun) -> None:
    inside = sandbox.project / "sign.key"
    nono(sandbox, "trust", "keygen", f"--keyref=file://{inside}")
    _, exit_code, said = ran(sandbox, "true", f"--audit-sign-key=file://{inside}")
    assert (exit_code, "the key lies in a granted directory" in said) == (1, True)


def test_a_signing_key_in_a_variable_is_kept_from_the_command(sandbox: NonoRun, signing_key: Path) -> None:
    ended = sandbox.run(
        ["sh", "-c", "echo ${SIGNER-none}"],
        profile=OPEN,
        flags=["--audit-sign-key=env://SIGNER", "--env=SIGNER"],
        environment={"SIGNER": signing_key.read_text().strip()},
    )
    assert (ended.exit_code, ended.stdout) == (0, "none\n")
    session_id = records(sandbox.user)[0]["session_id"]
    assert verified(sandbox, session_id, f"--public-key-file={signing_key}.pub")[0] == 0


def test_without_its_signing_key_nothing_is_started(sandbox: NonoRun) -> None:
    ended = sandbox.run(["touch", "started"], profile=OPEN, flags=["--audit-sign-key=keystore://absent"])
    assert (ended.exit_code, (sandbox.project / "started").exists()) == (1, False)


def test_without_integrity_nothing_is_verified(sandbox: NonoRun) -> None:
    session_id, exit_code, said = ran(sandbox, "true", "--no-audit-integrity")
    assert (exit_code, "--no-audit-integrity: nothing will show" in said) == (0, True)
    status, verdict = verified(sandbox, session_id)
    assert (status, verdict["state"]) == (1, "mismatch")
    assert "no integrity summary" in verdict["problems"][0]
