"""The table of decisions says what the records say, and a record names those that changed it."""

from __future__ import annotations

import re
from pathlib import Path

FOLDER = Path(__file__).parents[2] / "docs/adr"
RECORDS = {int(path.name[:4]): path.read_text(encoding="utf-8") for path in FOLDER.glob("0*.md")}
ROW = re.compile(r"^\| (\d+) \| \[(.+)\]\((\S+)\) \| ([^|]+) \| ([^|]+) \| .+ \|$", re.MULTILINE)
ROWS = ROW.findall((FOLDER / "README.md").read_text(encoding="utf-8"))
# A sentence that says of an earlier record that it holds no more, in part or as a whole.
SUPERSEDES = re.compile(r"(?:Supersedes|Amends|This replaces)[^.\[]*\[ADR (\d+)\]")


def field(record: str, name: str) -> str:
    found = re.search(rf"^- {name}: (.+)$", record, re.MULTILINE)
    assert found, record[:80]
    return found[1]


def in_short(status: str) -> str:
    """Return a status without links and reasons, as the table has it."""
    what = re.match(r"accepted|superseded(?: in part)?", status)
    assert what, status
    by = " and ".join(re.findall(r"\[ADR (\d+)\]", status))
    return f"{what[0]} by {by}" if by else what[0]


def test_each_record_has_its_row_in_order() -> None:
    assert [int(number) for number, *_ in ROWS] == sorted(RECORDS)


def test_a_row_has_the_title_and_the_status_of_its_record() -> None:
    for number, title, file, status, date in ROWS:
        record = RECORDS[int(number)]
        assert file.startswith(f"{int(number):04}-"), file
        assert record.startswith(f"# {number}. {title}\n"), number
        assert (status, date) == (in_short(field(record, "Status")), field(record, "Date")), number


def test_a_superseded_record_names_what_supersedes_it() -> None:
    for number, record in RECORDS.items():
        for earlier in map(int, SUPERSEDES.findall(record)):
            assert f"[ADR {number}]" in field(RECORDS[earlier], "Status"), (earlier, number)
