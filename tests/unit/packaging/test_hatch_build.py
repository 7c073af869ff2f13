"""hatch_build.py tells a Python that is too old so, before it stumbles over syntax that it does not know."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from hatchling.builders.wheel import WheelBuilder

ROOT = Path(__file__).parents[3]


def test_an_older_python_builds_nothing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(sys, "version_info", (3, 11, 9, "final", 0))
    builder = WheelBuilder(str(ROOT))
    with pytest.raises(RuntimeError, match=r"nono needs Python 3\.12 or newer"):
        next(builder.build(directory=str(tmp_path), versions=["standard"]))
    assert list(tmp_path.iterdir()) == []
