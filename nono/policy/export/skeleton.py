"""Write a profile to start from: valid, and granting nothing that its bases do not grant."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

FILESYSTEM_MORE = (
    "write",
    "allow_file",
    "read_file",
    "write_file",
    "deny",
    "deny_if_present",
    "bypass_protection",
    "suppress_save_prompt",
)


def skeleton(
    name: str, extends: Sequence[str], description: str | None, groups: Sequence[str], *, full: bool
) -> dict[str, Any]:
    """Return the document.

    Leaves out fields that have an effect even if empty: an empty allow_domain allows no host, and empty
    credentials drop those of a base.
    """
    document: dict[str, Any] = {}
    if extends:
        document["extends"] = extends[0] if len(extends) == 1 else list(extends)
    document["meta"] = {"name": name, **({"description": description} if description else {})}
    document["groups"] = {"include": list(groups), **({"exclude": []} if full else {})}
    if full:
        document["commands"] = {"allow": [], "deny": []}
    document["workdir"] = {"access": "readwrite"}
    document["filesystem"] = {"allow": [], "read": []}
    if full:
        document["filesystem"] |= {field: [] for field in FILESYSTEM_MORE}
        document["network"] = {"block": False, **({} if extends else {"credentials": []})}
        document["network"] |= {"open_port": [], "listen_port": [], "custom_credentials": {}}
        document |= {
            "env_credentials": {},
            "hooks": {},
            "rollback": {"exclude_patterns": [], "exclude_globs": []},
        }
    return document
