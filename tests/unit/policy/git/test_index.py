"""nono.policy.git.index: the submodules that git itself finds in an index."""

from __future__ import annotations

import hashlib
import os
import subprocess
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nono.policy.git.index import _EMPTY, _MODE_AT, empty_among, gitlinks_of, is_split
from support.running.pace import PACE

NAMES = ("a", "a/b", "sub", "sub-module", "x" * 300, "link", "deep/" * 40 + "end", "ü", "z" * 4100)


def made(directory: Path, script: str, *, hash_name: str = "sha1") -> bytes:
    subprocess.run(["git", "init", "-q", f"--object-format={hash_name}", "--template=", "."], cwd=directory)
    subprocess.run(["sh", "-euc", script], cwd=directory, check=True)
    return (directory / ".git/index").read_bytes()


def found(content: bytes, *, every_mode: bool) -> set[str]:
    return {os.fsdecode(name) for name in gitlinks_of(content, every_mode=every_mode) if b"\0" not in name}


@pytest.mark.parametrize("hash_name", ["sha1", "sha256"])
@pytest.mark.parametrize("version", [2, 3, 4])
@pytest.mark.parametrize("every_mode", [False, True])
def test_each_submodule_is_found(tmp_path: Path, hash_name: str, version: int, every_mode: bool) -> None:
    size = {"sha1": 40, "sha256": 64}[hash_name]
    lines = (f"{'160000' if at % 2 else '100644'} {'1' * size} 0\t{name}" for at, name in enumerate(NAMES))
    (tmp_path / "list").write_text("\n".join((*lines, f"160000 {'2' * size} 0\tlast")))
    script = "git update-index --index-info < list; "
    # A file that is to be added later has flags that version 2 has no place for.
    script += (
        "echo > later; git add -N later" if version == 3 else f"git update-index --index-version {version}"
    )
    content = made(tmp_path, script, hash_name=hash_name)
    assert content[4:8] == bytes((0, 0, 0, version))
    assert {"last", *(name for name in NAMES[1::2])} <= found(content, every_mode=every_mode)
    assert found(content, every_mode=every_mode).isdisjoint(NAMES[::2])


def test_an_index_without_submodules_has_none(tmp_path: Path) -> None:
    content = made(tmp_path, "touch a b; mkdir c; touch c/link; git add .")
    assert found(content, every_mode=True) == found(content, every_mode=False) == set()


@pytest.mark.parametrize("hash_name", ["sha1", "sha256"])
@pytest.mark.parametrize("version", [2, 3, 4])
def test_a_file_without_content_is_known_by_its_whole_name(
    tmp_path: Path, hash_name: str, version: int
) -> None:
    script = "mkdir d; touch d/empty ü; echo 1 | tee full d/full; git add .; "
    script += {3: "git rm -q --cached full; git add -N full", 4: "git update-index --index-version 4"}.get(
        version, ""
    )
    content = made(tmp_path, script, hash_name=hash_name)
    assert content[7] == version
    names = [os.fsencode(name) for name in ("d/empty", "ü", "empty", "d/full", "d", "")]
    assert empty_among(content, names) == {*names[:2]}
    # `git add -N` gives a file that is to be added later the hash of an empty one.
    assert empty_among(content, [b"full"]) == ({b"full"} if version == 3 else set())


@pytest.mark.parametrize(
    "piece",
    [b".env\0", _EMPTY[0], _EMPTY[0] + b"\0\4.env", _EMPTY[0] + b"\0\4.env\0"],
    ids=["names", "hashes", "names without an end", "empty files"],
)
def test_an_index_that_a_command_has_filled_is_searched_once(piece: bytes) -> None:
    """The next run looks for each denied file in it before it starts: this many would take minutes."""
    content, names = piece * 100_000, [b".env", *(b"%d/.env" % number for number in range(1000))]
    assert empty_among(content, names) == ({b".env"} if piece.endswith(b"\4.env\0") else set())


@pytest.mark.parametrize(("place", "is_named"), [(19, False), (_MODE_AT, True)], ids=["inode", "mode"])
def test_the_number_of_an_inode_is_taken_for_no_submodule(tmp_path: Path, place: int, is_named: bool) -> None:
    """Inode 14680064 is 0x00e00000, and the device before it ends with a zero byte."""
    content = made(tmp_path, "touch a; git add .")
    changed = content[: 12 + place] + b"\0\0\xe0\0" + content[12 + place + 4 :]
    assert bool([*gitlinks_of(changed, every_mode=False)]) is is_named


