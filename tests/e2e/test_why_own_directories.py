"""`nono why` says of /tmp and its kin what a run would find there."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from support.nono_run import NO_NAMESPACES, NONO, NonoRun

OPEN = "import os, sys; os.open(sys.argv[1], {'read': os.O_RDONLY, 'write': os.O_WRONLY}[sys.argv[2]])"


@pytest.fixture(params=["/tmp", "/dev/shm"])  # the homes of the tests lie in /var/tmp
def letter(request: pytest.FixtureRequest, sandbox: NonoRun) -> Iterator[Path]:
    """Yield a file of the person's in a directory that all users share."""
    with tempfile.TemporaryDirectory(prefix="nono-why-", dir=request.param) as directory:
        file = Path(directory) / "letter"
        file.write_text("dear")
        sandbox.give(Path(directory))
        yield sandbox.give(file)


def why(sandbox: NonoRun, path: str | Path, *options: str, op: str = "read") -> dict[str, Any]:
    argv = [*NONO, "why", f"--allow={sandbox.project}", *options, "--json", "--op", op, "--path", str(path)]
    answer = sandbox.bare(argv).outcomes()
    assert isinstance(answer, dict)
    return answer


def opens(sandbox: NonoRun, path: Path, *options: str, op: str = "read") -> bool:
    ended = sandbox.run(["python3", "-c", OPEN, str(path), op], profile={}, flags=options)
    return ended.exit_code == 0


@pytest.mark.needs("mounts")
@pytest.mark.parametrize("namespaces", ["auto", "require"])
def test_a_file_that_a_run_does_not_see_is_denied_with_what_shows_it(
    sandbox: NonoRun, letter: Path, namespaces: str
) -> None:
    option = f"--namespaces={namespaces}"
    answer = why(sandbox, letter, option)
    assert (answer["status"], answer["reason"]) == ("denied", "own_directory")
    assert (
        answer["details"]
        == f"the run has a {letter.parent.parent} of its own, without this host's '{letter}'"
    )
    assert not opens(sandbox, letter, option)
    fix = answer["suggested_flag"].split()
    assert fix == ["--read-file", str(letter)]
    shown = f"{fix[0]}={fix[1]}"
    assert why(sandbox, letter, option, shown)["status"] == "allowed"
    assert opens(sandbox, letter, option, shown)


@pytest.mark.needs("mounts")
def test_a_directory_that_shows_through_is_allowed_and_its_neighbour_is_not(
    sandbox: NonoRun, letter: Path
) -> None:
    neighbour = letter.with_name("neighbour")
    neighbour.write_text("x")
    sandbox.give(neighbour)
    shown = f"--read-file={letter}"
    assert why(sandbox, letter, shown)["status"] == "allowed"
    assert why(sandbox, neighbour, shown)["status"] == "denied"
    assert why(sandbox, neighbour, f"--read={letter.parent}")["status"] == "allowed"


@pytest.mark.needs("mounts")
def test_what_is_written_there_is_said_to_be_the_runs(sandbox: NonoRun, letter: Path) -> None:
    """A program that writes may create what is not there."""
    answer = why(sandbox, letter, op="write")
    assert answer["status"] == "allowed"
    assert answer["warning"].endswith("of its own: this host's file stays as it is")
    new = why(sandbox, letter.with_name("new"), op="readwrite")
    assert new["status"] == "allowed"
    assert new["warning"].endswith("of its own: what is written there is gone after the run")
    whole = why(sandbox, "/tmp")
    assert whole["warning"].startswith("the run has a /tmp of its own, with nothing of this host's")


def test_without_namespaces_the_answer_is_about_the_hosts_file(sandbox: NonoRun, letter: Path) -> None:
    answer = why(sandbox, letter, NO_NAMESPACES)
    assert answer["status"] == "denied"
    assert answer["reason"] in ("insufficient_access", "path_not_granted")
    assert not opens(sandbox, letter, NO_NAMESPACES)
    written = why(sandbox, letter, NO_NAMESPACES, op="write")
    assert "warning" not in written
    assert (written["status"] == "allowed") is opens(sandbox, letter, NO_NAMESPACES, op="write")


@pytest.mark.needs("mounts")
def test_a_link_there_to_what_is_granted_is_not_there(sandbox: NonoRun, letter: Path) -> None:
    file = sandbox.project / "f"
    file.write_text("x")
    sandbox.give(file)
    link = letter.with_name("link")
    link.symlink_to(file)
    answer = why(sandbox, link)
    assert (answer["status"], "suggested_flag" in answer) == ("denied", False)
    assert answer["details"].endswith(f"without this link; it leads to {file}, which is granted")
    assert not opens(sandbox, link)
    assert why(sandbox, file)["status"] == "allowed"


@pytest.mark.needs("mounts")
def test_a_process_of_this_host_is_not_in_the_proc_of_a_run(sandbox: NonoRun) -> None:
    with subprocess.Popen(["sleep", "60"]) as outside:
        try:
            answer = why(sandbox, f"/proc/{outside.pid}/status")
            assert (answer["status"], answer["reason"]) == ("denied", "own_directory")
            assert why(sandbox, f"/proc/{outside.pid}/status", NO_NAMESPACES)["status"] == "allowed"
        finally:
            outside.kill()
    for own in ("/proc/self/status", "/proc/cpuinfo"):
        assert why(sandbox, own)["status"] == "allowed"


@pytest.mark.needs("mounts", "namespace sysctls")
def test_a_run_that_would_be_refused_is_told_beside_what_it_would_be_allowed(sandbox: NonoRun) -> None:
    inside = "echo 0 > /proc/sys/user/max_mnt_namespaces; exec setpriv --bounding-set=-all "
    wrapper = ["unshare", "--user", "--map-root-user", "sh", "-c", f'{inside} --inh-caps=-all "$@"', "sh"]
    asked = [*NONO, "why", f"--allow={sandbox.project}", "--json", str(sandbox.project)]
    refused = sandbox.bare([*wrapper, *asked, "--namespaces=require"]).outcomes()
    assert refused["enforced_by"].startswith("nothing, the run is refused: the command must have namespaces")
    assert "enforced_by" not in sandbox.bare([*wrapper, *asked]).outcomes()
