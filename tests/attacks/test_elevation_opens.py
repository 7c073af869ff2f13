"""Every way to open a file, with somebody who says yes to all that is asked."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from support.elevation import as_user, python
from support.nono_run import NO_NAMESPACES, Ended, NonoRun, program
from support.running.needs import lacking
from support.servers.webhook import WebhookServer, saying, webhook_server

LONG = bool(os.environ.get("NONO_TEST_LONG"))
ATTEMPTS = 10  # at a race, which is none where only one of two threads is given a CPU
CANARY = "canary of a file outside"
FILES = ("file", "emptied", "longer", "shorter")
ODD = os.fsdecode(b"caf\xe9 \x1b")


@pytest.fixture
def outside(sandbox: NonoRun) -> Iterator[Path]:
    """Yield a directory beside the project with one of each."""
    directory = sandbox.user.home / "outside"
    directory.mkdir()
    for name in (*FILES, ODD, "closed", "secret"):
        (directory / name).write_text(CANARY)
    (directory / "link").symlink_to("file")
    os.mkfifo(directory / "fifo")
    for made in (directory, *directory.iterdir()):
        sandbox.give(made)
    (directory / "closed").chmod(0)
    yield directory
    for left in directory.iterdir():
        left.unlink()
    directory.rmdir()


def profile_of(server: WebhookServer, *denied: Path) -> dict[str, Any]:
    backends = {"phone": {"type": "webhook", "url": server.url}}
    return {
        "security": {"capability_elevation": True, "approval_backends": backends},
        "filesystem": {"deny": [str(path) for path in denied]},
    }


def run(
    sandbox: NonoRun, server: WebhookServer, command: list[str], *denied: Path, flags: Sequence[str] = ()
) -> Ended:
    environment = {"SSL_CERT_FILE": str(server.ca_file), "LC_ALL": "C"}
    return sandbox.run(command, profile=profile_of(server, *denied), flags=flags, environment=environment)


@pytest.mark.needs("listener")
def test_every_spelling_opens_the_file_as_its_flags_say(sandbox: NonoRun, outside: Path) -> None:
    with webhook_server(saying("grant"), sandbox.user.home) as server:
        ended = run(sandbox, server, program("files.opens", str(outside), "spellings"))
    found = ended.outcomes()
    special = {
        "creat": "3",
        "append": "9",
        "truncate": "5",
        "directory": "O_CLOEXEC",
        "flags kept": "O_RDWR O_APPEND O_NONBLOCK O_CLOEXEC",
        "flags not added": "O_RDWR",
        "FIFO to read": "",
    }
    assert found == {name: special.get(name, CANARY) for name in found}
    assert (outside / "longer").read_text() == f"{CANARY} and more"
    assert (outside / "shorter").read_text() == "short"
    if "creat" in found:
        assert (outside / "emptied").read_text() == "new"
    asked = [question["request"]["path"] for question in server.asked]
    assert set(asked) == {
        str(outside / name) for name in (*FILES, "fifo", "caf\\xe9 \x1b")
    } | {str(outside)}  # fmt: skip
    granted = [
        event["entry"]["request"]["path"]
        for event in ended.events
        if event["type"] == "capability_decision" and event["entry"]["decision"] == "Granted"
    ]
    assert granted == asked


@pytest.mark.needs("listener")
def test_what_fails_anyhow_fails_as_the_kernel_has_it(sandbox: NonoRun, outside: Path) -> None:
    """Beside the same program without nono: each errno is the kernel's own, or Landlock's for a new file."""
    with webhook_server(saying("grant"), sandbox.user.home) as server:
        found = run(sandbox, server, program("files.opens", str(outside), "answered")).outcomes()
        asked = {Path(question["request"]["path"]).name for question in server.asked}
    may_not = {"closed"} if sandbox.user.uid else set()  # root's to open, whatever the mode says
    assert asked == {"fifo", "closed"} - may_not
    assert not (outside / "missing").exists()
    bare = sandbox.bare(program("files.opens", str(outside), "answered")).outcomes()
    (outside / "missing").unlink()
    landlocks = {"missing, to be made": "EACCES", "temporary": "EACCES"}
    assert found == bare | landlocks


@pytest.mark.needs("listener")
def test_no_yes_opens_what_belongs_to_a_process_or_to_another_view(sandbox: NonoRun, outside: Path) -> None:
    with webhook_server(saying("grant"), sandbox.user.home) as server:
        ended = run(sandbox, server, program("files.opens", str(outside), "refused"), flags=[NO_NAMESPACES])
    found = ended.outcomes()
    if lacking("io_uring", sandbox.user.uid):
        assert found.pop("ring") != "ok"
    assert set(found.values()) <= {"EPERM", "EACCES"}, found
    assert not any("/proc" in question["request"]["path"] for question in server.asked)


OWN = """
import os
for path in ("/dev/fd", "/proc/self/fd", "/etc/mtab", "/proc/mounts", "/dev/stdin", "/proc/self/status"):
    try:
        os.close(os.open(path, os.O_RDONLY))
        print(path, "ok")
    except OSError as error:
        print(path, error.strerror)
