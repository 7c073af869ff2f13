"""From a parsed profile file to a valid document and a Profile, or to one line per mistake.

The only module of the policy that imports pydantic.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from copy import deepcopy
from typing import Any

from pydantic import TypeAdapter, ValidationError

from nono.errors import ProfileError
from nono.policy import builtin
from nono.policy.credential_service import problems_of
from nono.policy.environment import check_fixed_name, check_pattern
from nono.policy.hostname import HostError, parse_authority
from nono.policy.nearest import did_you_mean
from nono.policy.network import parse_rule
from nono.policy.profile import SECTIONS, CustomCredential, Profile

# Fields of the specification whose function is not built yet, by key path ("*": every name or position),
# with the values that are available all the same. What asks for nothing (null, false, [], {}) passes.
NOT_YET: Mapping[str, tuple[object, ...]] = dict.fromkeys(
    [
        "platform_overrides",
        "commands",
        "diagnostics",
        "env_credentials",
        "secrets",
        "command_policies",
        "credential_capture",
        "credential_providers",
        "credential_routes",
        "hooks",
        "session_hooks",
        "rollback",
        "undo",
        "open_urls",
        "allow_launch_services",
        "allow_parent_of_protected",
        "allow_gpu",
        "interactive",
        "skipdirs",
        "packs",
        "binary",
        "command_args",
        "brokered_commands",
        "unsafe_macos_seatbelt_rules",
        "policy",
        "security.approval_backends",
        "security.approval_defaults",
        "security.groups",
        "security.allowed_commands",
        "groups.include.*.when",
        "groups.exclude.*.when",
        "filesystem.unix_socket",
        "filesystem.unix_socket_bind",
        "filesystem.unix_socket_dir",
        "filesystem.unix_socket_dir_bind",
        "filesystem.unix_socket_subtree",
        "filesystem.unix_socket_subtree_bind",
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
        "network.allow_http2",
        "network.open_port",
        "network.open_port_range",
        "network.listen_port",
        "network.listen_port_range",
        "network.connect_port",
        "network.no_proxy",
        "network.tls_intercept",
        "network.upstream_proxy",
        "network.upstream_bypass",
        "network.external_proxy",
        "network.external_proxy_bypass",
        "network.proxy_allow",
        "network.allow_proxy",
        "network.proxy_credentials",
        "network.port_allow",
        "network.allow_port",
        "network.allow_domain.*.endpoints",
        "network.custom_credentials.*.auth",
        "network.custom_credentials.*.aws_auth",
        "network.custom_credentials.*.spiffe",
        "network.custom_credentials.*.path_pattern",
        "network.custom_credentials.*.path_replacement",
        "network.custom_credentials.*.query_param_name",
        "network.custom_credentials.*.proxy",
        "network.custom_credentials.*.endpoint_rules",
        "network.custom_credentials.*.endpoint_policy",
        "network.custom_credentials.*.tls_client_cert",
        "network.custom_credentials.*.tls_client_key",
        "network.custom_credentials.*.rate_limit",
    ],
    (),
) | {
    "network.custom_credentials.*.inject_mode": ("header",),
    "linux.af_unix_mediation": ("off",),
    "linux.sandbox_policy": ("auto",),
}

_EXPECTED = {
    "bool_type": "expected true or false",
    "string_type": "expected a string",
    "tuple_type": "expected a list",
    "dict_type": "expected an object",
    "named_tuple_type": "expected an object",
    "arguments_type": "expected an object",
    "missing": "required",
}

Mistake = tuple[str, str]  # key path, what is wrong


def validate(document: object, file: str) -> tuple[dict[str, Any], Profile]:
    """The document reduced to what is available now, and the same as a Profile without its bases.

    `extends` becomes a list. ProfileError names every mistake, one line each.
    """
    if not isinstance(document, dict):
        raise ProfileError(f"Profile parse error: {file}: expected an object")
    document = {name: value for name, value in deepcopy(document).items() if name != "$schema"}
    mistakes = [*_take_not_yet(document), *_take_lists(document)]
    extends = document.pop("extends", None) or []
    extends = [extends] if isinstance(extends, str) else extends
    if not isinstance(extends, list) or not all(isinstance(name, str) for name in extends):
        mistakes.append(("extends", "expected a profile name or a list of names"))
    profile = None
    try:
        # As JSON, where a list is a tuple and a string a member of an enum; strict, so "yes" is no boolean.
        profile = TypeAdapter(Profile).validate_json(json.dumps(document), strict=True)
    except ValidationError as error:
        mistakes += [_mistake(entry["type"], entry["loc"], entry.get("ctx", {})) for entry in error.errors()]
    else:
        mistakes += _mistaken_values(profile)
    if profile is None or mistakes:
        lines = (f"{file}: {path}: {what}" if path else f"{file}: {what}" for path, what in mistakes)
        raise ProfileError("Profile parse error: " + "\n".join(lines))
    return document | {"extends": extends}, profile


def _take_not_yet(document: dict[str, Any]) -> Iterator[Mistake]:
    for path, available in NOT_YET.items():
        yield from _take(document, path.split("."), (), available)


def _take_lists(document: dict[str, Any]) -> Iterator[Mistake]:
    """Removes every list that stands for an object: it would be read as the object's fields in order."""
    network = document.get("network")
    services = network.get("custom_credentials") if isinstance(network, dict) else None
    objects: list[tuple[str, dict[str, Any]]] = [("", document)]
    if isinstance(services, dict):
        objects.append(("network.custom_credentials.", services))
    for prefix, parent in objects:
        for name in [name for name, value in parent.items() if isinstance(value, list)]:
            if prefix or name in SECTIONS:
                del parent[name]
                yield prefix + name, "expected an object"


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


