"""What calls do with the paths in their arguments."""

from __future__ import annotations

import pytest

from nono.kernel.filters.bpf import NOTIFY_PATHS, PATHS
from nono.supervisor.verdict.path_call import PATH_CALLS, Deed, PathUse, interpreter_of, uses_of

CWD = -100
NOT_PATHS = {"io_uring_setup", "io_uring_enter", "io_uring_register"}


def test_every_call_that_is_trapped_for_its_path_is_understood() -> None:
    assert {rule.syscall for rule in PATHS.rules} - NOT_PATHS == PATH_CALLS
    assert {rule.syscall for rule in NOTIFY_PATHS.rules} >= PATH_CALLS


@pytest.mark.parametrize(
    ("name", "args", "uses"),
    [
        ("mkdirat", (7, 0x1000, 0o755), [PathUse(7, 0x1000, Deed.MADE)]),
        ("mkdir", (0x1000, 0o755), [PathUse(CWD, 0x1000, Deed.MADE)]),
        ("symlinkat", (0x1000, 0xFFFFFF9C, 0x2000), [PathUse(CWD, 0x2000, Deed.MADE)]),
        ("unlinkat", (0xFFFFFFFFFFFFFF9C, 0x1000, 0), [PathUse(CWD, 0x1000, Deed.REMOVED)]),
        (
            "renameat2",
            (3, 0x1000, 4, 0x2000, 0),
            [PathUse(3, 0x1000, Deed.REMOVED), PathUse(4, 0x2000, Deed.REPLACED)],
        ),
        *(
            (name, (3, 0x1000, 4, 0x2000, 0), [PathUse(3, 0x1000, first), PathUse(4, 0x2000, second)])
            for name, first, second in (
                ("renameat", Deed.REMOVED, Deed.REPLACED),
                ("linkat", Deed.LINKED, Deed.MADE),
            )
        ),
        ("execveat", (5, 0x1000, 0, 0, 0x1000), [PathUse(5, 0x1000, Deed.EXECUTED)]),
        ("truncate", (0x1000, 0), [PathUse(CWD, 0x1000, Deed.TRUNCATED)]),
    ],
)
def test_the_paths_of_a_call(name: str, args: tuple[int, ...], uses: list[PathUse]) -> None:
    assert list(uses_of(name, args)) == uses


def test_a_call_that_names_no_file_is_none() -> None:
    with pytest.raises(KeyError):
        uses_of("connect", (0, 0, 0))


@pytest.mark.parametrize(
    ("head", "interpreter"),
    [
        (b"#!/bin/sh\necho", b"/bin/sh"),
        (b"#! /usr/bin/env python3\n", b"/usr/bin/env"),
        (b"#!/bin/sh", b"/bin/sh"),
        (b"#!\n/bin/sh", None),
        (b"#!", None),
        (b"\x7fELF", None),
        (b"", None),
    ],
)
def test_the_interpreter_of_a_script(head: bytes, interpreter: bytes | None) -> None:
    assert interpreter_of(head) == interpreter
