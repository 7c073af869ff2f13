"""What --record-flows says when it cannot record."""

from __future__ import annotations

from pathlib import Path

import pytest

from nono.errors import NonoError
from nono.launch.proxy.flows import recording


def test_a_file_that_is_there_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "flows"
    path.write_text("mine")
    with (
        pytest.raises(NonoError, match="cannot be made: File exists"),
        recording(str(path), lambda text: text, frozenset(), print),
    ):
        pass
    assert path.read_text() == "mine"
