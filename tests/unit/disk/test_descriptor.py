"""What takes several calls of the kernel is read and written whole."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor

import pytest

from nono.disk.descriptor import is_readable, read_at_most, write_all

CONTENT = os.urandom(1 << 20)  # a pipe holds a sixteenth of it


def test_a_pipe_gets_all_of_a_content_that_it_cannot_hold() -> None:
    reading, writing = os.pipe()
    with ThreadPoolExecutor(1) as pool:
        written = pool.submit(write_all, writing, CONTENT)
        assert read_at_most(reading, len(CONTENT)) == CONTENT
        written.result()
    os.close(writing)
    assert os.read(reading, 1) == b""
    os.close(reading)


def test_a_reader_that_goes_meanwhile_is_an_error() -> None:
    reading, writing = os.pipe()
    with ThreadPoolExecutor(1) as pool:
        written = pool.submit(write_all, writing, CONTENT)
        assert os.read(reading, 10) == CONTENT[:10]
        os.close(reading)
        with pytest.raises(BrokenPipeError):
            written.result()
    os.close(writing)


def test_no_more_is_read_than_asked_for() -> None:
    reading, writing = os.pipe()
    write_all(writing, CONTENT[:100])
    os.close(writing)
    assert read_at_most(reading, 60) == CONTENT[:60]
    assert read_at_most(reading, 60) == CONTENT[60:100]
    os.close(reading)


def test_what_has_ended_can_be_read() -> None:
    reading, writing = os.pipe()
    assert not is_readable(reading)
    os.close(writing)
    assert is_readable(reading, within_s=20)
    os.close(reading)
