"""The ledger of sessions on a real file system: its published hash, damage, a full disk, several at once."""

from __future__ import annotations

import _thread
import errno
import os
import stat
from collections.abc import Iterator
from functools import partial
from hashlib import sha256
from pathlib import Path

import pytest

from nono.audit.proof import ledger as ledger_module
from nono.audit.proof.entries import Entry, following, line_of
from nono.audit.proof.history import History
from nono.audit.proof.ledger import LEDGER_FILE, LOCK_FILE, append, together
from support.forked import child, killed_at
from unit.audit.conftest import file_size_limit

DIGEST, AT = "ab" * 32, "2026-01-02T03:04:06Z"


@pytest.fixture
def directory(tmp_path: Path) -> Iterator[int]:
    fd = os.open(tmp_path, os.O_RDONLY)
    yield fd
    os.close(fd)


def ids(path: Path) -> list[str]:
    """Return the sessions of a ledger that is not damaged."""
    history = History(path.read_bytes().splitlines(keepends=True))
    found = [entry.session_id for entry in history]
    assert history.damage is None
    return found


def test_an_entry_has_the_published_hash() -> None:
    entry = following(None, "s1", sha256(b"x").hexdigest(), AT)
    assert entry.chain_hash == "1ccdb10cb59b46d9e5c1873fed7cbcb31365c29890d4bbebd65dd353d65b1755"


def test_an_entry_is_one_line_of_compact_json(directory: int, tmp_path: Path) -> None:
    append(directory, "s1", DIGEST, AT)
    chain_hash = following(None, "s1", DIGEST, AT).chain_hash
    assert (tmp_path / LEDGER_FILE).read_text() == (
        f'{{"sequence":0,"prev_chain":null,"session_id":"s1","session_digest":"{DIGEST}",'
        f'"completed_at":"{AT}","chain_hash":"{chain_hash}"}}\n'
    )


FIRST, OTHER = (following(None, name, DIGEST, AT) for name in ("s1", "other"))


@pytest.mark.parametrize(
    ("before", "is_intact"),
    [(FIRST, True), (FIRST._replace(sequence=1), False), (OTHER, False)],
    ids=["the next", "another number", "after another entry"],
)
def test_an_entry_follows_from_the_one_before_it(before: Entry, is_intact: bool) -> None:
    history = History([line_of(FIRST), line_of(following(before, "s2", DIGEST, AT))])
    assert [entry.session_id for entry in history] == (["s1", "s2"] if is_intact else ["s1"])
    said = "None" if is_intact else "entry 1 does not follow from the entry before it"
    assert str(history.damage) == said


@pytest.mark.parametrize(
    ("last", "reason"), [(b"[]\n", "cannot be parsed"), (b'{"sequence":1,', "is torn off")]
)
def test_an_entry_that_is_none_is_told_by_its_number(last: bytes, reason: str) -> None:
    history = History([line_of(FIRST), last])
    assert [entry.session_id for entry in history] == ["s1"]
    assert str(history.damage) == f"entry 1 {reason}"


def test_each_entry_commits_to_those_before_it(directory: int, tmp_path: Path) -> None:
    for number in range(30):  # more than what is read before an append
        assert append(directory, f"s{number}", DIGEST, AT) is None
    assert ids(tmp_path / LEDGER_FILE) == [f"s{number}" for number in range(30)]


def test_only_the_owner_can_read_the_ledger(directory: int, tmp_path: Path) -> None:
    append(directory, "s1", DIGEST, AT)
    modes = {name: stat.S_IMODE((tmp_path / name).stat().st_mode) for name in (LEDGER_FILE, LOCK_FILE)}
    assert modes == {LEDGER_FILE: 0o600, LOCK_FILE: 0o600}


def test_an_entry_of_an_earlier_time_is_appended(directory: int, tmp_path: Path) -> None:
    append(directory, "s1", DIGEST, AT)
    append(directory, "s2", DIGEST, "1970-01-01T00:00:00Z")
    assert ids(tmp_path / LEDGER_FILE) == ["s1", "s2"]


