"""A run with --rollback is undone by the commands that a person types."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from support.nono_run import NONO, Ended, NonoRun, nono_run

CHANGES = "rm a; echo x > b; mv c d"


@pytest.fixture(scope="module")
def sandbox() -> Iterator[NonoRun]:
    with nono_run() as sandbox:
        yield sandbox


def rollback(sandbox: NonoRun, *arguments: str) -> Ended:
    return sandbox.bare([*NONO, "rollback", *arguments])


@pytest.fixture(scope="module")
def changed(sandbox: NonoRun) -> Ended:
    (sandbox.project / "a").write_text("old\n")
    (sandbox.project / "c").mkdir()
    (sandbox.project / "c/f").write_text("moved\n")
    for path in (sandbox.project / "a", sandbox.project / "c", sandbox.project / "c/f"):
        sandbox.give(path)
    return sandbox.run(["sh", "-c", CHANGES], profile={}, flags=["--rollback"])


def test_a_run_says_what_it_changed(changed: Ended) -> None:
    assert changed.exit_code == 0, changed.stderr
    assert "3 created, 3 deleted" in changed.stderr
    assert "nono rollback restore" in changed.stderr


def test_each_snapshot_is_in_the_audit_log(changed: Ended) -> None:
    taken = [event for event in changed.events if event["type"] == "snapshot_taken"]
    assert [event["kind"] for event in taken] == ["baseline", "end"]
    assert taken[0]["merkle_root"] != taken[1]["merkle_root"]


def test_what_a_shell_did_is_undone_by_its_commands(sandbox: NonoRun, changed: Ended) -> None:
    (listed,) = json.loads(rollback(sandbox, "list", "--json").stdout)
    assert (listed["changed"], listed["snapshot_count"], listed["is_stale"]) == (6, 2, False)
    assert "-old" in rollback(sandbox, "show", listed["session_id"], "--diff").stdout
    assert "Would restore" in rollback(sandbox, "restore", "latest", "--dry-run").stdout
    assert not (sandbox.project / "a").exists()
    (sandbox.project / "b").write_text("mine, since\n")
    refused = rollback(sandbox, "restore", "latest")
    assert (refused.exit_code, (sandbox.project / "a").exists()) == (1, False)
    assert "b: changed since the run ended" in refused.stdout
    restored = rollback(sandbox, "restore", "latest", "--force")
    assert restored.exit_code == 0, restored.stdout + restored.stderr
    assert (sandbox.project / "a").read_text() == "old\n"
    assert (sandbox.project / "c/f").read_text() == "moved\n"
    assert {path.name for path in sandbox.project.iterdir()} == {"a", "c"}
    assert rollback(sandbox, "verify", "latest").exit_code == 0


def test_snapshots_are_not_put_where_the_command_can_write(sandbox: NonoRun) -> None:
    place = sandbox.project / "snapshots"
    refused = sandbox.run(["true"], profile={}, flags=["--rollback", f"--rollback-dest={place}"])
    assert refused.exit_code == 1
    assert "could change what undo restores" in refused.stderr.replace("\n", " ")
    outside = sandbox.user.home / "snapshots"
    allowed = sandbox.run(["true"], profile={}, flags=["--rollback", f"--rollback-dest={outside}"])
    assert allowed.exit_code == 0, allowed.stderr
    assert len(list(outside.iterdir())) == 1
