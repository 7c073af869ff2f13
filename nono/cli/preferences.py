"""Read the user's preferences for one run from config.toml, variables and flags."""

from __future__ import annotations

import os
from collections.abc import Mapping

from nono.audit.event import Event, run_options
from nono.audit.redact import USUAL, Redaction, redaction_of
from nono.cli.args.parse import Given
from nono.cli.args.recorded import recordable
from nono.cli.console import Console
from nono.launch.session import Proving
from nono.sessions.names import check_name, reads_as_id
from nono.settings.file import config_path, user_config
from nono.settings.user_config import Audit, UserConfig, theme_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from nono.launch.start import RunOptions
    from nono.outward.orders import Orders
    from nono.policy.resolve import Resolved


def preferences(
    given: Given, environ: Mapping[str, str], console: Console, *, long_lived: bool = False
) -> UserConfig:
    """Read the preferences: flags override variables, which override config.toml. Raises ConfigError.

    Warns, with --silent too, of a config.toml that another user could change.

    long_lived: This process will supervise, so it must not keep validation libraries in memory.
    """
    config = user_config(environ, long_lived=long_lived)
    path = config_path(environ)
    if os.path.lexists(path):
        # Imported here: few people have a file.
        from nono.cli.changed_by_others import changed_by_others

        if (reason := changed_by_others(path)) is not None:
            effect = "what is recorded and where the record is sent"
            console.insist(f"somebody else could change {path}, which decides {effect}: {reason}.")
    theme, warning = theme_of(given.value("theme") or config.ui.theme)
    if warning is not None:
        console.warn(warning)
    return config._replace(ui=config.ui._replace(theme=theme))


def run_options_of(given: Given, config: UserConfig, console: Console) -> RunOptions:
    """Return the options that every supervised run has. Raises ConfigError for an unusable session name."""
    # Imported here: not every command that has preferences starts a run.
    from nono.launch.start import RunOptions

    if given.flag("no_audit"):
        console.warn("--no-audit: nothing that this run does is recorded.")
    return RunOptions(
        console.warn,
        console.lines,
        console.insist,
        has_audit=not given.flag("no_audit"),
        audit_bytes=config.audit.session_max_bytes,
        redaction=redaction(config),
        name=_session_name(given, console),
        profile=given.value("profile"),
    )


def _session_name(given: Given, console: Console) -> str | None:
    """Return the name of the session; None: one is generated. Raises ConfigError for an unusable name."""
    name = given.value("name")
    if name is not None and reads_as_id(check_name(name)):
        console.warn(
            f"--name '{name}' could be the beginning of another session's id, which `nono stop` and others "
            "try first: a name with a hyphen cannot."
        )
    return name


def proving(given: Given, console: Console) -> Proving:
    """Return how the session is to be proved."""
    if given.flag("no_audit_integrity"):
        console.warn("--no-audit-integrity: nothing will show whether the audit log of this run is complete.")
    return Proving(
        has_integrity=not given.flag("no_audit_integrity"),
        hashes_trees=given.flag("audit_integrity"),
        sign_key=given.value("audit_sign_key"),
    )


def redaction(config: UserConfig) -> Redaction:
    """Return the rules for redacting command lines before they are recorded or shown."""
    return redaction_of(config.redaction) if any(config.redaction) else USUAL


def options_of(given: Given, resolved: Resolved, config: UserConfig) -> Event:
    """Return the event that states the options of a run, those that a person agreed to among them."""
    values = dict(given.values)
    if resolved.added_profiles:
        values["profile"] = ",".join((given.value("profile") or "", *resolved.added_profiles))
    if resolved.is_workdir_agreed:
        values["allow_cwd"] = True
    return run_options(*recordable(given._replace(values=values), redaction(config)))


def outward(given: Given, settings: Audit) -> Orders | None:
    """Return where the audit log is sent during the run; None: nowhere. Raises ConfigError."""
    wished = ("audit_anchor", "audit_anchor_every", "audit_anchor_required", "audit_otlp")
    is_asked_for = settings.goes_outward or any(name in given.values for name in wished)
    if given.flag("no_audit") or not is_asked_for:
        return None
    # Imported here: few runs send it.
    from nono.outward.orders import orders

    return orders(
        given.list("audit_anchor") or settings.anchors,
        given.value("audit_anchor_every") or settings.anchor_every_minutes,
        given.flag("audit_anchor_required") or settings.anchor_required,
        given.value("audit_otlp") or settings.otlp or None,
    )
