"""nono.policy.why.program_file: what a program says that it needs."""

from __future__ import annotations

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


def test_a_program_for_another_machine_is_told_apart() -> None:
    content = bytearray(Path("/bin/true").read_bytes())
    content[18:20] = (183).to_bytes(2, "little")
    assert of(bytes(content)).machine == "aarch64"


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
