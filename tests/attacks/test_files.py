"""Files outside the grants are out of reach by every name, nono's own first of all."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from nono.kernel import landlock
from support.attack_programs.files.files import reaches
from support.nono_run import Ended, NonoRun, program

LINKS = {"rename out", "rename in", "rename over", "hard link out", "hard link in", "rename the parent"}
CANARY = "canary of a file"


@pytest.fixture
def outside(sandbox: NonoRun) -> Iterator[Path]:
    """Create a directory beside the project, with a secret and a victim."""
    home = sandbox.user.home
    directory, ssh, mine = home / "outside", home / ".ssh", sandbox.project / "mine"
    for made in (directory, ssh):
        made.mkdir()
        sandbox.give(made)
    for file in (directory / "secret", directory / "victim", ssh / "id_ed25519", mine):
        file.write_text(CANARY)
        sandbox.give(file)
    yield directory
    for left in (
        *directory.rglob("*"),
        ssh / "id_ed25519",
        *(sandbox.project / n for n in ("mine", "second")),
    ):
        left.unlink(missing_ok=True)
    directory.rmdir()
    ssh.rmdir()


def test_what_is_outside_the_grants_cannot_be_read_changed_or_moved(sandbox: NonoRun, outside: Path) -> None:
    home = sandbox.user.home
    run = sandbox.run(program("files.files", str(home)))
    outcomes = run.outcomes()
    refused = {name: outcome for name, outcome in outcomes.items() if name in reaches("")}
    if landlock.abi_version() < 3:  # the gap that the audit log names
        assert refused.pop("truncate") == "ok"
        assert any("truncate(2)" in event["what"] for event in run.events if event["type"] == "not_enforced")
        (outside / "victim").write_text(CANARY)
    # EXDEV is how Landlock refuses a move between directories of different rights (landlock(7)).
    assert {name for name, outcome in refused.items() if outcome not in ("EACCES", "EXDEV")} == set()
    assert {name for name, outcome in refused.items() if outcome == "EXDEV"} <= LINKS
    assert {outcome for name, outcome in outcomes.items() if name.endswith("inside")} == {"ok"}
    assert sorted(path.name for path in outside.iterdir()) == ["secret", "victim"]
    assert {path.read_text() for path in outside.iterdir()} == {CANARY}


def test_it_can_be_without_nono(sandbox: NonoRun, outside: Path) -> None:
    home = sandbox.user.home
    outcomes = sandbox.bare(program("files.files", str(home))).outcomes()
    for name in (
        "read",
        "read by O_PATH",
        "read a key",
        "write",
        "truncate",
        "create",
        "unlink",
        "rename out",
    ):
        assert outcomes[name] == "ok", name
    for made in (home / "elsewhere", home / "outside/directory"):
        if made.exists():
            made.rename(outside) if made.name == "elsewhere" else made.rmdir()
    if (outside / "directory").exists():
        (outside / "directory").rmdir()
    (sandbox.project / "taken").unlink(missing_ok=True)


SCRIPT = """
for each in "$@"; do ls "$each/"; cat "$each"; rm -r "$each"; (: > "$each/x"); (: > "$each"); done
echo ended
"""


@pytest.mark.parametrize("flags", [(), ("--read=.local",)], ids=["not granted", "parent granted"])
def test_nonos_own_state_is_out_of_the_commands_reach(flags: tuple[str, ...], sandbox: NonoRun) -> None:
    """Neither to read, nor to write, nor to remove: the audit log is evidence against it."""
    state = sandbox.user.home / ".local/state/nono"
    sandbox.run(["true"])
    kept = {path: path.read_bytes() for path in state.rglob("*") if path.is_file()}
    flags = tuple(flag.replace(".local", str(sandbox.user.home / ".local")) for flag in flags)
    run = sandbox.run(["sh", "-c", SCRIPT, "sh", *map(str, [*kept, state])], flags=flags)
    if flags:
        assert run.exit_code != 0
        assert "ended" not in run.stdout
    else:
        assert run.stdout == "ended\n"
        types = [event["type"] for event in run.events if event["type"] != "not_enforced"]
        assert types == ["session_started", "run_options", "enforced_by", "session_ended"]
    # The ledger gets the entry of this very run.
    assert {path: path.read_bytes()[: len(content)] for path, content in kept.items()} == kept


@pytest.mark.parametrize("below", [".local", ".local/state", ".local/state/nono"])
def test_the_state_of_other_runs_is_out_of_reach_where_this_one_keeps_its_own_elsewhere(
    below: str, sandbox: NonoRun
) -> None:
    """The keys to their sessions are there, and stored keys of services."""
    sandbox.run(["true"])
    elsewhere, beside = sandbox.user.home / "elsewhere", sandbox.user.home / ".local/state/beside"
    for each in (elsewhere, beside):
        each.mkdir()
        sandbox.give(each)

    def listing(path: Path) -> Ended:
        environment = {"XDG_STATE_HOME": str(elsewhere)}
        return sandbox.run(["ls", str(path)], flags=[f"--read={path}"], environment=environment)

    refused = listing(sandbox.user.home / below)
    assert (refused.exit_code, refused.stdout) == (1, "")
    assert "overlaps protected nono state root" in refused.stderr
    assert listing(beside).exit_code == 0
    shutil.rmtree(elsewhere)
    beside.rmdir()


def test_nonos_state_below_tmp_is_out_of_the_commands_reach_as_well(sandbox: NonoRun) -> None:
    """/tmp may be written by every command, so a state directory there must not be."""
    state = sandbox.user.home / "tmp/state"
    state.mkdir(exist_ok=True)
    sandbox.give(state)
    flags = [f"--allow={sandbox.user.home}/tmp"]
    environment = {"XDG_STATE_HOME": str(state)}
    script = ["sh", "-c", f"rm -r {state}/nono/*; echo removed > {state}/nono/x"]
    run = sandbox.run(script, flags=flags, environment=environment)
    assert run.exit_code != 0
    assert not (state / "nono/x").exists()
