"""nono.sessions.registry and listing: the files, and what is cleared away."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import nullcontext, suppress
from pathlib import Path

import pytest

from nono.errors import NonoError
from nono.kernel import mounts, namespaces
from nono.sessions.listing import open_registry, records
from nono.sessions.processes import boot_id, pid_namespace, process_stat
from nono.sessions.record import EXITED, RUNNING, End, Record, parse
from nono.sessions.registry import Entry, Registry, new_record, registered
from support.forked import in_child
from support.running.needs import require


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    return {"HOME": str(tmp_path), "XDG_STATE_HOME": str(tmp_path / "state")}


@pytest.fixture
def registry(environ: dict[str, str]) -> Iterator[Registry]:
    with Registry(environ, create=True) as opened:
        yield opened


def record(session_id: str = "0123456789abcdef", name: str = "calm-fern") -> Record:
    made = new_record(
        session_id, name=name, child_pid=1, command=["true"], profile=None, network="allowed", has_audit=True
    )
    assert (made.boot, made.pid_namespace) == (boot_id(), pid_namespace())
    return made


def ended_process() -> int:
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    os.waitpid(pid, 0)
    return pid


def test_only_its_user_may_read_a_record(registry: Registry) -> None:
    registry.write(record())
    path = Path(registry.path, "0123456789abcdef.json")
    assert (path.stat().st_mode & 0o777, path.parent.stat().st_mode & 0o777) == (0o600, 0o700)
    assert [each.name for each in path.parent.iterdir()] == [path.name]


def test_a_session_of_this_process_runs(registry: Registry) -> None:
    registry.write(record())
    (found,) = records(registry)
    own = process_stat(os.getpid())
    assert own is not None
    assert (found.status, found.started_epoch) == ("running", own.started_ticks)


def test_a_session_whose_number_was_reused_has_ended(registry: Registry) -> None:
    registry.write(record()._replace(started_epoch=1))
    (found,) = records(registry)
    assert found.end is not None
    assert (found.status, found.end.cause) == ("exited", "supervisor_killed")


def test_what_a_killed_supervisor_left_is_removed(registry: Registry) -> None:
    lost = record()._replace(supervisor_pid=ended_process())
    registry.write(lost)
    bundle = Path(registry.path, f"intercept-{lost.supervisor_pid}-{lost.session_id}")
    temporary = Path(f"/tmp/nono-{lost.session_id}")
    for made in (bundle, temporary):
        made.mkdir()
        (made / "file").touch()
    for suffix in (".sock", ".key", ".stop"):
        Path(registry.path, lost.session_id + suffix).touch()
    other = Path(registry.path, "intercept-1-ffffffffffffffff")
    other.mkdir()
    records(registry)
    assert {each.name for each in Path(registry.path).iterdir()} == {other.name, f"{lost.session_id}.json"}
    assert not temporary.exists()
    (written,) = Path(registry.path).glob("*.json")
    assert parse(written.read_bytes()).status == "exited"


def test_a_link_in_the_place_of_a_temporary_directory_is_not_followed(
    registry: Registry, tmp_path: Path
) -> None:
    lost = record("feedfeedfeedfeed")._replace(supervisor_pid=ended_process())
    registry.write(lost)
    (tmp_path / "kept").mkdir()
    link = Path(f"/tmp/nono-{lost.session_id}")
    link.symlink_to(tmp_path / "kept")
    try:
        records(registry)
        assert (tmp_path / "kept").exists()
    finally:
        link.unlink()


def test_leaving_the_block_without_an_end_is_a_failure(registry: Registry) -> None:
    registry.write(record())
    with pytest.raises(NonoError), registered(registry, record()):
        raise NonoError("no such program")
    (found,) = records(registry)
    assert found.end is not None
    assert (found.exit_code, found.end.cause, found.end.detail) == (1, "not_started", "no such program")


@pytest.mark.parametrize(
    "planted",
    [
        *("link", "fifo", "open to others", "damaged", "another's id", "huge"),
        pytest.param("of another user", marks=pytest.mark.root),
    ],
)
def test_what_is_no_record_of_this_user_is_passed_over(
    planted: str, registry: Registry, tmp_path: Path
) -> None:
    registry.write(record())
    original = Path(registry.path, "0123456789abcdef.json")
    path = Path(registry.path, "ffff.json")
    own = original.read_bytes().replace(b"0123456789abcdef", b"ffff")
    match planted:
        case "link":
            path.symlink_to(original)
        case "fifo":
            os.mkfifo(path, 0o600)
        case "damaged":
            path.write_bytes(b"{")
            path.chmod(0o600)
        case "another's id":
            path.write_bytes(original.read_bytes())
            path.chmod(0o600)
        case "huge":
            path.write_bytes(own + b" " * (4 << 20))
            path.chmod(0o600)
        case "open to others":
            path.write_bytes(own)
            path.chmod(0o644)
        case "of another user":
            path.write_bytes(own)
            path.chmod(0o600)
            os.chown(path, 62001, -1)
    assert [each.session_id for each in records(registry)] == ["0123456789abcdef"]


@pytest.mark.parametrize(
    ("planted", "reason", "hint"),
    [
        ("writable", "other users may write to the directory", "chmod 700 {}"),
        ("link", "it is a link", "mv {0} {0}.old; the next run makes one"),
        ("file", "Not a directory", "mv {0} {0}.old; the next run makes one"),
        ("another's", "the directory belongs to uid {1}", "mv {0} {0}.old; the next run makes one"),
    ],
)
def test_a_directory_that_cannot_be_trusted_is_an_error(
    planted: str,
    reason: str,
    hint: str,
    registry: Registry,
    environ: dict[str, str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    path, owner = Path(registry.path), os.geteuid()
    match planted:
        case "writable":
            path.chmod(0o777)
        case "link":
            path.rename(tmp_path / "moved")
            path.symlink_to(tmp_path / "moved")
        case "file":
            path.rename(tmp_path / "moved")
            path.touch()
        case "another's":
            monkeypatch.setattr(os, "geteuid", lambda: owner + 1)
    with pytest.raises(NonoError) as refused:
        open_registry(environ)
    assert refused.value.message == f"the sessions cannot be read: {path}: {reason.format(path, owner)}"
    assert refused.value.hint == hint.format(path)


def test_without_a_session_there_is_no_registry(environ: dict[str, str]) -> None:
    assert open_registry(environ) is None


def test_the_newest_session_is_first_whatever_the_offset_of_its_clock(registry: Registry) -> None:
    registry.write(record("aa")._replace(started="2026-10-25T02:30:00+02:00", started_unix_ms=1))
    registry.write(record("bb")._replace(started="2026-10-25T02:10:00+01:00", started_unix_ms=2))
    assert [each.session_id for each in records(registry)] == ["bb", "aa"]


@pytest.mark.parametrize(
    ("detail", "ends"),
    [
        pytest.param("short", EXITED, id="in the block that the record has"),
        pytest.param("x" * 4096, RUNNING, id="an end that needs another block is left out"),
    ],
)
def test_the_end_of_a_run_is_written_although_the_disk_is_full(
    environ: dict[str, str], detail: str, ends: str
) -> None:
    require("mounts")
    assert in_child(lambda: status_on_a_full_disk(environ, detail)) == ends


@pytest.mark.parametrize(
    ("failure", "has_record", "ends"),
    [
        (errno.ENOSPC, True, EXITED),
        (errno.EDQUOT, True, EXITED),
        (errno.EIO, True, None),
        (errno.ENOSPC, False, None),
    ],
)
def test_a_record_is_written_over_on_a_full_disk_alone(
    registry: Registry, monkeypatch: pytest.MonkeyPatch, failure: int, has_record: bool, ends: str | None
) -> None:
    def fail(*_: object) -> None:
        raise OSError(failure, os.strerror(failure))

    if has_record:
        registry.write(record())
    monkeypatch.setattr(registry, "put", fail)
    with nullcontext() if ends else pytest.raises(OSError, match=os.strerror(failure)):
        registry.write(record()._replace(status=EXITED, exit_code=0))
    found = [parse(file.read_bytes()).status for file in Path(registry.path).glob("*.json")]
    assert found == ([ends or RUNNING] if has_record else [])


def status_on_a_full_disk(environ: dict[str, str], detail: str) -> str:
    namespaces.leave_mounts()
    mounts.make_all_private()
    os.mkdir(environ["XDG_STATE_HOME"], 0o700)
    disk = mounts.new_file_system("tmpfs", {"size": "64k", "mode": "0700"})
    state = os.open(environ["XDG_STATE_HOME"], os.O_PATH)
    mounts.attach(disk, state)
    with Registry(environ, create=True) as registry:
        registry.write(record())
        entry = Entry(registry, record())
        with pytest.raises(OSError, match="No space left"):
            registry.put("filling", bytes(1 << 20))
        with Path(registry.path, "filling").open("wb", buffering=0) as filling, suppress(OSError):
            while filling.write(bytes(512)):
                pass
        entry.ended(0, End("exited", detail=detail))
        (left,) = Path(registry.path).glob("*.json")
        return parse(left.read_bytes()).status
