"""Look up themes by name."""

from __future__ import annotations

from nono.settings.user_config import DEFAULT_THEME

THEMES = ("mocha", "latte", "frappe", "macchiato", "tokyo-night", "minimal")
_OTHER_NAMES = {
    "tokyo": "tokyo-night",
    "tokyonight": "tokyo-night",
    **{f"catppuccin-{name}": name for name in THEMES[:4]},
}


def theme_of(name: str) -> tuple[str, str | None]:
    """Return the theme for a name, with a warning if the name is unknown."""
    lower = name.strip().lower()
    known = _OTHER_NAMES.get(lower, lower)
    if known in THEMES:
        return known, None
    # Imported here: most names are known.
    from nono.policy.suggestions import did_you_mean

    near = did_you_mean(lower, (*THEMES, *_OTHER_NAMES)) or f"there are {', '.join(THEMES)}"
    return DEFAULT_THEME, f"unknown theme '{name}', {DEFAULT_THEME} is used instead ({near})."