def in_blocks(content: bytes, *, gap: int, mode: bytes, count: int = 1) -> bytes:
    """Return an index of two entries that git reads in blocks, the second `gap` bytes later."""
    first, second = content[12:84], content[84 : 84 + 72]
    places = (12, 84 + gap)
    table = b"\0\0\0\1" + b"".join(each.to_bytes(4) + count.to_bytes(4) for each in places)
    head = b"IEOT" + len(table).to_bytes(4)
    entries = content[:12] + first + bytes(gap) + second[:24] + mode + second[28:]
    known = len(entries).to_bytes(4) + hashlib.sha1(head).digest()
    whole = entries + head + table + b"EOIE" + len(known).to_bytes(4) + known
    return whole + hashlib.sha1(whole).digest()


@pytest.mark.parametrize("gap", [0, 3], ids=["behind the other", "at an odd place"])
@pytest.mark.parametrize("mode", [0o160000, 0o160777], ids=oct)
def test_a_submodule_in_a_block_that_a_thread_of_git_reads_is_found(
    tmp_path: Path, gap: int, mode: int
) -> None:
    """A table says where each thread begins; git alone would leave no gap."""
    add = f"touch firstfile; git add .; git update-index --add --cacheinfo 160000,{'1' * 40},submodule"
    content = in_blocks(made(tmp_path, add), gap=gap, mode=mode.to_bytes(4))
    (tmp_path / ".git/index").write_bytes(content)
    listed = subprocess.check_output(
        ["git", "-c", "index.threads=4", "ls-files", "-s"], cwd=tmp_path, text=True
    )
    assert f"{mode:o} {'1' * 40} 0\tsubmodule" in listed
    assert "submodule" in found(content, every_mode=True)
    assert ("submodule" in found(content, every_mode=False)) is (mode == 0o160000)


def test_blocks_with_more_entries_than_the_index_are_refused(tmp_path: Path) -> None:
    add = f"touch firstfile; git add .; git update-index --add --cacheinfo 160000,{'1' * 40},submodule"
    content = in_blocks(made(tmp_path, add), gap=0, mode=(0o160000).to_bytes(4), count=2)
    with pytest.raises(ValueError, match="more entries"):
        found(content, every_mode=True)


@pytest.mark.parametrize("count", [2, 0xFFFFFFFF], ids=["true", "said"])
def test_a_table_with_more_blocks_than_entries_is_refused(tmp_path: Path, count: int) -> None:
    """Each may name no entry at all, and the index may say that it has any number."""
    content = made(tmp_path, "touch a b; git add .")
    table = b"\0\0\0\1" + bytes(8) * 100
    said = content[:8] + count.to_bytes(4) + content[12:] + b"IEOT" + len(table).to_bytes(4) + table
    with pytest.raises(ValueError, match="more blocks"):
        found(said, every_mode=True)


def test_a_file_called_like_the_table_of_blocks_is_none(tmp_path: Path) -> None:
    names = [f"IEOT_{number}_of_a_file_that_is_called_so" for number in range(9)]
    content = made(tmp_path, f"touch {' '.join(names)}; git add .")
    assert found(content, every_mode=True).isdisjoint(names)


def test_an_index_of_which_parts_are_elsewhere_is_known(tmp_path: Path) -> None:
    assert not is_split(made(tmp_path, "touch a; git add ."))
    assert is_split(made(tmp_path, "git update-index --split-index"))


@given(st.binary(max_size=400), st.integers(0, 5), st.booleans())
@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_no_content_takes_long_or_fails(content: bytes, version: int, every_mode: bool) -> None:
    head = b"DIRC" + version.to_bytes(4) + b"\xff" * 4
    assert len([*gitlinks_of(head + content + b"\0\0\xe0\0", every_mode=every_mode)]) < 100