reader, writer = os.pipe()
os.write(writer, b"through a link of the kernel")
print(os.read(os.open(f"/dev/fd/{reader}", os.O_RDONLY), 100).decode())
"""


def test_elevation_takes_nothing_from_what_the_command_has_of_its_own(sandbox: NonoRun) -> None:
    with webhook_server(saying("deny"), sandbox.user.home) as server:
        elevated = run(sandbox, server, python(OWN))
        asked = [question["request"]["path"] for question in server.asked]
    usual = sandbox.run(python(OWN), profile={})
    assert elevated.stdout == usual.stdout
    assert "/dev/fd ok" in usual.stdout
    assert usual.stdout.endswith("through a link of the kernel\n")
    assert asked == []


# -- races


@pytest.fixture
def pair(sandbox: NonoRun) -> Iterator[tuple[Path, Path, Path]]:
    """Create files with paths of equal length: one granted, one asked about, one never given."""
    found = []
    for name, text in (("granted", "good"), ("asked__", "good"), ("secret_", "secret")):
        directory = (sandbox.project if name == "granted" else sandbox.user.home) / f"race-{name}"
        directory.mkdir()
        sandbox.give(directory)
        file = directory / "file"
        file.write_text(text)
        sandbox.give(file)
        found.append(file)
    yield found[0], found[1], found[2]
    for file in found:
        file.unlink()
        file.parent.rmdir()
    (sandbox.project / "flip").unlink(missing_ok=True)
    (sandbox.project / "flip-new").unlink(missing_ok=True)


@pytest.mark.parametrize("mode", ["path", "how", "link", "step"])
def test_a_path_flipped_during_judgement_reads_nothing_else(
    sandbox: NonoRun, compiled: Callable[[str], str], pair: tuple[Path, Path, Path], mode: str
) -> None:
    """Between a granted file and one that is refused; the kernel goes on with what it then finds."""
    granted, _, secret = pair
    tries = 100_000 if LONG else 1_500
    # Paths of one length, since it is their bytes that are flipped.
    slashes = "/" * (1 + len(str(granted)) - len(str(secret)))
    command = [compiled("race_open"), mode, str(tries), "0", str(granted)]
    command.append(f"{secret.parent}{slashes}{secret.name}")
    with webhook_server(saying("deny"), sandbox.user.home) as server:
        for _ in range(ATTEMPTS):
            found = run(sandbox, server, command).outcomes()
            assert found["otherwise"] == 0
            assert {question["request"]["path"] for question in server.asked} <= {str(secret)}
            if found["as_meant"] > tries / 100:
                return
        pytest.fail(f"of {tries} times the granted file was opened {found['as_meant']} times, at last")


@pytest.mark.needs("listener")
@as_user
@pytest.mark.parametrize("mode", ["path", "how", "link", "step"] if LONG else ["path", "step"])
def test_what_was_shown_is_opened_whatever_the_path_is_by_then(
    sandbox: NonoRun, compiled: Callable[[str], str], pair: tuple[Path, Path, Path], mode: str
) -> None:
    """Between a file to which the answer is yes and one to which it is no."""
    _, granted, secret = pair
    tries = 400 if LONG else 8
    command = [compiled("race_open"), mode, str(tries), "110000", str(granted), str(secret)]

    def answer(question: dict[str, Any]) -> bytes:
        return saying("grant" if question["request"]["path"] == str(granted) else "deny")(question)

    with webhook_server(answer, sandbox.user.home) as server:
        for _ in range(ATTEMPTS):  # of a few tries all may meet the one that is refused
            found = run(sandbox, server, command).outcomes()
            assert found["otherwise"] == 0
            if found["as_meant"]:
                assert str(granted) in [question["request"]["path"] for question in server.asked]
                return
    pytest.fail(f"of {tries} times the granted file was opened not once, at last")


@pytest.mark.needs("listener")
@as_user
@pytest.mark.parametrize("change", ["replaced", "made a link", "directory moved"])
def test_what_has_changed_while_it_was_asked_about_is_not_opened(
    sandbox: NonoRun, pair: tuple[Path, Path, Path], change: str
) -> None:
    _, file, secret = pair

    def answer(question: dict[str, Any]) -> bytes:
        match change:
            case "replaced":
                (file.parent / "new").write_text("other")
                os.chmod(file.parent / "new", 0o644)
                (file.parent / "new").rename(file)
            case "made a link":
                file.unlink()
                file.symlink_to(secret)
            case "directory moved":
                file.parent.rename(file.parent.with_name("moved"))
                file.parent.symlink_to(secret.parent)
        return saying("grant")(question)

    with webhook_server(answer, sandbox.user.home) as server:
        ended = run(sandbox, server, ["cat", str(file)])
        assert len(server.asked) == 1
    if change == "directory moved":
        file.parent.unlink()
        file.parent.with_name("moved").rename(file.parent)
    assert (ended.exit_code, ended.stdout) == (1, "")
