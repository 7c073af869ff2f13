"""Finds what surrounds a command: the caller's terminals, and the view that its own namespaces show."""

from __future__ import annotations

import os
from collections.abc import Mapping

from nono import paths
from nono.launch.prepare import Prepared
from nono.named_tuple import NamedTuple
from nono.policy.capability import Grant
from nono.sandbox.plan import private_view
from nono.sandbox.plan.private_view import TERMINALS, PrivateView

PTMX = "/dev/ptmx"


class Surroundings(NamedTuple):
    """What a command has besides its policy's grants."""

    view: PrivateView | None  # None without namespaces of its own
    grants: tuple[Grant, ...]


def surroundings(prepared: Prepared, environ: Mapping[str, str]) -> Surroundings:
    """Find them for a run that is about to start."""
    capabilities, terminals = prepared.capabilities, _terminals()
    view = None
    if prepared.enforcement.namespaces:
        roots = [os.path.realpath(root) for root in paths.protected_roots(environ)]
        below = [terminal for terminal in terminals if os.path.dirname(terminal) == TERMINALS]
        view = private_view.private_view(capabilities, roots, below[0] if below else None)
    ptmx = os.path.realpath(PTMX) if os.path.exists(PTMX) else None
    denied = [denial.path for denial in capabilities.denials]
    return Surroundings(view, private_view.own_grants(view, terminals, ptmx, denied))


def _terminals() -> list[str]:
    """List the terminals on the standard streams, each once."""
    found: dict[str, None] = {}
    for descriptor in range(3):
        try:
            found[os.ttyname(descriptor)] = None
        except OSError:  # it is no terminal, or one of another namespace
            continue
    return list(found)
