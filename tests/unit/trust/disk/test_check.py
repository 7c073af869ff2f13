"""What cannot be read is judged all the same: the command might be able to read it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from nono.trust.disk.check import check
from nono.trust.policy import TrustPolicy
from nono.trust.verdict import Status, Trust

POLICY = TrustPolicy(("CLAUDE.md",), packages=True)


@pytest.mark.parametrize("is_readable", [True, False])
def test_an_instruction_file_that_cannot_be_read_is_refused(tmp_path: Path, is_readable: bool) -> None:
    path = tmp_path / "CLAUDE.md"
    if is_readable:
        path.write_text("instructions")
    else:
        os.mkfifo(path)
    found = check(str(tmp_path), Trust(POLICY, ()))
    [verdict] = found.refused
    assert verdict.path == "CLAUDE.md"
    assert verdict.status is (Status.UNSIGNED if is_readable else Status.UNREADABLE)
    assert list(found.contents.values()) == ([b"instructions"] if is_readable else [])


def test_a_package_that_cannot_be_read_is_refused_and_one_that_is_gone_is_not(tmp_path: Path) -> None:
    (tmp_path / "_npx/1/node_modules").mkdir(parents=True)
    (tmp_path / "_npx/1/package.json").write_text("{}")  # which does not say what was asked for
    packages = {"npx:here": str(tmp_path / "_npx/1"), "npx:gone": str(tmp_path / "_npx/2")}
    [verdict] = check(str(tmp_path), Trust(POLICY, ()), packages=packages).refused
    assert (verdict.path, verdict.status) == ("npx:here", Status.UNREADABLE)
