"""Which commands may start before what serves them is imported."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from nono.launch.outset import _may_start_first
from nono.policy.capability import Access, Grant


@pytest.mark.parametrize(
    ("is_watched", "traps_opens", "written", "expected"),
    [
        pytest.param(False, False, "/nowhere/project", True, id="usual"),
        pytest.param(True, False, "/nowhere/project", False, id="watched"),
        pytest.param(False, True, "/nowhere/project", False, id="opens are served"),
        pytest.param(False, False, "/usr/lib", False, id="it may write what is imported"),
    ],
)
def test_a_command_starts_first_unless_it_could_outrun_or_change_its_servers(
    is_watched: bool, traps_opens: bool, written: str, expected: bool
) -> None:
    grants = (Grant(written, Access.READWRITE, True, "test", written),)
    prepared = SimpleNamespace(
        enforcement=SimpleNamespace(traps_opens=traps_opens), capabilities=SimpleNamespace(grants=grants)
    )
    run = SimpleNamespace(is_watched=is_watched, prepared=prepared)
    assert _may_start_first(cast(Any, run)) == expected