def test_names_that_grow_with_each_entry_take_no_longer_than_others() -> None:
    entry = bytes(26) + b"\xe0" + bytes(33) + b"\0\1" + b"\0" + b"a\0"  # nothing dropped, one letter added
    count = 100_000
    content = b"DIRC" + (4).to_bytes(4) + count.to_bytes(4) + entry * count
    began = time.monotonic()
    names = [*gitlinks_of(content, every_mode=True)]
    assert time.monotonic() - began < 10 * PACE
    assert {b"a", b"a" * 4096} < set(names)
    assert max(map(len, names)) == 4096


def entry(flags: int, name: bytes) -> bytes:
    """Return an entry of a submodule, with a hash that has no NUL."""
    return b"\1" * 26 + b"\xe0" + b"\1" * 33 + flags.to_bytes(2) + name


def index(version: int, entries: bytes) -> bytes:
    return b"DIRC" + version.to_bytes(4) + (1 << 20).to_bytes(4) + entries


def test_a_number_that_does_not_fit_is_none() -> None:
    """Python would compute it, for hours if it has a megabyte; git takes it for 0 and a part of the name."""
    number = b"\x80" * 1000
    assert b"\x80" * 1000 in set(gitlinks_of(index(4, entry(1, number + b"\0")), every_mode=True))
    fits = b"\x80" * 8 + b"\1"
    assert b"name" in set(gitlinks_of(index(4, entry(1, fits + b"name\0")), every_mode=True))


def test_no_name_is_longer_than_a_path() -> None:
    """The rest of the index would be copied for each of its entries."""
    names = [*gitlinks_of(index(2, entry(0x101, b"n" * 258) * 1000), every_mode=True)]
    assert names
    assert max(map(len, names)) <= 4096


@pytest.mark.parametrize("version", [2, 4])
def test_blocks_that_overlap_are_refused(version: int) -> None:
    """Each of them would be read to the end of the index."""
    long = entry(0xFFF, b"\1" + b"n" * 40_000)
    blocks = b"\0\0\0\1" + ((12).to_bytes(4) + (1).to_bytes(4)) * 500
    content = index(version, long + b"\0" + b"IEOT" + len(blocks).to_bytes(4) + blocks)
    with pytest.raises(ValueError, match="overlap"):
        found(content, every_mode=True)
    few = b"\0\0\0\1" + ((12).to_bytes(4) + (1).to_bytes(4)) * 8
    content = index(version, long + b"\0" + b"IEOT" + len(few).to_bytes(4) + few)
    found(content, every_mode=True)


def test_a_name_behind_one_that_is_too_long_is_found(tmp_path: Path) -> None:
    long = "a" * 5000
    (tmp_path / "list").write_text(f"100644 {'1' * 40} 0\t{long}\n160000 {'1' * 40} 0\t{long[:9]}b\n")
    content = made(tmp_path, "git update-index --index-info < list; git update-index --index-version 4")
    assert found(content, every_mode=False) == {long[:9] + "b"}


@pytest.mark.parametrize("filler", [b"", bytes(4)])
def test_a_mode_that_is_everywhere_is_refused(filler: bytes) -> None:
    """Python would look at each of 16 million places, in half a minute."""
    content = index(2, (b"\0\0\xe0\0" + filler) * 250_000)
    assert len([*gitlinks_of(content, every_mode=False)]) > 0
    with pytest.raises(ValueError, match="too many places"):
        found(content + b"\0\0\xe0\0", every_mode=False)


def test_long_names_without_end_are_refused() -> None:
    """In version 4 each takes a byte of the index, and 4 kB of work."""
    long = entry(1, b"\0" + b"n" * 4000 + b"\0")
    same = entry(1, b"\0\0")
    assert len([*gitlinks_of(index(4, long + same * 10_000), every_mode=True)]) > 10_000
    with pytest.raises(ValueError, match="too many names"):
        found(index(4, long + same * 20_000), every_mode=True)


def test_a_file_without_content_is_not_looked_for_everywhere() -> None:
    hash_of_nothing = bytes.fromhex("e69de29bb2d1d6434b8b29ae775ad8c2e48c5391")
    last = index(2, hash_of_nothing + b"\0\1a\0" + bytes(4))
    assert empty_among(last + hash_of_nothing * 249_999, {b"a"}) == {b"a"}
    assert empty_among(last + hash_of_nothing * 250_000, {b"a"}) == set()
