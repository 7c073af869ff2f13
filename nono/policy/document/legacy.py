"""Rename old names in a profile file: some are moved with a warning, others stay as aliases.

Nodes keep their path in the file, so that mistakes are reported at their original position.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from nono.policy.document.jsonc import Node
from nono.policy.document.source import Mistake
from nono.policy.suggestions import did_you_mean

# Lists that are appended to the list of the current name.
LEGACY: Mapping[tuple[str, str], tuple[str, str]] = {
    ("security", "groups"): ("groups", "include"),
    ("security", "allowed_commands"): ("commands", "allow"),
    ("policy", "exclude_groups"): ("groups", "exclude"),
    ("policy", "add_allow_read"): ("filesystem", "read"),
    ("policy", "add_allow_write"): ("filesystem", "write"),
    ("policy", "add_allow_readwrite"): ("filesystem", "allow"),
    ("policy", "add_deny_access"): ("filesystem", "deny"),
    ("policy", "add_deny_commands"): ("commands", "deny"),
    ("policy", "override_deny"): ("filesystem", "bypass_protection"),
}

# Aliases of fields, by section ("": the profile itself).
ALIASES: Mapping[str, Mapping[str, str]] = {
    "": {"secrets": "env_credentials", "undo": "rollback", "brokered_commands": "command_args"},
    "filesystem": {"ignore": "suppress_save_prompt"},
    "network": {
        "proxy_allow": "allow_domain",
        "allow_proxy": "allow_domain",
        "proxy_credentials": "credentials",
        "port_allow": "open_port",
        "allow_port": "open_port",
        "external_proxy": "upstream_proxy",
        "external_proxy_bypass": "upstream_bypass",
    },
}


def rename_aliases(document: Node) -> Iterator[Mistake]:
    """Give each field its current name. Yields a mistake for a field given under both names."""
    for section, names in ALIASES.items():
        fields = _fields(document, section) if section else document.value
        for alias, name in names.items():
            if not isinstance(fields, dict) or alias not in fields:
                continue
            node = fields.pop(alias)
            if name in fields:
                # Use neither value: whoever wrote both expects one of them to count.
                what = f"another name of {name}, which is given too"
                yield Mistake(node.path, what, at=node.key)
            else:
                fields[name] = node


def drain_legacy(document: Node) -> tuple[list[str], list[Mistake]]:
    """Move legacy lists to their current fields.

    Returns a warning for each that was not empty, and a mistake for each that is not a list.
    """
    warnings, mistakes = [], []
    for (section, old), (target, new) in LEGACY.items():
        fields = _fields(document, section)
        if fields is None or old not in fields:
            continue
        node = fields.pop(old)
        if not isinstance(node.value, list):
            mistakes.append(Mistake(node.path, "expected a list", at=node.start))
            continue
        if node.value:
            warnings.append(_deprecation(f"{section}.{old}", f"{target}.{new}"))
            _append(document, target, new, node)
    # All known fields have been moved; the section itself no longer exists.
    for name, node in (_fields(document, "policy") or {}).items():
        hint = did_you_mean(name, [old for section, old in LEGACY if section == "policy"])
        what = "no such field" + (f" ({hint})" if hint else "")
        mistakes.append(Mistake(node.path, what, at=node.key))
    if _fields(document, "policy") is not None:
        del _object(document)["policy"]
    return warnings, mistakes


def _deprecation(old: str, new: str) -> str:
    return f"warning: deprecated key '{old}' — use '{new}' instead (will be removed in v1.0.0, #594)"


def _append(document: Node, section: str, name: str, legacy: Node) -> None:
    sections = _object(document)
    if section not in sections:
        sections[section] = Node({}, legacy.start, legacy.key, legacy.path)
    fields = sections[section].value
    if not isinstance(fields, dict):
        return  # reported separately
    known = fields.get(name)
    if known is None:
        fields[name] = legacy
    elif isinstance(known.value, list):
        assert isinstance(legacy.value, list)
        known.value.extend(legacy.value)


def _fields(document: Node, section: str) -> dict[str, Node] | None:
    node = _object(document).get(section)
    return node.value if node is not None and isinstance(node.value, dict) else None


def _object(node: Node) -> dict[str, Any]:
    assert isinstance(node.value, dict)
    return node.value
