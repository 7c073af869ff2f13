"""support.running.builds: what is built once is there for all, and what failed is not."""

from __future__ import annotations

from pathlib import Path

import pytest

from support.running.builds import Builds


def test_what_has_been_made_is_not_made_again(tmp_path: Path) -> None:
    first = Builds(tmp_path).get("program", lambda path: path.write_text("first"))
    second = Builds(tmp_path).get("program", lambda path: path.write_text("second"))
    assert (first, second.read_text()) == (second, "first")


def test_a_directory_can_be_made_as_well(tmp_path: Path) -> None:
    assert Builds(tmp_path).get("classes", Path.mkdir).is_dir()


def test_what_failed_is_tried_by_the_next(tmp_path: Path) -> None:
    def fail(path: Path) -> None:
        path.write_text("half of it")
        raise ValueError("no compiler")

    with pytest.raises(ValueError, match="no compiler"):
        Builds(tmp_path).get("program", fail)
    assert Builds(tmp_path).get("program", lambda path: path.write_text("whole")).read_text() == "whole"
