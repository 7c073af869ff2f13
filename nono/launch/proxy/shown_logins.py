"""Show a command the file of its login with phantoms, if the file itself is denied."""

from __future__ import annotations

import os
from collections.abc import Mapping

from nono.credentials.logins.agent_files import AGENT_FILES
from nono.policy.resolve import Resolved


def with_shown_logins(resolved: Resolved, environ: Mapping[str, str]) -> Resolved:
    """Return `resolved` with a file of phantoms in place of each masked login that was imported."""
    providers = {route.provider.name for route in resolved.oauth_routes}
    shown = {
        os.path.realpath(agent.outside(environ)): agent.inside(environ)
        for agent in AGENT_FILES.values()
        if agent.is_mounted and agent.provider in providers and os.path.isfile(agent.inside(environ))
    }
    masking = resolved.capabilities.masking
    masks = tuple(
        mask._replace(shown=shown.get(mask.path)) if mask.kind == "file" else mask for mask in masking.masks
    )
    masking = masking._replace(masks=masks)
    return resolved._replace(capabilities=resolved.capabilities._replace(masking=masking))