DAMAGES = {
    "a torn line": lambda content: content + b'{"sequence":2,"prev',
    "a line cut off": lambda content: content[:-10],
    "a changed digest": lambda content: content.replace(b"abab", b"acab", 1),
    "a line taken out": lambda content: content[content.index(b"\n") + 1 :],
    "zeros of a power cut": lambda content: content + bytes(100),
    "a very long line": lambda content: content + b"x" * 10_000 + b"\n",
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_a_damaged_ledger_is_kept_and_committed_to(directory: int, tmp_path: Path, damage: object) -> None:
    append(directory, "s1", DIGEST, AT)
    append(directory, "s2", DIGEST, AT)
    path = tmp_path / LEDGER_FILE
    damaged = damage(path.read_bytes())  # type: ignore[operator]  # one of the functions above
    path.write_bytes(damaged)
    said = append(directory, "s3", DIGEST, AT)
    name = f"ledger-{sha256(damaged).hexdigest()[:16]}.ndjson"
    assert said is not None
    assert name in said
    assert (tmp_path / name).read_bytes() == damaged
    assert ids(path) == [f"epoch:{name}", "s3"]
    (first, _) = History(path.read_bytes().splitlines(keepends=True))
    assert first.session_digest == sha256(damaged).hexdigest()
    assert append(directory, "s4", DIGEST, AT) is None


def test_a_damaged_ledger_is_kept_wherever_the_one_that_finds_it_is_killed(
    directory: int, tmp_path: Path
) -> None:
    append(directory, "s1", DIGEST, AT)
    path = tmp_path / LEDGER_FILE
    damaged = path.read_bytes()[:-10]
    aside = tmp_path / f"ledger-{sha256(damaged).hexdigest()[:16]}.ndjson"
    is_whole, call, found = False, 0, set[bool]()
    while not is_whole:
        call += 2
        aside.unlink(missing_ok=True)
        path.unlink()  # or its second name would be written to
        path.write_bytes(damaged)
        with child(partial(killed_at, call, partial(append, directory, "s2", DIGEST, AT))) as run:
            is_whole = run.wait() == 0
        content = path.read_bytes()
        found.add(content == damaged)
        if content != damaged:
            assert aside.read_bytes() == damaged
            assert ids(path)[0] == f"epoch:{aside.name}"
        append(directory, "s3", DIGEST, AT)
        assert ids(path)[-1] == "s3"
        assert aside.read_bytes() == damaged
    assert found == {True, False}
    assert {each.name for each in tmp_path.iterdir()} == {LEDGER_FILE, LOCK_FILE, aside.name}


def test_a_ledger_that_is_not_damaged_stays_where_it_is(directory: int, tmp_path: Path) -> None:
    append(directory, "s1", DIGEST, AT)
    assert append(directory, "s2", DIGEST, AT) is None
    assert sorted(os.listdir(tmp_path)) == [LOCK_FILE, LEDGER_FILE][::-1] or len(os.listdir(tmp_path)) == 2


@pytest.mark.parametrize("plant", ["link", "fifo"])
def test_what_is_no_file_in_the_place_of_the_ledger_is_not_written_to(
    directory: int, tmp_path: Path, plant: str
) -> None:
    if plant == "link":
        (tmp_path / "elsewhere").touch()
        (tmp_path / LEDGER_FILE).symlink_to("elsewhere")
    else:
        os.mkfifo(tmp_path / LEDGER_FILE)
    with pytest.raises(OSError, match=r"links|not a file"):
        append(directory, "s1", DIGEST, AT)
    assert plant == "fifo" or (tmp_path / "elsewhere").read_bytes() == b""


@pytest.mark.parametrize(("owner", "is_written"), [(0, True), (1, False)], ids=["of the user", "of another"])
def test_a_ledger_of_another_user_is_not_written_to(
    directory: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, owner: int, is_written: bool
) -> None:
    append(directory, "s1", DIGEST, AT)
    before = (tmp_path / LEDGER_FILE).read_bytes()
    user = os.geteuid()
    monkeypatch.setattr("os.geteuid", lambda: user + owner)
    if is_written:
        append(directory, "s2", DIGEST, AT)
    else:
        with pytest.raises(OSError, match="not a file of this user"):
            append(directory, "s2", DIGEST, AT)
    assert ((tmp_path / LEDGER_FILE).read_bytes() != before) is is_written


def test_a_full_disk_leaves_the_ledger_as_it_was(directory: int, tmp_path: Path) -> None:
    append(directory, "s1", DIGEST, AT)
    before = (tmp_path / LEDGER_FILE).read_bytes()
    with file_size_limit(len(before) + 100), pytest.raises(OSError, match="No space"):
        append(directory, "s2", DIGEST, AT)
    assert (tmp_path / LEDGER_FILE).read_bytes() == before
    assert append(directory, "s2", DIGEST, AT) is None


def test_sessions_that_end_at_once_each_get_an_entry(directory: int, tmp_path: Path) -> None:
    def work(name: str) -> None:
        for number in range(10):
            append(directory, f"{name}-{number}", DIGEST, AT)

    with child(lambda: work("a")) as first, child(lambda: work("b")) as second:
        first.result()
        second.result()
    assert sorted(ids(tmp_path / LEDGER_FILE)) == sorted(f"{a}-{b}" for a in "ab" for b in range(10))


def test_a_lock_that_is_never_given_up_ends_in_an_error(
    directory: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ledger_module, "PATIENCE_S", 0.02)
    with ledger_module._locked(directory), pytest.raises(OSError, match="locked by another process"):
        append(directory, "s1", DIGEST, AT)
    assert not (tmp_path / LEDGER_FILE).exists()


def test_a_ledger_of_epochs_continues_the_chain_of_its_first_entry() -> None:
    first = following(None, "s1", DIGEST, AT)
    second = following(first, "s2", DIGEST, AT)
    history = History([line_of(first), line_of(second)])
    assert [entry.sequence for entry in history] == [0, 1]
    assert [*History([line_of(second)])] == []


@pytest.mark.parametrize("fails", [0, 2])
def test_works_that_run_together_all_end_before_one_that_fails_is_told(fails: int) -> None:
    ended: list[int] = []

    def work(number: int) -> None:
        ended.append(number)
        if number == fails:
            raise OSError(errno.EIO, "failed")

    with pytest.raises(OSError, match="failed"):
        together(*(partial(work, number) for number in range(4)))
    assert sorted(ended) == [0, 1, 2, 3]


def test_without_a_thread_to_be_had_works_run_one_after_the_other(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_thread(*_: object) -> int:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(_thread, "start_new_thread", no_thread)
    ended: list[int] = []
    together(*(partial(ended.append, number) for number in range(3)))
    assert ended == [0, 1, 2]
