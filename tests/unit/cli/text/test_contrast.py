"""The pages of nono can be read: their colours differ enough from what is behind them (WCAG 2.2, 1.4.3)."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import nono

PAGES = Path(nono.__file__).parent / "cli/commands"
STYLES = ("report/page/report.css", "top/page/top.css")
BEHIND = {"ground", "card"}
NO_TEXT = {"line", "on-yes"}  # lines between rows; text on a button, below
LEAST = 4.5


def schemes(name: str) -> dict[str, dict[str, str]]:
    """Return the colours of a style sheet, by name, in light and dark."""
    blocks = re.findall(r":root \{(.*?)\}", (PAGES / name).read_text(encoding="utf-8"), re.DOTALL)
    found = [dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6})", block)) for block in blocks]
    light, dark = (colours for colours in found if colours)
    return {"light": light, "dark": dark}


def luminance(colour: str) -> float:
    channels = (int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5))
    red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(first: str, second: str) -> float:
    dark, light = sorted((luminance(first), luminance(second)))
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", STYLES)
def test_every_colour_of_text_can_be_read(name: str, scheme: str) -> None:
    colours = schemes(name)[scheme]
    pairs = [(text, behind) for text in colours.keys() - BEHIND - NO_TEXT for behind in BEHIND]
    pairs += [("on-yes", "yes")] if "yes" in colours else []
    poor = {pair: round(contrast(colours[pair[0]], colours[pair[1]]), 2) for pair in pairs}
    assert {pair: value for pair, value in poor.items() if value < LEAST} == {}


def test_a_grey_on_white_that_is_too_light_is_found() -> None:
    assert contrast("#999999", "#ffffff") < LEAST < contrast("#666666", "#ffffff")
