"""What a person has set for all runs, as one run needs it."""

from __future__ import annotations

from collections.abc import Mapping

from nono.audit.redact import USUAL, Redaction, redaction_of
from nono.cli.args.options import Given
from nono.cli.console import Console
from nono.settings.file import user_config
from nono.settings.theme import theme_of
from nono.settings.user_config import UserConfig


def preferences(
    given: Given, environ: Mapping[str, str], console: Console, *, long_lived: bool = False
) -> UserConfig:
    """A flag before a variable before config.toml. stays: this process will supervise. ConfigError."""
    config = user_config(environ, long_lived=long_lived)
    theme, warning = theme_of(given.value("theme") or config.ui.theme)
    if warning is not None:
        console.warn(warning)
    return config._replace(ui=config.ui._replace(theme=theme))


def redaction(config: UserConfig) -> Redaction:
    """What is taken out of command lines before they are recorded or shown."""
    return redaction_of(config.redaction) if any(config.redaction) else USUAL
