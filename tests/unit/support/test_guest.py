"""What guests are given and what is made of their reports; the guests themselves run by make test-kernels."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest

from guest.architecture import ARCHITECTURES
from guest.cpio import Archive
from guest.debian import RELEASES, Kernel
from guest.image import build_own
from guest.matrix import read, table
from guest.selection import SELECTIONS, Task
from support.attack_programs import building

RELEASE = next(release for release in RELEASES if release.version == "6.12")
TASK = Task(("tests",), "user", 60)
STARTED = {"kernel": "6.12.1-test", "abi": 6, "rung": "notify", "said": ""}
PASSED = {"test": "t.py::test_a", "outcome": "passed", "took_s": 0.1, "why": ""}
ENDED = {"ended": 0, "seconds": 3}


def lines(*told: object) -> list[str]:
    return [json.dumps(each) for each in told]


def test_a_guest_that_did_everything_has_no_complaints() -> None:
    report = read(RELEASE, TASK, 9.6, lines(STARTED, PASSED, ENDED))
    assert report.complaints == []
    row = table([report]).splitlines()[1].split()
    assert row == ["6.12.1-test", "user", "1", "6", "notify", "1", "0", "0", "10"]


@pytest.mark.parametrize(
    "told",
    [
        pytest.param(lines(), id="it said nothing"),
        pytest.param([*lines(STARTED, PASSED), '{"ended": 0, "sec'], id="the last line is cut"),
        pytest.param(lines(STARTED, ENDED), id="no test has run"),
        pytest.param(lines(STARTED, PASSED), id="it ended early"),
        pytest.param(lines(STARTED, PASSED, ENDED | {"ended": -1}), id="it took too long"),
        pytest.param(lines(STARTED, PASSED, ENDED | {"ended": 4}), id="pytest did not know a test"),
        pytest.param(lines(STARTED | {"abi": 5}, PASSED, ENDED), id="another ABI"),
        pytest.param(lines(STARTED | {"rung": "landlock"}, PASSED, ENDED), id="another rung"),
        pytest.param(lines(STARTED, PASSED, PASSED | {"outcome": "failed"}, ENDED), id="a test failed"),
    ],
)
def test_whatever_is_missing_is_a_complaint(told: list[str]) -> None:
    assert read(RELEASE, TASK, 1, told).complaints


def entries_of(archive: bytes) -> dict[str, tuple[int, bytes]]:
    """Return mode and content by name, as init/initramfs.c reads them."""
    found, at = dict[str, tuple[int, bytes]](), 0
    while True:
        assert archive[at : at + 6] == b"070701"
        fields = [int(archive[at + 6 + 8 * each : at + 14 + 8 * each], 16) for each in range(13)]
        mode, size, name_size = fields[1], fields[6], fields[11]
        name = archive[at + 110 : at + 109 + name_size].decode()
        if name == "TRAILER!!!":
            return found
        at += 110 + name_size + -(110 + name_size) % 4
        found[name] = mode, archive[at : at + size]
        at += size + -size % 4


def test_a_guest_is_given_its_task_and_modules_in_their_order(tmp_path: Path) -> None:
    modules = tuple(tmp_path / name for name in ("inet_diag.ko", "dummy.ko"))
    for module in modules:
        module.write_bytes(module.stem.encode())
    (task,) = SELECTIONS["short"]
    build_own(tmp_path / "own", Kernel(tmp_path / "vmlinuz", modules), task)
    found = entries_of((tmp_path / "own").read_bytes())
    assert found["modules/0-inet_diag.ko"][1] == b"inet_diag"
    assert found["modules/1-dummy.ko"][1] == b"dummy"
    assert json.loads(found["task.json"][1])["user"] == "user"


def test_the_archive_holds_what_was_put_into_it(tmp_path: Path) -> None:
    source = tmp_path / "program"
    source.write_text("content")
    source.chmod(0o700)
    with Archive(tmp_path / "archive") as archive:
        archive.directory("/tmp", 0o1777)
        archive.text("/etc/hosts", "127.0.0.1 localhost\n")
        archive.symlink("/lib", "usr/lib")
        archive.copy(source, Path("/bin/program"))
    assert entries_of((tmp_path / "archive").read_bytes()) == {
        "tmp": (stat.S_IFDIR | 0o1777, b""),
        "etc": (stat.S_IFDIR | 0o755, b""),
        "etc/hosts": (stat.S_IFREG | 0o644, b"127.0.0.1 localhost\n"),
        "lib": (stat.S_IFLNK | 0o777, b"usr/lib"),
        "bin": (stat.S_IFDIR | 0o755, b""),
        "bin/program": (stat.S_IFREG | 0o744, b"content"),
    }


def test_a_tree_is_taken_as_it_is_and_hides_nothing_that_was_there_before(tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    (tree / "usr/bin").mkdir(parents=True)
    (tree / "usr/bin/tool").write_text("tool")
    (tree / "bin").symlink_to("usr/bin")
    (tree / "usr/bin/absolute").symlink_to("/usr/bin/tool")
    (tree / "hosts").write_text("of the package")
    with Archive(tmp_path / "archive") as archive:
        archive.text("/root/hosts", "ours")
        archive.tree(tree, Path("/root"))
    assert entries_of((tmp_path / "archive").read_bytes()) == {
        "root": (stat.S_IFDIR | 0o755, b""),
        "root/hosts": (stat.S_IFREG | 0o644, b"ours"),
        "root/bin": (stat.S_IFLNK | 0o777, b"usr/bin"),
        "root/usr": (stat.S_IFDIR | 0o755, b""),
        "root/usr/bin": (stat.S_IFDIR | 0o755, b""),
        "root/usr/bin/tool": (stat.S_IFREG | 0o644, b"tool"),
        "root/usr/bin/absolute": (stat.S_IFLNK | 0o777, b"/usr/bin/tool"),
    }


def test_each_machine_has_its_own_program_for_its_foreign_gate() -> None:
    built = {machine: {source.stem for source in building.sources(machine)} for machine in ARCHITECTURES}
    assert built["x86_64"] - built["aarch64"] == {"foreign_abi"}
    assert built["aarch64"] - built["x86_64"] == {"foreign_abi_arm"}
