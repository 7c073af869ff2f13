"""Says what a prepared run is granted and how it will be held, before it starts."""

from __future__ import annotations

from collections.abc import Mapping

from nono.cli import render
from nono.cli.console import Console
from nono.cli.parse import Invocation
from nono.launch.prepare import Prepared
from nono.policy.environment import not_inherited


def show(prepared: Prepared, invocation: Invocation, console: Console, environ: Mapping[str, str]) -> None:
    """environ is that of nono, which the command inherits in part."""
    resolved, chosen = prepared.resolved, prepared.enforcement
    verbose = console.verbosity > 0
    console.lines(render.workdir_offer(resolved))
    console.lines(render.banner())
    console.lines(resolved.deprecations)
    for warning in (*invocation.given.warnings, *resolved.warnings):
        console.warn(warning)
    console.lines(render.summary(resolved.capabilities, resolved.services, resolved.skipped, verbose=verbose))
    console.lines(render.routes(resolved))
    console.lines(render.approval(resolved, chosen))
    if verbose:
        console.lines(render.not_inherited(not_inherited(environ, resolved.environment)))
    console.lines(render.enforcement(chosen, prepared.facts, verbose=verbose))
    for note in chosen.notes:
        console.note(note)
    for warning in chosen.warnings:
        if chosen.is_open:
            console.insist(warning)
        else:
            console.warn(warning)
