"""F12: what is denied, or nono's own, is out of reach at every mount through which it can be reached."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from support.elevation import asked
from support.nono_run import NONO, PROGRAM_GRANTS, Ended, NonoRun
from support.private_mounts import stage

CANARY = "canary at another mount"
DENY = ["$WORKDIR/.env", "$WORKDIR/.git/hooks"]
TRY = """
cd "$1"
cat .env mine
echo changed > .env
echo new > .git/hooks/pre-commit
echo new > .git/beside
ls .git/hooks
mv .git moved
"""


@pytest.fixture
def second(sandbox: NonoRun) -> Iterator[Path]:
    """Yield a directory beside the project, onto which something is mounted; the project has secrets."""
    other = sandbox.make(sandbox.user.home / "second")
    for directory in (sandbox.project / ".git", sandbox.project / ".git/hooks"):
        sandbox.make(directory)
    for name, text in ((".env", CANARY), ("mine", "open\n")):
        (sandbox.project / name).write_text(text)
        sandbox.give(sandbox.project / name)
    yield other
    for left in sandbox.project.iterdir():
        shutil.rmtree(left) if left.is_dir() else left.unlink()
    other.rmdir()


@pytest.fixture
def store(sandbox: NonoRun) -> Iterator[Path]:
    """Yield nono's state, with a key in it, and a key of ssh's."""
    files = [sandbox.user.home / name for name in (".local/state/nono/vault/key", ".ssh/id_rsa")]
    for file in files:
        for directory in (*reversed(file.parents),):
            if not directory.exists():
                directory.mkdir(mode=0o700)
                sandbox.give(directory)
        file.write_text(CANARY)
        sandbox.give(file)
    yield files[0]
    for file in files:
        shutil.rmtree(file.parent)


def profile(network: dict[str, object]) -> dict[str, Any]:
    return {"filesystem": {"deny": DENY}, "network": network}


def granting(sandbox: NonoRun, mounts: dict[str | Path, Path], *words: str) -> Ended:
    """Run with no other grants than `words`, where `mounts` are mounted."""
    argv = [*NONO, "run", "--block-net", *PROGRAM_GRANTS, *words]
    return sandbox.bare(argv, stage=stage(mounts))


@pytest.mark.parametrize("network", [{"block": True}, {"allow_domain": []}], ids=["blocked", "notify"])
def test_what_is_denied_is_masked_at_a_second_mount(
    network: dict[str, object], sandbox: NonoRun, second: Path
) -> None:
    """Not granted by its name: a rule of Landlock is for an inode, so the second mount is granted as well."""
    run = sandbox.run(
        ["sh", "-c", TRY, "sh", str(second)], profile=profile(network), stage=stage({second: sandbox.project})
    )
    assert CANARY not in run.stdout
    assert run.stdout.startswith("open\n"), run.stderr
    assert (sandbox.project / ".env").read_text() == CANARY
    assert list((sandbox.project / ".git/hooks").iterdir()) == []
    assert (sandbox.project / ".git/beside").exists()
    masked = {event["path"] for event in run.events if event["type"] == "masked"}
    names = (".env", ".git/hooks")
    assert masked == {f"{directory}/{name}" for directory in (sandbox.project, second) for name in names}


def test_the_second_mount_leads_there_without_nono(sandbox: NonoRun, second: Path) -> None:
    sandbox.bare(["sh", "-c", TRY, "sh", str(second)], stage=stage({second: sandbox.project}))
    assert (sandbox.project / ".env").read_text() == "changed\n"
    assert (sandbox.project / "moved/hooks/pre-commit").read_text() == "new\n"


@pytest.mark.parametrize("part", ["", ".local", ".local/state/nono", ".local/state/nono/vault"])
def test_no_mount_of_nonos_state_can_be_granted(
    part: str, sandbox: NonoRun, second: Path, store: Path
) -> None:
    mounts: dict[str | Path, Path] = {second: sandbox.user.home / part}
    inside = str(second / store.relative_to(sandbox.user.home / part))
    assert sandbox.bare(["cat", inside], stage=stage(mounts)).stdout == CANARY
    refused = granting(sandbox, mounts, f"--read={second}", "--", "cat", inside)
    assert (refused.exit_code, refused.stdout) == (1, "")
    assert "overlaps protected nono state root" in refused.stderr
    assert str(sandbox.user.home / ".local/state/nono") in refused.stderr


def test_a_mount_of_anything_else_can_be_granted(sandbox: NonoRun, second: Path) -> None:
    run = granting(sandbox, {second: sandbox.project}, f"--read={second}", "--", "cat", f"{second}/mine")
    assert run.stdout == "open\n", run.stderr


def test_what_a_group_denies_is_masked_below_a_granted_mount(
    sandbox: NonoRun, second: Path, store: Path
) -> None:
    """Only ~/.ssh is mounted: a grant of a mount that shows nono's state as well would be refused."""
    sandbox.make(second / "keys")
    mounts: dict[str | Path, Path] = {second / "keys": sandbox.user.home / ".ssh"}
    key = f"{second}/keys/id_rsa"
    try:
        assert sandbox.bare(["cat", key], stage=stage(mounts)).stdout == CANARY
        run = granting(sandbox, mounts, f"--read={second}", "--", "cat", key)
        assert (run.exit_code, run.stdout) == (1, "")
        refused = granting(sandbox, mounts, f"--read={second}/keys", "--", "cat", key)
        assert refused.exit_code == 1
        assert "group:deny_credentials" in refused.stderr
    finally:
        (second / "keys").rmdir()


@pytest.mark.needs("listener")
def test_nobody_is_asked_about_what_is_denied_at_another_mount(
    sandbox: NonoRun, second: Path, store: Path
) -> None:
    inside = second / store.relative_to(sandbox.user.home)
    sandboxed = {"filesystem": {"deny": [str(sandbox.user.home / ".ssh")]}}
    command = ["sh", "-c", 'cat "$1" "$2"; true', "sh", str(inside), str(second / ".ssh/id_rsa")]
    with asked(sandbox, command, profile=sandboxed, stage=stage({second: sandbox.user.home})) as run:
        assert run.end() == 0
    assert run.asked == 0
    assert CANARY.encode() not in run.person.shown
    refused = {entry["request"]["path"]: entry["decision"] for entry in run.entries}
    assert set(refused) == {str(inside), str(second / ".ssh/id_rsa")}
    assert all("Denied" in decision for decision in refused.values())


def test_nono_why_says_so(sandbox: NonoRun, second: Path, store: Path) -> None:
    inside = second / store.relative_to(sandbox.user.home)
    argv = [*NONO, "why", "--json", "--op", "read", "--path", str(inside)]
    said = sandbox.bare(argv, stage=stage({second: sandbox.user.home}))
    answer = json.loads(said.stdout)
    assert (answer["status"], answer["policy_source"]) == ("denied", "protected_root")
    assert os.path.basename(answer["details"].split("'")[1]) == "nono"