def _mistake(kind: str, location: tuple[int | str, ...], context: Mapping[str, Any]) -> Mistake:
    path = ".".join(str(step) for step in location)
    if kind in ("extra_forbidden", "unexpected_keyword_argument"):
        hint = did_you_mean(str(location[-1]), _known_names(location[:-1]))
        return path, "no such field" + (f" ({hint})" if hint else "")
    if kind in ("literal_error", "enum"):
        return path, f"expected {context['expected']}"
    return path, _EXPECTED.get(kind, kind.replace("_", " "))


def _known_names(location: tuple[int | str, ...]) -> list[str]:
    """The fields of the object at location."""
    if not location:
        return [*SECTIONS, "extends"]
    shape = CustomCredential if len(location) > 1 else SECTIONS[str(location[0])]
    return list(shape._fields)


def _mistaken_values(profile: Profile) -> Iterator[Mistake]:
    """What the types cannot say: patterns, names and hosts."""
    for name in profile.environment.set_vars:
        yield from _checked("environment.set_vars", check_fixed_name, name)
    for name, value in profile.environment.set_vars.items():
        if "\0" in value:
            yield f"environment.set_vars.{name}", "a value may not hold a NUL byte"
    for name in ("allow_vars", "deny_vars"):
        for pattern in getattr(profile.environment, name) or ():
            yield from _checked(f"environment.{name}", check_pattern, pattern)
    for name, paths in profile.filesystem._asdict().items():
        for path in paths:
            if not path or "\0" in path:
                yield f"filesystem.{name}", f"{path!r} is not a path"
            elif "*" in path:
                yield f"filesystem.{name}", f"'{path}': patterns are not available yet"
    yield from _mistaken_hosts(profile)
    for name, custom in profile.network.custom_credentials.items():
        for field_name, what in problems_of(name, custom):
            yield f"network.custom_credentials.{name}" + (f".{field_name}" if field_name else ""), what


def _mistaken_hosts(profile: Profile) -> Iterator[Mistake]:
    groups = builtin.network_policy().groups
    for name in ("allow_domain", "deny_domain"):
        for entry in getattr(profile.network, name) or ():
            if entry not in groups:
                yield from _checked(f"network.{name}", lambda text: parse_rule(text, ""), entry)
    for entry in profile.network.raw_tunnels:
        yield from _checked("network.raw_tunnels", parse_authority, entry)


def _checked(path: str, check: Callable[[str], object], text: str) -> Iterator[Mistake]:
    try:
        check(text)
    except HostError as error:
        yield path, f"'{text}': {error}"
    except ValueError as error:
        yield path, str(error)
