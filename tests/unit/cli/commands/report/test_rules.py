"""A profile of a session is the one that was meant where it was typed."""

from __future__ import annotations

import pytest

from nono.cli.commands.report.log import seen_from


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("claude-code", "claude-code"),
        ("./p.json", "/work/./p.json"),
        ("p.json", "/work/p.json"),
        ("profiles/p.json", "/work/profiles/p.json"),
        ("/etc/p.json", "/etc/p.json"),
        ("~/p.json", "~/p.json"),
        ("claude-code,./p.json", "claude-code,/work/./p.json"),
    ],
)
def test_a_profile_is_read_where_it_was_typed(typed: str, meant: str) -> None:
    assert seen_from("/work", typed) == meant
