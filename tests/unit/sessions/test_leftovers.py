"""nono.sessions.leftovers: which files a killed supervisor has left, and which are somebody's."""

from __future__ import annotations

import pytest

from nono.sessions.leftovers import left_behind

ALIVE = 7


@pytest.mark.parametrize(
    ("name", "is_left"),
    [
        ("gone.sock", True),
        ("gone.key", True),
        ("gone.stop", True),
        ("gone.asks", True),
        ("0123456789abcdef", True),
        ("src", False),
        ("here.sock", False),
        ("new.sock", False),
        ("intercept-8-gone", True),
        (f"intercept-{ALIVE}-gone", False),
        ("intercept-8-here", False),
        ("proxy-8-0123456789abcdef.env", True),
        (f"proxy-{ALIVE}-0123456789abcdef.env", False),
        (".gone.json.0123456789abcdef.tmp", True),
        (".new.json.0123456789abcdef.tmp", False),
        ("gone.json", False),
        (".nono-0123456789abcdef.json", False),
        ("notes.txt", False),
        ("intercept-99999999999-gone", True),
    ],
)
def test_only_what_nobody_uses_is_left(name: str, is_left: bool) -> None:
    found = left_behind([name], {"here"}, lambda pid: pid == ALIVE, lambda each: "new" not in each)
    assert found == ([name] if is_left else [])
