"""Which program env(1) finds for a script, where the first on PATH may not be started."""

from __future__ import annotations

import pytest

from nono.policy.why.lacking.looked_up import name_looked_up, passed_over


@pytest.mark.parametrize(
    ("head", "name"),
    [
        (b"#!/usr/bin/env node\nx", "node"),
        (b"#! /bin/env -S A=1 python3 -u\n", "python3"),
        (b"#!/usr/bin/env /opt/node\n", None),
        (b"#!/usr/bin/env\n", None),
        (b"#!/usr/bin/node env x\n", None),
        (b"#!\n", None),
        (b"\x7fELF env node", None),
        (b"", None),
    ],
)
def test_a_script_names_what_env_is_to_find(head: bytes, name: str | None) -> None:
    assert name_looked_up(head) == name


@pytest.mark.parametrize(
    ("granted", "said"),
    [("b", ("a", "b")), ("bc", ("a", "b")), ("a", None), ("ab", None), ("", None)],
)
def test_only_another_program_in_place_of_the_first_is_told(
    granted: str, said: tuple[str, str] | None
) -> None:
    assert passed_over("abc", granted.__contains__) == said


def test_of_no_program_nothing_is_told() -> None:
    assert passed_over((), lambda _: True) is None
