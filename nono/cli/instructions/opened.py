"""Say whether a run would be refused a file because nobody trusts it as an instruction file."""

from __future__ import annotations

import os
from collections.abc import Mapping
from posixpath import join

from nono.cli.instructions.loaded import load
from nono.trust.disk.check import judge_all, named, relative
from nono.trust.policy import Enforcement
from nono.trust.verdict import Verdict


def refused_at_open(root: str, path: str, environ: Mapping[str, str]) -> Verdict | None:
    """Judge a file as its opening in a run would. Returns None if it would be opened or is not checked.

    root: The root of the project whose policy the run follows.
    """
    loaded = load(root, environ)
    policy = loaded.trust.policy
    if policy.enforcement is not Enforcement.DENY:
        return None
    of_policy = named(root, policy)
    for name in (relative(root, os.path.realpath(path)), relative(root, join(os.getcwd(), path))):
        if (name in of_policy or policy.includes_path(name)) and os.path.isfile(path):
            [verdict], _ = judge_all(root, [name], loaded.trust, loaded.verify)
            return verdict if verdict.is_refused(policy.enforcement) else None
    return None
