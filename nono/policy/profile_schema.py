"""From a parsed profile file to a valid document and a Profile, or to one line per mistake.

The only module of the policy that imports pydantic.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from copy import deepcopy
from typing import Any

from pydantic import TypeAdapter, ValidationError

from nono.errors import ProfileError
from nono.policy.profile import Profile
from nono.policy.profile_complaints import Mistake, complaints, lists_for_objects
from nono.policy.profile_values import mistaken_values

# Fields of the specification whose function is not built yet, by key path ("*": every name or position),
# with the values that are available all the same. What asks for nothing (null, false, [], {}) passes.
NOT_YET: Mapping[str, tuple[object, ...]] = dict.fromkeys(
    [
        "platform_overrides",
        "commands",
        "diagnostics",
        "command_policies",
        "hooks",
        "session_hooks",
        "rollback",
        "undo",
        "open_urls",
        "allow_launch_services",
        "allow_parent_of_protected",
        "interactive",
        "skipdirs",
        "packs",
        "binary",
        "command_args",
        "brokered_commands",
        "unsafe_macos_seatbelt_rules",
        "policy",
        "security.groups",
        "security.allowed_commands",
        "groups.include.*.when",
        "groups.exclude.*.when",
        "filesystem.suppress_save_prompt",
        "filesystem.ignore",
        "filesystem.allow.*.when",
        "filesystem.read.*.when",
        "filesystem.write.*.when",
        "filesystem.allow_file.*.when",
        "filesystem.read_file.*.when",
        "filesystem.write_file.*.when",
        "filesystem.deny.*.when",
        "filesystem.bypass_protection.*.when",
        "network.listen_port_range",
        "network.custom_credentials.*.spiffe",
        "network.custom_credentials.*.auth.client_assertion",
        "network.custom_credentials.*.auth.extra_params",
        "env_credentials.*.when",
        "credential_capture.*.provider",
        "credential_capture.*.interaction",
        "credential_providers.*.credential_store",
        "credential_providers.*.helpers",
    ],
    (),
) | {
    "network.tls_intercept.ca_lifecycle": ("session",),
}

# Other names of the same fields, by section ("": the profile itself).
ALIASES: Mapping[str, Mapping[str, str]] = {
    "": {"secrets": "env_credentials"},
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


def validate(document: object, file: str) -> tuple[dict[str, Any], Profile]:
    """The document reduced to what is available now, and the same as a Profile without its bases.

    `extends` becomes a list. ProfileError names every mistake, one line each.
    """
    if not isinstance(document, dict):
        raise ProfileError(f"Profile parse error: {file}: expected an object")
    document = {name: value for name, value in deepcopy(document).items() if name != "$schema"}
    mistakes = [*_rename_aliases(document), *_take_not_yet(document)]
    extends = document.pop("extends", None) or []
    extends = [extends] if isinstance(extends, str) else extends
    if not isinstance(extends, list) or not all(isinstance(name, str) for name in extends):
        mistakes.append(("extends", "expected a profile name or a list of names"))
    mistakes += lists_for_objects(document)
    profile = None
    try:
        # As JSON, where a list is a tuple and a string a member of an enum; strict, so "yes" is no boolean.
        profile = TypeAdapter(Profile).validate_json(json.dumps(document), strict=True)
    except ValidationError as error:
        # Below a list that stands for an object there is nothing more to say.
        known = tuple(path for path, what in mistakes if what == "expected an object")
        found = complaints(document, error.errors(include_url=False, include_input=False))
        mistakes += [(path, what) for path, what in found if not path.startswith(known)]
    else:
        mistakes += mistaken_values(profile)
    if profile is None or mistakes:
        lines = (f"{file}: {path}: {what}" if path else f"{file}: {what}" for path, what in mistakes)
        raise ProfileError("Profile parse error: " + "\n".join(lines))
    return document | {"extends": extends}, profile


def _rename_aliases(document: dict[str, Any]) -> Iterator[Mistake]:
    for section, names in ALIASES.items():
        node: Any = document.get(section) if section else document
        for alias, name in names.items():
            if isinstance(node, dict) and alias in node:
                value = node.pop(alias)
                if name in node:
                    where = f"{section}." if section else ""
                    yield f"{where}{alias}", f"another name of {name}, which is given too"
                else:
                    node[name] = value


def _take_not_yet(document: dict[str, Any]) -> Iterator[Mistake]:
    for path, available in NOT_YET.items():
        yield from _take(document, path.split("."), (), available)


def _take(
    node: Any, pattern: list[str], at: tuple[str, ...], available: tuple[object, ...]
) -> Iterator[Mistake]:
    """Removes what pattern names below node, so that the schema does not complain about it once more."""
    name, rest = pattern[0], pattern[1:]
    if name == "*":
        if isinstance(node, list) and rest:
            for position in reversed(range(len(node))):
                if isinstance(node[position], dict) and rest[0] in node[position]:
                    yield ".".join((*at, str(position), *rest)), "not available yet"
                    del node[position]
        elif isinstance(node, dict):
            for key, value in node.items():
                yield from _take(value, rest, (*at, key), available)
    elif isinstance(node, dict) and name in node:
        if rest:
            yield from _take(node[name], rest, (*at, name), available)
        elif not node[name] and not available:
            del node[name]
        elif node[name] not in available:
            value = f" ({node[name]!r})" if available else ""
            del node[name]
            yield ".".join((*at, name)), f"not available yet{value}"
