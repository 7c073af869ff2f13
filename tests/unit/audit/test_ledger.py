"""The audit log on a real file system: what is on disk, who may read it, and what a full disk does."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import json
import os
import stat
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import cast

import pytest

from nono.audit.chain import ChainState, encode_event, leaf_hash
from nono.audit.event import Again, Event, Recurring, network, session_ended, session_started
from nono.audit.ledger import AuditLog, new_session_id
from nono.kernel import mounts, namespaces
from support.forked import in_child
from support.running.leftovers import descriptors
from unit.audit.conftest import file_size_limit

EVENT: Event = {"type": "session_ended", "ended": "2026-01-02T03:04:06Z", "exit_code": 0}


@pytest.fixture
def state_root(tmp_path: Path) -> Path:
    return tmp_path / "state" / "nono"


def records(path: str) -> list[dict[str, object]]:
    return [json.loads(line) for line in Path(path).read_bytes().splitlines()]


def test_an_event_is_in_the_file_when_record_returns(state_root: Path) -> None:
    with AuditLog(str(state_root), "s1") as log:
        log.record(session_started(["true"]))
        assert [record["sequence"] for record in records(log.path)] == [0]
        log.record(session_ended(0))
        assert [record["sequence"] for record in records(log.path)] == [0, 1]


def test_an_action_that_is_in_the_log_knows_its_number(state_root: Path) -> None:
    action = Again(Recurring(network(mode="connect", decision="allow", target="api.test")))
    with AuditLog(str(state_root), "s1") as log:
        log.record(session_started(["true"]))
        log.record(action)
    assert action.sequence == 1


@pytest.mark.parametrize("is_loaded", [True, False])
def test_openssl_hashes_where_something_has_loaded_it(
    state_root: Path, monkeypatch: pytest.MonkeyPatch, is_loaded: bool
) -> None:
    hashed = list[bytes]()

    class Counted:
        @staticmethod
        def sha256(octets: bytes) -> hashlib._Hash:
            hashed.append(octets)
            return hashlib.sha256(octets)

    if is_loaded:
        monkeypatch.setitem(sys.modules, "hashlib", cast(ModuleType, Counted))
    else:
        monkeypatch.delitem(sys.modules, "hashlib")
    with AuditLog(str(state_root), "s1") as log:
        for code in range(4):
            log.record(session_ended(code))
    assert len(hashed) == (4 + 4 + 3 if is_loaded else 0)  # leaves, links and nodes
    state = ChainState()
    for record in records(log.path):
        state = state.appended(leaf_hash(str(record["event_json"]).encode()))
    assert log.integrity() == state.integrity()


def test_a_record_is_hashed_while_openssl_is_being_loaded(
    state_root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "hashlib", ModuleType("hashlib"))
    with AuditLog(str(state_root), "s1") as log:
        log.record(EVENT)
    assert [record["sequence"] for record in records(log.path)] == [0]


def test_the_log_on_disk_verifies_against_the_summary(state_root: Path) -> None:
    with AuditLog(str(state_root), "s1") as log:
        for code in range(5):
            log.record(session_ended(code))
    state = ChainState()
    for sequence, record in enumerate(records(log.path)):
        leaf = leaf_hash(str(record["event_json"]).encode())
        previous, state = state, state.appended(leaf)
        assert record["sequence"] == sequence
        assert record["leaf_hash"] == leaf.hex()
        assert record["prev_chain"] == (previous.head.hex() if previous.head else None)
        assert record["chain_hash"] == (state.head or b"").hex()
    assert log.integrity() == state.integrity()


def test_only_the_owner_can_read_the_log(state_root: Path) -> None:
    previous_umask = os.umask(0)
    try:
        log = AuditLog(str(state_root), "s1")
    finally:
        os.umask(previous_umask)
    log.close()
    file = Path(log.path)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    for directory in (file.parent, file.parent.parent, state_root, state_root.parent):
        assert stat.S_IMODE(directory.stat().st_mode) == 0o700


def test_every_descriptor_of_the_log_is_close_on_exec(state_root: Path) -> None:
    before = descriptors()
    with AuditLog(str(state_root), "s1"):
        opened = descriptors() - before
        assert opened
        assert all(fcntl.fcntl(fd, fcntl.F_GETFD) & fcntl.FD_CLOEXEC for fd in opened)
    assert descriptors() == before


def test_a_session_id_cannot_be_used_twice(state_root: Path) -> None:
    AuditLog(str(state_root), "s1").close()
    before = descriptors()
    with pytest.raises(FileExistsError):
        AuditLog(str(state_root), "s1")
    assert descriptors() == before
    AuditLog(str(state_root), "s2").close()


def test_a_symlink_in_the_place_of_the_session_directory_is_refused(state_root: Path, tmp_path: Path) -> None:
    (state_root / "audit").mkdir(parents=True, mode=0o700)
    (tmp_path / "elsewhere").mkdir()
    (state_root / "audit" / "s1").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(FileExistsError):
        AuditLog(str(state_root), "s1")
    assert list((tmp_path / "elsewhere").iterdir()) == []


@pytest.mark.parametrize("session_id", ["", "a/b", "..", "a\0", "ä", "x" * 65, "a\n"])
def test_a_session_id_that_is_no_plain_name_is_refused(state_root: Path, session_id: str) -> None:
    with pytest.raises(ValueError, match="session id"):
        AuditLog(str(state_root), session_id)
    assert not state_root.exists()


def test_new_session_ids_differ() -> None:
    assert len({new_session_id() for _ in range(50)}) == 50


def test_session_ids_are_16_hex_digits() -> None:
    ids = {new_session_id() for _ in range(50)}
    assert all(len(i) == 16 and set(i) <= set("0123456789abcdef") for i in ids)


def test_a_record_cut_short_by_a_full_disk_leaves_no_trace(state_root: Path) -> None:
    with AuditLog(str(state_root), "s1") as log:
        log.record(EVENT)
        good = Path(log.path).read_bytes()
        with file_size_limit(len(good) + 10), pytest.raises(OSError, match="10 bytes") as caught:
            log.record(EVENT)
        assert caught.value.errno == errno.ENOSPC
        assert Path(log.path).read_bytes() == good
        log.record(EVENT)
        assert [record["sequence"] for record in records(log.path)] == [0, 1]
        assert records(log.path)[1]["prev_chain"] == records(log.path)[0]["chain_hash"]


def test_a_record_that_cannot_be_written_at_all_does_not_advance_the_log(state_root: Path) -> None:
    with AuditLog(str(state_root), "s1") as log:
        log.record(EVENT)
        before = log.integrity()
        with (
            file_size_limit(Path(log.path).stat().st_size),
            pytest.raises(OSError, match="File too large") as caught,
        ):
            log.record(EVENT)
        assert caught.value.filename == log.path
        assert log.integrity() == before
        log.record(EVENT)
        assert [record["sequence"] for record in records(log.path)] == [0, 1]


def test_a_torn_record_that_cannot_be_cut_off_ends_the_log(
    state_root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(fd: int, length: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    with AuditLog(str(state_root), "s1") as log:
        monkeypatch.setattr(os, "ftruncate", refuse)
        with file_size_limit(10), pytest.raises(OSError, match="10 bytes"):
            log.record(EVENT)
        with pytest.raises(OSError, match="unusable"):
            log.record(EVENT)


def test_an_event_that_is_no_json_does_not_advance_the_log(state_root: Path) -> None:
    with AuditLog(str(state_root), "s1") as log:
        with pytest.raises(TypeError):
            log.record({"type": "x", "bad": object()})
        log.record(EVENT)
        assert [record["sequence"] for record in records(log.path)] == [0]


def test_a_sync_is_due_only_after_a_record(state_root: Path) -> None:
    with AuditLog(str(state_root), "s1") as log:
        log.sync()
        answers = [log.needs_sync]
        log.record(EVENT)
        answers.append(log.needs_sync)
        log.sync()
        assert [*answers, log.needs_sync] == [False, True, False]


def test_closing_synchronises_what_was_not(state_root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synchronised: list[int] = []
    monkeypatch.setattr(os, "fdatasync", synchronised.append)
    log = AuditLog(str(state_root), "s1")
    log.record(EVENT)
    assert synchronised == []
    log.close()
    assert len(synchronised) == 1
    log.close()
    assert len(synchronised) == 1


def test_after_a_failed_sync_nothing_more_is_recorded(
    state_root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(fd: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    with AuditLog(str(state_root), "s1") as log:
        log.record(EVENT)
        with monkeypatch.context() as patched:
            patched.setattr(os, "fdatasync", fail)
            with pytest.raises(OSError, match="fdatasync"):
                log.sync()
        assert log.needs_sync
        with pytest.raises(OSError, match="unusable"):
            log.record(EVENT)


def test_a_closed_log_records_nothing(state_root: Path) -> None:
    log = AuditLog(str(state_root), "s1")
    log.close()
    with pytest.raises(OSError, match="closed"):
        log.record(EVENT)
    assert Path(log.path).read_bytes() == b""


def test_each_record_is_one_write(state_root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    writes: list[int] = []
    real_write = os.write

    def write(fd: int, content: bytes) -> int:
        writes.append(len(content))
        return real_write(fd, content)

    with AuditLog(str(state_root), "s1") as log:
        monkeypatch.setattr(os, "write", write)
        log.record({"type": "x", "text": "y" * 100_000})
        monkeypatch.undo()
        assert len(writes) == 1
        assert (
            records(log.path)[0]["event_json"] == encode_event({"type": "x", "text": "y" * 100_000}).decode()
        )


def test_beyond_its_budget_a_log_counts_refusals_and_refuses_actions(state_root: Path) -> None:
    said = list[str]()
    allowed, denied = (network(mode="connect", decision=each, target="a.test") for each in ("allow", "deny"))
    fields = cast(dict[str, object], denied["event"])
    with AuditLog(str(state_root), "s1", budget_bytes=2000, warn=said.append) as log:
        for _ in range(20):
            if said:
                break
            size = Path(log.path).stat().st_size
            log.record(denied)
        with pytest.raises(OSError, match="as large as it may be"):
            log.record(allowed)
        log.record({"type": "network", "event": {**fields, "repeats": 4}})
        log.record(session_ended(0))
    assert size <= 2000
    *_, reached, unrecorded, ended = (cast(Event, each["event"]) for each in records(log.path))
    assert (reached["type"], ended["type"]) == ("audit_budget_reached", "session_ended")
    assert (unrecorded["type"], unrecorded["refusals"]) == ("audit_unrecorded", 1 + 4)


CHANGED = "somebody has changed the audit log of this run: nono audit verify s1"


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda path: None, []),
        (Path.unlink, ["somebody has removed the audit log of this run, PATH"]),
        (lambda path: path.write_bytes(b""), [CHANGED]),
        (lambda path: path.write_bytes(path.read_bytes() + b"\n"), [CHANGED]),
    ],
    ids=["nothing", "removed", "emptied", "added to"],
)
def test_a_log_that_is_not_what_was_written_is_told_of_at_its_end(
    change: Callable[[Path], object], says: list[str], state_root: Path
) -> None:
    said = list[str]()
    with AuditLog(str(state_root), "s1", warn=said.append) as log:
        log.record({"type": "x"})
        change(Path(log.path))
        log.record(session_ended(0))
    assert said == [each.replace("PATH", log.path) for each in says]


@pytest.mark.parametrize(
    ("size", "free", "share"), [("21m", "free disk space", 2), ("100m", "audit.session_max_mb", 4)]
)
def test_a_log_takes_at_most_a_tenth_of_the_free_disk(
    size: str, free: str, share: int, state_root: Path
) -> None:
    state_root.mkdir(parents=True)
    request: Event = {
        "type": "network",
        "event": {"decision": "allow", "path": "x" * 4000},
    }

    def fill() -> list[object]:
        namespaces.leave_mounts()
        onto = os.open(state_root, os.O_PATH)
        mounts.attach(mounts.new_file_system("tmpfs", {"size": size, "mode": "0700"}), onto)
        said: list[str] = []
        with AuditLog(str(state_root), "s1", budget_bytes=4 << 20, warn=said.append) as log:
            for _ in range(10_000):
                try:
                    log.record(request)
                except OSError as error:
                    return [error.errno, Path(log.path).stat().st_size >> 16, said]
        return []

    refused, size_of_log, said = in_child(fill)
    assert refused == errno.EDQUOT
    assert round(size_of_log / 16) == share
    assert f"reached {share} MiB" in said[0]
    assert f"({free}" in said[0]
