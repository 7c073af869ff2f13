"""A run with --rollback is undone by the commands that a person types."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.nono_run import NONO, Ended, NonoRun, nono_run
from support.terminal import terminal

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


@pytest.mark.parametrize("flag", ["--rollback-all", "--rollback-include=x", "--rollback-exclude=x"])
def test_what_undo_would_cover_without_undo_is_warned_about(sandbox: NonoRun, flag: str) -> None:
    warning = f"{flag.partition('=')[0]}: nothing is kept for undo without --rollback."
    for also, is_warned in ([], True), (["--rollback"], False), (["--no-rollback"], False):
        run = sandbox.run(["true"], flags=["--allow=.", "--no-rollback-prompt", flag, *also])
        assert (run.exit_code, warning in run.stderr) == (0, is_warned)


def test_a_run_says_what_it_changed(changed: Ended) -> None:
    assert changed.exit_code == 0, changed.stderr
    assert "3 created, 3 deleted" in changed.stderr
    assert "nono rollback restore" in changed.stderr


@pytest.mark.parametrize("command", ["rollback show", "rollback restore", "audit show", "logs", "report"])
@pytest.mark.usefixtures("changed")
def test_a_session_that_was_mistyped_is_offered(sandbox: NonoRun, command: str) -> None:
    mistyped = sandbox.bare([*NONO, *command.split(), "lates"])
    assert mistyped.exit_code == 1
    assert "hint: did you mean 'latest'?" in mistyped.stderr
    unlike = sandbox.bare([*NONO, *command.split(), "0123456789"])
    assert unlike.exit_code == 1
    assert "did you mean" not in unlike.stderr


def test_each_snapshot_is_in_the_audit_log(changed: Ended) -> None:
    taken = [event for event in changed.events if event["type"] == "snapshot_taken"]
    assert [event["kind"] for event in taken] == ["baseline", "end"]
    assert taken[0]["merkle_root"] != taken[1]["merkle_root"]


def test_the_audit_log_counts_its_snapshots(sandbox: NonoRun, changed: Ended) -> None:
    session_id = json.loads(rollback(sandbox, "list", "--json").stdout)[0]["session_id"]
    listed = json.loads(sandbox.bare([*NONO, "audit", "list", "--json"]).stdout)
    assert [each["snapshot_count"] for each in listed if each["session_id"] == session_id] == [2]
    shown = json.loads(sandbox.bare([*NONO, "audit", "show", session_id, "--json"]).stdout)
    assert [each["kind"] for each in shown["snapshots"]] == ["baseline", "end"]
    kept = json.loads(rollback(sandbox, "show", session_id, "--json").stdout)["snapshots"]
    for name in ("timestamp", "file_count", "changes"):
        assert [each[name] for each in shown["snapshots"]] == [each[name] for each in kept]
    assert len(kept[1]["changes"]) == 6
    (summary,) = sandbox.user.home.glob(f".local/state/nono/audit/{session_id}/session.json")
    assert json.loads(summary.read_text())["snapshot_count"] == 2
    assert sandbox.bare([*NONO, "audit", "verify", session_id]).exit_code == 0


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


@pytest.mark.parametrize(
    "typed", [("rollback", "list"), ("audit", "list"), ("audit", "show", "latest"), ("logs", "latest")]
)
@pytest.mark.usefixtures("changed")
def test_a_row_is_cut_at_a_terminal_alone(sandbox: NonoRun, typed: tuple[str, ...]) -> None:
    piped = sandbox.bare([*NONO, *typed]).stdout
    argv = sandbox.user.command([*NONO, *typed])
    with terminal(argv, sandbox.user.environment(), sandbox.project) as person:
        assert person.end() == 0
    shown = person.shown.decode().splitlines()
    assert max(map(len, shown)) == 80
    assert [line[:80].rstrip() for line in piped.splitlines()] == [line.rstrip() for line in shown]


def test_snapshots_are_not_put_where_the_command_can_write(sandbox: NonoRun) -> None:
    place, link = sandbox.project / "snapshots", sandbox.project / "link"
    outside = sandbox.make(sandbox.user.home / "snapshots")
    link.symlink_to(outside)  # as another command may have left it
    for each in (place, link):
        refused = sandbox.run(["true"], profile={}, flags=["--rollback", f"--rollback-dest={each}"])
        assert refused.exit_code == 1
        assert "could change what undo restores" in refused.stderr.replace("\n", " ")
    assert [*outside.iterdir()] == []
    allowed = sandbox.run(["true"], profile={}, flags=["--rollback", f"--rollback-dest={outside}"])
    assert allowed.exit_code == 0, allowed.stderr
    assert len(list(outside.iterdir())) == 1


@pytest.mark.root
def test_a_state_that_is_read_only_refuses_the_run(sandbox: NonoRun) -> None:
    state = str(sandbox.user.home / ".local/state")
    assert sandbox.run(["true"], profile={}, flags=["--rollback"]).exit_code == 0
    read_only = 'mount --bind "$1" "$1" && mount -o remount,bind,ro "$1" && shift && exec "$@"'
    stage = ["unshare", "--mount", "sh", "-c", read_only, "sh", state]
    refused = sandbox.run(["touch", "made"], profile={}, flags=["--rollback"], stage=stage)
    assert (refused.exit_code, (sandbox.project / "made").exists()) == (1, False), refused.stderr
    assert "Read-only file system" in refused.stderr
    assert sandbox.run(["touch", "made"], profile={}, flags=["--rollback"]).exit_code == 0


@pytest.mark.root
def test_a_run_whose_end_finds_no_space_says_how_to_go_back(sandbox: NonoRun) -> None:
    state, user = sandbox.user.home / ".local/state", sandbox.user
    state.mkdir(parents=True, exist_ok=True)
    small = (
        f'mount -t tmpfs -o size=400k,mode=700,uid={user.uid},gid={user.gid} none "$1" && shift && exec "$@"'
    )
    stage = ["unshare", "--mount", "sh", "-c", small, "sh", str(state)]
    names = "seq --format=%0200g 3000 | xargs touch"
    ended = sandbox.run(["sh", "-c", names], profile={}, flags=["--rollback"], stage=stage)
    assert ended.exit_code == 1
    said = " ".join(ended.stderr.split())
    assert (
        "cannot be kept for undo: No space left on device. To go back to before the run: nono rollback"
        in said
    )


def test_what_is_made_after_the_command_has_ended_is_undone_too(sandbox: NonoRun) -> None:
    late = "(while kill -0 $$ 2>/dev/null; do :; done; sleep 0.2; echo x > late) >/dev/null 2>&1 &"
    ended = sandbox.run(["sh", "-c", late], profile={}, flags=["--rollback"])
    assert "1 created" in ended.stderr
    assert (sandbox.project / "late").exists()
    assert rollback(sandbox, "restore", "latest").exit_code == 0
    assert not (sandbox.project / "late").exists()


def test_a_person_undoes_a_run_at_its_end(sandbox: NonoRun) -> None:
    file = sandbox.give(Path(shutil.copy(__file__, sandbox.project / "mine")))
    before = file.read_text()
    argv = sandbox.argv(["sh", "-c", "echo run > mine"], profile={}, flags=["--rollback"])
    with terminal(argv, sandbox.user.environment(), sandbox.project) as person:
        for keys in (b"l\n", b"u\n"):
            question = b"[Enter] keep / [u] undo all / [l] look: "
            while person.shown.count(question) < (1 if keys == b"l\n" else 2):
                person.wait_for_more()
            person.wait_until_heeded()
            person.type(keys)
        assert person.end() == 0
    assert b"+run" in person.shown
    assert b"Restored 1 path(s)." in person.shown
    assert file.read_text() == before


IMPATIENT = (
    "import runpy, sys; from nono.cli.commands.rollback import progress; progress.PATIENCE_S = {};"
    "runpy.run_module('nono', run_name='__main__', alter_sys=True)"
)


@pytest.mark.parametrize(("patience_s", "is_shown"), [(-1, True), (60, False)], ids=["long", "short"])
def test_an_end_that_takes_long_is_shown(sandbox: NonoRun, patience_s: int, is_shown: bool) -> None:
    argv = sandbox.argv(["echo", "ended"], profile={}, flags=["--rollback", "--no-rollback-prompt"])
    at = argv.index("-m")
    argv[at : at + 2] = ["-c", IMPATIENT.format(patience_s)]
    with terminal(argv, sandbox.user.environment({"TERM": "xterm"}), sandbox.project) as person:
        assert person.end() == 0
    _, _, after = person.shown.partition(b"ended")
    assert (b"looking at what the run changed: " in after) is is_shown


def test_a_profile_says_what_undo_leaves_out(sandbox: NonoRun) -> None:
    profile = {"rollback": {"exclude_patterns": ["left"], "exclude_globs": ["*.log"]}}
    touch = ["sh", "-c", "echo x > left; echo x > a.log; echo x > covered"]
    ended = sandbox.run(touch, profile=profile, flags=["--rollback", "--rollback-exclude=b/*"])
    assert "1 created" in ended.stderr
    assert "+ " + str(sandbox.project / "covered") in ended.stderr


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--rollback", "--no-rollback"], "--rollback and --no-rollback contradict each other."),
        (["--rollback", "--no-audit"], "--rollback and --no-audit contradict each other."),
        (
            ["--rollback", "--no-audit-integrity"],
            "--rollback and --no-audit-integrity contradict each other.",
        ),
        (["--rollback-dest=/nowhere"], "--rollback-dest has no effect without --rollback."),
    ],
)
def test_options_that_contradict_each_other_are_refused(
    sandbox: NonoRun, flags: list[str], words: str
) -> None:
    for also in ([], ["--dry-run"]):
        ended = sandbox.run(["true"], profile={}, flags=[*flags, *also])
        assert ended.exit_code == 2
        assert words in ended.stderr


def test_a_sandbox_is_no_place_to_restore_from(sandbox: NonoRun) -> None:
    inside = {"NONO_CAP_FILE": "/nonexistent"}
    refused = sandbox.bare([*NONO, "rollback", "restore", "latest"], environment=inside)
    assert refused.exit_code == 1
    assert "`nono rollback` cannot be used inside a sandbox." in refused.stderr


def test_a_command_reaches_no_snapshot(sandbox: NonoRun) -> None:
    place = sandbox.user.home / ".local/state/nono/rollbacks"
    ended = sandbox.run(["sh", "-c", f"ls {place}; rm -rf {place}"], profile={}, flags=["--rollback"])
    assert ended.exit_code != 0
    assert rollback(sandbox, "verify", "latest").exit_code == 0


def test_a_granted_file_is_undone_by_its_commands(sandbox: NonoRun) -> None:
    file, beside = sandbox.user.home / "settings", sandbox.user.home / "beside"
    for path in (file, beside):
        path.write_text("old\n")
        sandbox.give(path)
    script = 'echo by the run > "$1"; echo by the run > "$2"'
    ran = sandbox.run(
        ["sh", "-c", script, "sh", str(file), str(beside)],
        profile={},
        flags=["--rollback", f"--allow-file={file}"],
    )
    assert (file.read_text(), beside.read_text()) == ("by the run\n", "old\n"), ran.stderr
    assert str(file) in ran.stderr
    restored = rollback(sandbox, "restore", "latest", str(file))
    assert (restored.exit_code, file.read_text()) == (0, "old\n"), restored.stdout + restored.stderr


def test_a_directory_is_restored_however_it_is_spelled(sandbox: NonoRun) -> None:
    for name in ("spelled", "beside"):
        (sandbox.project / name).mkdir()
        sandbox.give(sandbox.project / name)
    ran = sandbox.run(["touch", "spelled/f"], profile={}, flags=["--rollback"])
    assert ran.exit_code == 0, ran.stderr
    for spelling in (".", "./", "spelled/.", "beside/../spelled", "spelled/../beside/.."):
        would = rollback(sandbox, "restore", "latest", "--dry-run", spelling)
        assert "Would restore 1 path(s):" in would.stdout, spelling
    other = rollback(sandbox, "restore", "latest", "--dry-run", "beside/.")
    assert "Nothing would be restored." in other.stdout


@pytest.mark.usefixtures("changed")
def test_what_is_to_be_left_alone_is_not_restored_by_force(sandbox: NonoRun) -> None:
    refused = rollback(sandbox, "restore", "latest", "--dry-run", "--skip-changed", "--force")
    assert (refused.exit_code, "not allowed with argument" in refused.stderr) == (2, True)


@pytest.mark.parametrize("other", ["--keep=3", "--older-than=30"])
@pytest.mark.usefixtures("changed")
def test_a_cleanup_that_is_to_keep_some_does_not_remove_all(sandbox: NonoRun, other: str) -> None:
    refused = rollback(sandbox, "cleanup", "--all", "--yes", other)
    assert (refused.exit_code, "not allowed with argument" in refused.stderr) == (2, True)
    assert rollback(sandbox, "show", "latest").exit_code == 0
