"""The words of config.toml that are more than text: keys and themes."""

from __future__ import annotations

import pytest

from nono.settings.keys import parse_keys
from nono.settings.user_config import theme_of


@pytest.mark.parametrize(
    ("text", "sent"),
    [
        ("ctrl-] d", b"\x1dd"),
        ("CTRL-A Esc", b"\x01\x1b"),
        ("tab enter space", b"\t\r "),
        ("ctrl-@ ctrl-_", b"\x00\x1f"),
        ("D é", "Dé".encode()),
    ],
)
def test_keys_are_what_a_terminal_sends(text: str, sent: bytes) -> None:
    assert parse_keys(text) == sent


@pytest.mark.parametrize(
    "text", ["", "d", "ctrl-]", "ctrl- d", "ctrl-ab d", "ctrl-1 d", "escape d", "\x1b d"]
)
def test_what_is_no_two_keys_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="key"):
        parse_keys(text)


@pytest.mark.parametrize(
    ("name", "theme"),
    [("mocha", "mocha"), ("Catppuccin-Latte", "latte"), ("tokyo", "tokyo-night"), ("minimal", "minimal")],
)
def test_a_theme_has_several_names(name: str, theme: str) -> None:
    assert theme_of(name) == (theme, None)


def test_an_unknown_theme_becomes_mocha_with_a_warning() -> None:
    theme, warning = theme_of("late")
    assert theme == "mocha"
    assert warning is not None
    assert "unknown theme 'late', mocha is used instead" in warning
    assert "did you mean 'latte'?" in warning
