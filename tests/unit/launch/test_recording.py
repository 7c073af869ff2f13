"""What --record-flows says when it cannot record."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from nono.errors import NonoError
from nono.launch.recording import recording


def test_without_mitmproxy_it_is_refused_in_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in sys.modules if name.split(".")[0] == "mitmproxy"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "mitmproxy", None)
    path = tmp_path / "flows"
    with (
        pytest.raises(NonoError, match="needs mitmproxy") as caught,
        recording(str(path), lambda text: text, frozenset(), print),
    ):
        pass
    assert caught.value.hint == "pip install 'nono[flows]'"
    assert not path.exists()


def test_a_file_that_is_there_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "flows"
    path.write_text("mine")
    with (
        pytest.raises(NonoError, match="cannot be made: File exists"),
        recording(str(path), lambda text: text, frozenset(), print),
    ):
        pass
    assert path.read_text() == "mine"
