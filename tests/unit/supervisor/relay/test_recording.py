"""nono.supervisor.relay.recording and cast: what is written down, what is not, and how much."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nono.credentials.values.credential import LeakStream
from nono.credentials.values.tripwire import tripwire_for
from nono.secret import Secret
from nono.sessions.registry import CAST, OLDER_CAST
from nono.sessions.wire import Size
from nono.supervisor.poll_loop import PollLoop
from nono.supervisor.relay import cast
from nono.supervisor.relay import recording as recording_module
from nono.supervisor.relay.recording import PENDING_BYTES_MAX, Place, Recording
from support.running.leftovers import descriptors

KEY = "sk-canary-0123456789abcdefABCDEF"
SIZE = Size(24, 80)
NAME = "0123456789abcdef"


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[tuple[Path, int]]:
    descriptor = os.open(tmp_path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield tmp_path, descriptor
    finally:
        os.close(descriptor)


def masks() -> Sequence[LeakStream]:
    detector = tripwire_for([Secret(KEY)])
    assert detector is not None
    return [detector.stream()]


def recorded(
    folder: tuple[Path, int], act: Callable[[Recording], None], bytes_max: int = 1 << 24
) -> list[Any]:
    """Return the lines of the recording that act was given."""

    recording = Recording(PollLoop(), Place(folder[1], NAME, bytes_max, "one"), SIZE, masks)
    act(recording)
    recording.close()
    paths = [folder[0] / (NAME + suffix) for suffix in (OLDER_CAST, CAST)]
    files = [path.read_bytes().splitlines(keepends=True) for path in paths if path.exists()]
    return [json.loads(line) for line in cast.whole(files)]


def text(lines: Sequence[Any]) -> str:
    return "".join(line[2] for line in lines[1:] if line[1] == "o")


def test_a_recording_is_an_asciicast(folder: tuple[Path, int]) -> None:
    def act(recording: Recording) -> None:
        recording.feed(b"one \x1b[31mred\r\n")
        recording.resize(Size(30, 100))
        recording.feed("größer →".encode())

    head, *events = recorded(folder, act)
    assert (head["version"], head["width"], head["height"], head["title"]) == (2, 80, 24, "one")
    assert [event[1:] for event in events] == [
        ["o", "one \x1b[31mred\r\n"],
        ["r", "100x30"],
        ["o", "größer →"],
    ]
    times = [event[0] for event in events]
    assert times == sorted(times)


def test_a_recording_commands_no_terminal_that_it_is_printed_to() -> None:
    text = "\x1b[2J\x9b2J\x7f größer"
    line = cast.output(0.1, text)
    assert json.loads(line)[2] == text
    assert line.decode().rstrip("\n").isprintable()


def test_a_recording_is_for_its_owner_alone(folder: tuple[Path, int]) -> None:
    recorded(folder, lambda recording: recording.feed(b"one"))
    assert (folder[0] / (NAME + CAST)).stat().st_mode & 0o777 == 0o600


def test_a_file_that_is_there_is_not_written_to(folder: tuple[Path, int]) -> None:
    (folder[0] / "other").write_text("mine")
    (folder[0] / (NAME + CAST)).symlink_to(folder[0] / "other")
    with pytest.raises(FileExistsError):
        recorded(folder, lambda recording: recording.feed(b"one"))
    assert (folder[0] / "other").read_text() == "mine"


@given(cut=st.integers(0, len(KEY)))
def test_a_secret_is_masked_wherever_it_is_cut(cut: int, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("cast")
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)

    def act(recording: Recording) -> None:
        recording.feed(b"key: " + KEY[:cut].encode())
        recording._write_pending()
        recording.resize(Size(30, 100))
        recording.feed(KEY[cut:].encode() + b" end")

    try:
        lines = recorded((path, descriptor), act)
        assert text(lines) == f"key: {'*' * len(KEY)} end"
    finally:
        os.close(descriptor)


def test_what_only_begins_like_a_secret_is_kept(folder: tuple[Path, int]) -> None:
    lines = recorded(folder, lambda recording: recording.feed(b"key: sk-canary-0123 end"))
    assert text(lines) == "key: sk-canary-0123 end"


def test_a_flood_leaves_out_its_beginning_with_the_halves_of_words(folder: tuple[Path, int]) -> None:
    def act(recording: Recording) -> None:
        recording.feed(b"before " + KEY[:20].encode())
        recording._write_pending()
        recording._pending.append((0.0, bytearray(b"x" * PENDING_BYTES_MAX)))
        recording._pending_bytes += PENDING_BYTES_MAX
        recording._pending.append((1.0, bytearray()))
        recording.feed(KEY[20:].encode() + b" cut\nlast line")

    _, *events = lines = recorded(folder, act)
    assert text(lines) == "before last line"
    assert [event[2] for event in events if event[1] == "m"] == [f"{PENDING_BYTES_MAX} bytes left out"]


def test_a_recording_stays_within_its_bound(folder: tuple[Path, int]) -> None:
    bound = 100_000

    def act(recording: Recording) -> None:
        for number in range(200):
            recording.feed(b"%d " % number + b"x" * 3000 + b"\n")
            recording._write_pending()

    lines = recorded(folder, act, bound)
    sizes = [path.stat().st_size for path in folder[0].iterdir()]
    assert len(sizes) == 2
    assert sum(sizes) <= bound
    assert lines[-1][2].startswith("199 ")
    assert [type(line) for line in lines].count(dict) == 1


def test_a_full_disk_ends_the_recording_alone(
    folder: tuple[Path, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    write = os.write

    def full(descriptor: int, content: bytes) -> int:
        raise OSError(28, "No space left on device")

    def act(recording: Recording) -> None:
        monkeypatch.setattr(os, "write", full)
        recording.feed(b"one\n")
        recording._write_pending()
        monkeypatch.setattr(os, "write", write)
        recording.feed(b"two\n")

    assert len(recorded(folder, act)) == 1


def test_a_full_disk_leaves_no_file_open(folder: tuple[Path, int], monkeypatch: pytest.MonkeyPatch) -> None:
    def full(descriptor: int, content: bytes) -> int:
        raise OSError(28, "No space left on device")

    opened = descriptors()
    monkeypatch.setattr(os, "write", full)
    with pytest.raises(OSError, match="No space left"):
        recorded(folder, lambda recording: None)
    assert descriptors() == opened


def test_what_waits_is_written_by_the_loop_that_it_moves_to(
    folder: tuple[Path, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recording_module, "WRITE_S", 0.01)
    file = folder[0] / (NAME + CAST)

    def act(recording: Recording) -> None:
        recording.feed(b"one\n")
        head = file.stat().st_size
        loop = PollLoop()
        recording.move_to(loop)
        gives_up = loop.time() + 30
        loop.run_until(lambda: file.stat().st_size > head or loop.time() > gives_up, look_every_s=1)
        assert file.stat().st_size > head

    assert text(recorded(folder, act)) == "one\n"


def test_a_line_that_was_cut_off_is_left_out() -> None:
    whole = [cast.output(0.1, "one"), cast.output(0.2, "two")[:-3]]
    assert list(cast.whole([whole])) == whole[:1]
