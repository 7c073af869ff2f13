"""nono.policy.why.lacking.hooks: programs that install hooks of git."""

from __future__ import annotations

import shlex

import pytest

from nono.policy.why.lacking.hooks import installs_hooks


@pytest.mark.parametrize(
    ("line", "program"),
    [
        ("pre-commit install", "pre-commit"),
        ("sh -c 'make && npx lefthook install -f'", "lefthook"),
        ("uvx prek uninstall", "prek"),
        ("git lfs install --local", "git-lfs"),
        ("git-lfs update", "git-lfs"),
        ("git lfs install --local --skip-repo", None),
        ("git lfs pull", None),
        ("git install lfs", None),
        ("pre-commit run install", None),
        ("pre-commit", None),
        ("npm install", None),
        ("", None),
    ],
)
def test_a_program_installs_hooks_by_its_name_and_first_operand(line: str, program: str | None) -> None:
    assert installs_hooks(shlex.split(line)) == program
