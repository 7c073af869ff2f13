"""Read from the options, the profile and config.toml how a run is to be kept for undo."""

from __future__ import annotations

import os

from nono.cli.args.parse import Given
from nono.cli.commands.rollback.progress import shown_progress
from nono.launch.around.undo import UndoRequest, refuse_writable_place
from nono.policy.resolve import Resolved
from nono.settings.user_config import UserConfig
from nono.undo.model.left_out import left_out
from nono.undo.recording import Limits


def undo_request(given: Given, resolved: Resolved, config: UserConfig) -> UndoRequest:
    """Return what --rollback and related options ask for. Raises ConfigError: --rollback-dest is unsafe."""
    places = resolved.path_context
    excluded = [
        # Without a slash it is a name; with a slash or ~ at the beginning it is a path of its own.
        places.of_flag(each) if each.startswith(("/", "~")) else each.removeprefix("./")
        for each in (*given.list("rollback_exclude"), *resolved.rollback.exclude_patterns)
    ]
    elsewhere = given.value("rollback_dest")
    return UndoRequest(
        left_out(
            tuple(excluded),
            resolved.rollback.exclude_globs,
            included=given.list("rollback_include"),
            directories=given.list("skip_dir"),
            everything=given.flag("rollback_all"),
        ),
        Limits(
            config.rollback.max_sessions,
            config.rollback.storage_bytes_max,
            snapshots_max=config.rollback.max_snapshots,
        ),
        shown_progress,
        None
        if elsewhere is None
        else refuse_writable_place(os.path.join(os.getcwd(), elsewhere), resolved.capabilities.grants),
    )
