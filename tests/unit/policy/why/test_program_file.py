"""nono.policy.why.program_file: what a program says that it needs."""

from __future__ import annotations

import struct
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nono.policy.why.program_file import ProgramFile, Read, parse

LIBRARY = Path("/bin/true")


def of(content: bytes, path: str = "/opt/x/bin/prog") -> ProgramFile:
    return parse(reader(content), path)


def reader(content: bytes) -> Read:
    return lambda offset, size: content[offset : offset + size]


@pytest.mark.parametrize(
    ("line", "interpreter"),
    [
        (b"#!/bin/sh\n", "/bin/sh"),
        (b"#! /bin/sh -e\n", "/bin/sh"),
        (b"#!\t/usr/bin/env\tpython3\nimport os\n", "/usr/bin/env"),
        (b"#!/bin/sh", "/bin/sh"),
        (b"#!\n", None),
        (b"echo hi\n", None),
        (b"", None),
    ],
)
def test_the_first_line_names_the_interpreter_as_the_kernel_reads_it(
    line: bytes, interpreter: str | None
) -> None:
    assert of(line).interpreter == interpreter


@pytest.mark.parametrize(("line", "ends_in_cr"), [(b"#!/bin/sh\r\n", True), (b"#!/bin/sh\n", False)])
def test_a_carriage_return_is_part_of_the_name(line: bytes, ends_in_cr: bool) -> None:
    found = of(line)
    assert (found.ends_in_cr, str(found.interpreter).endswith("\r")) == (ends_in_cr, ends_in_cr)


def test_a_program_of_this_machine_names_what_readelf_does() -> None:
    program = Path("/bin/true").resolve()
    found = of(program.read_bytes())
    told = subprocess.run(
        ["readelf", "-ld", str(program)], capture_output=True, text=True, check=True, timeout=20
    ).stdout
    assert f"[Requesting program interpreter: {found.interpreter}]" in told
    assert found.needed == tuple(
        line.split("[")[1].rstrip("]") for line in told.splitlines() if "(NEEDED)" in line
    )


def test_a_program_with_the_other_byte_order_is_no_script() -> None:
    head = b"\x7fELF\x02\x02\x01" + bytes(9) + b"\x00\x02\x00\x16"  # of s390x
    assert of(head + bytes(44)).machine == "machine 22 (big-endian)"


def test_a_program_for_another_machine_is_told_apart() -> None:
    content = bytearray(Path("/bin/true").read_bytes())
    content[18:20] = (183).to_bytes(2, "little")
    assert of(bytes(content)).machine == "aarch64"


def program_searching(places: str) -> bytes:
    """Return an ELF program that needs the library `l`, and says where it is."""
    strings = b"\0l\0" + places.encode() + b"\0"
    begin = 64 + 2 * 56
    at = begin + 4 * 16
    entries = [(1, 1), (29, 3), (5, at), (0, 0)]
    dynamic = b"".join(struct.pack("<QQ", *entry) for entry in entries)
    parts = [(1, 0, at + len(strings)), (2, begin, len(dynamic))]
    table = b"".join(struct.pack("<IIQQQQQQ", kind, 4, o, o, o, size, size, 1) for kind, o, size in parts)
    head = struct.pack("<16sHHIQQQIHHHHHH", b"\x7fELF\x02\x01\x01", 2, 62, 1, 0, 64, 0, 0, 64, 56, 2, 0, 0, 0)
    return head + table + dynamic + strings


def test_few_places_are_searched_for_the_libraries_of_a_program() -> None:
    found = of(program_searching("/a:$ORIGIN/lib:rel"))
    assert (found.needed, found.searched) == (("l",), ("/a", "/opt/x/bin/lib"))
    assert len(of(program_searching(":".join(["/"] * 2000))).searched) <= 16


@given(st.binary(max_size=400), st.binary(min_size=14, max_size=14))
def test_no_content_is_too_odd(content: bytes, head: bytes) -> None:
    of(content)
    of(b"\x7fELF\x02\x01" + head[:10] + content)
    of(b"\x7fELF\x01\x01" + content)


@given(st.integers(0, 2**16), st.binary(min_size=1, max_size=16))
def test_a_damaged_program_is_read_as_far_as_it_goes(place: int, damage: bytes) -> None:
    content = bytearray(Path("/bin/true").read_bytes())
    content[6 + place % (len(content) - 32) :][: len(damage)] = damage
    content[place % 400 + 6 : place % 400 + 6 + len(damage)] = damage
    of(bytes(content))
