"""Says after a run what was denied in it."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from nono.cli import aftermath
from nono.cli.console import Console
from nono.cli.parse import Invocation
from nono.launch.denials import Denials
from nono.launch.prepare import Prepared
from nono.policy.filesystem import HostFilesystem
from nono.policy.rulebook import rulebook_of

if TYPE_CHECKING:
    from nono.supervisor.limit_story import Story


def report(
    exit_code: int,
    denials: Denials,
    stories: Sequence[Story],
    prepared: Prepared,
    invocation: Invocation,
    console: Console,
) -> None:
    """On stderr; as JSON where that is asked for. stories: why it ended, where that is known."""
    fs, resolved = HostFilesystem(), prepared.resolved
    capabilities = resolved.capabilities._replace(elevation=False)  # what would do without a question
    rules = rulebook_of(resolved._replace(capabilities=capabilities), fs)
    found = aftermath.findings(denials, rules, resolved.places, fs)
    if not invocation.given.flag("no_diagnostics"):
        told = [line for story in stories for line in story.lines()]
        console.lines(told or aftermath.footer(exit_code, found, is_complete=denials.is_complete))
    if invocation.given.flag("diagnostics_json"):
        # Imported here: for those who ask.
        from nono.cli.diagnostics_json import document

        print(json.dumps(document(exit_code, found, stories), indent=2), file=sys.stderr, flush=True)
