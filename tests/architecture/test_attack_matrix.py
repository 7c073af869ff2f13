"""The table of attacks names tests that exist, and says of every case what becomes of it."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ROWS = [
    [cell.strip() for cell in line.strip("|").split(" | ")]
    for line in (ROOT / "docs/attack-matrix.md").read_text(encoding="utf-8").splitlines()
    if re.match(r"\| [A-Z]\S* \|", line)
]
REFERENCE = re.compile(r"`([a-z0-9_/]+\.py)::(test_\w+)`")


def names_in(file: str) -> set[str]:
    path = ROOT / "tests" / file
    if not path.is_file():
        return set()
    body = ast.parse(path.read_text(encoding="utf-8")).body
    return {each.name for each in body if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef)}


def test_every_test_that_the_table_names_exists() -> None:
    named = {reference for row in ROWS for reference in REFERENCE.findall(row[-1])}
    known = {file: names_in(file) for file in {file for file, _ in named}}
    assert {f"{file}::{name}" for file, name in named if name not in known[file]} == set()
    assert len(named) > 200


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0])
def test_a_case_has_its_test_or_says_why_there_is_none(row: list[str]) -> None:
    case, attempted, ways, shown = row
    assert case
    assert attempted
    assert ways
    assert REFERENCE.search(shown) or "does not apply" in shown or "**open**" in shown


def test_no_case_is_left_out() -> None:
    cases = [row[0] for row in ROWS]
    assert len(set(cases)) == len(cases)
    numbered = {
        *(f"B-{number}" for number in range(1, 40)),
        *(f"C-{number}" for number in range(1, 31)),
        *(f"H{number}" for number in range(1, 11)),
        *(f"T{number}" for number in range(1, 22)),
        *(f"D{number}" for number in range(1, 5)),
        *(f"K{number}" for number in range(1, 23)),
        *(f"F{number}" for number in range(1, 11)),
        *(f"A{number}" for number in range(1, 6)),
    }
    assert numbered <= set(cases)
