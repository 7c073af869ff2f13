"""Merge a child profile over its base.

This works on parsed documents rather than on Profile values, because only in a document an absent field
(inherit) differs from a null one (clear).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

type Document = Mapping[str, Any]

# Fields that are never inherited.
_OWN = ("extends", "replace", "$schema")

# Fields whose inherited value a profile may drop with `replace`. No denial is among them, nor a field whose
# presence restricts an open network (connect_port, deny_domain): removing it would grant access.
REPLACEABLE = tuple(
    """commands.allow diagnostics.suppress_system_services
    filesystem.allow filesystem.read filesystem.write filesystem.state_dir
    filesystem.allow_file filesystem.read_file filesystem.write_file
    filesystem.unix_socket filesystem.unix_socket_dir filesystem.unix_socket_subtree
    filesystem.unix_socket_bind filesystem.unix_socket_dir_bind filesystem.unix_socket_subtree_bind
    filesystem.bypass_protection filesystem.suppress_save_prompt
    network.allow_domain network.raw_tunnels network.credentials network.optional_credentials
    network.mcp_servers network.custom_credentials
    network.open_port network.open_port_range network.listen_port network.listen_port_range
    network.no_proxy network.tls_intercept network.upstream_proxy network.upstream_bypass
    env_credentials environment.allow_vars environment.set_vars
    credential_capture credential_providers credential_routes
    workdir.access hooks session_hooks rollback.exclude_patterns rollback.exclude_globs
    open_urls skipdirs packs binary command_args""".split()  # noqa: SIM905 - a list of words reads better
)
# Without these lists everything is allowed, so a replaced one becomes empty rather than absent.
_ALL_WITHOUT = ("network.allow_domain", "environment.allow_vars")


def merge(base: Document, child: Document) -> dict[str, Any]:
    """Merge `child` over `base`, section by section. Both are valid documents; `extends` is consumed."""
    merged: dict[str, Any] = {}
    for section in [*base, *(name for name in child if name not in base)]:
        if section not in _OWN:
            merged[section] = _section(section, base.get(section), child.get(section))
    return {section: value for section, value in merged.items() if value is not None}


def without(document: Document, replaced: Iterable[str]) -> dict[str, Any]:
    """Drop the fields of REPLACEABLE that the profile over `document` replaces."""
    left = {**document}
    for path in replaced:
        section, _, field = path.partition(".")
        if not field:
            left.pop(section, None)
        elif field in left.get(section, {}):
            fields = {name: value for name, value in left[section].items() if name != field}
            left[section] = {**fields, field: []} if path in _ALL_WITHOUT else fields
    return left


def _section(section: str, base: Any, child: Any) -> Any:
    if base is None or child is None:
        return base if child is None else child
    match section:
        case "meta" | "open_urls":
            return child  # meta describes only the profile itself
        case "interactive":
            return base or child
        case "credential_capture" | "credential_providers" | "hooks" | "session_hooks":
            return {**base, **{name: each for name, each in child.items() if each is not None}}
        case "platform_overrides":
            return {name: _override(base.get(name), child.get(name)) for name in {**base, **child}}
        case "env_credentials":
            return _handed_out(base, child)
    if isinstance(base, list):
        return _once([*base, *child])
    if not isinstance(base, Mapping):
        return child
    names = [*base, *(name for name in child if name not in base)]
    return {
        name: _field(f"{section}.{name}", name in child, base.get(name), child.get(name)) for name in names
    }


def _override(base: Document | None, child: Document | None) -> Document:
    return merge(base or {}, child or {})


def _field(path: str, is_given: bool, base: Any, child: Any) -> Any:
    match path:
        case "network.network_profile":
            return child if is_given else base  # null clears the base's value
        case "network.block" | "network.deny_private" | "network.allow_http2" | "security.audit_required":
            return bool(base) or bool(child)  # a child cannot unblock, nor leave the audit log out
        case "network.tls_intercept" if is_given and child is not None:
            return child
        case "network.allow_domain" if base and child:
            return domains([*base, *child])
        case "network.credentials" | "network.optional_credentials" if child == []:
            return []
        case "security.approval_defaults" if child is not None:
            return child  # a backend and its time belong together
        case "workdir.access" if child == "none":
            return base
    if base is None or child is None:
        return base if child is None else child
    if isinstance(base, list):
        return _once([*base, *child])
    if isinstance(base, Mapping):
        return {**base, **child}
    return child


def _once(entries: list[Any]) -> list[Any]:
    """Remove duplicates, keeping the order; a range of ports is itself a list."""
    kept: list[Any] = []
    for entry in entries:
        if entry not in kept:
            kept.append(entry)
    return kept


def domains(entries: list[Any]) -> list[Any]:
    """Merge entries to one per domain, with the endpoints of all its entries that have some."""
    merged: dict[str, list[Any]] = {}
    spellings: dict[str, str] = {}
    for entry in entries:
        is_object = isinstance(entry, Mapping)
        domain = entry["domain"] if is_object else entry
        # Another spelling of a host with restricted paths must not open all of it.
        spelling = spellings.setdefault(domain.lower().rstrip("."), domain)
        endpoints = merged.setdefault(spelling, [])
        if is_object:
            endpoints += [each for each in entry.get("endpoints", ()) if each not in endpoints]
    return [
        {"domain": domain, "endpoints": endpoints} if endpoints else domain
        for domain, endpoints in merged.items()
    ]


def _handed_out(base: Document, child: Document) -> dict[str, Any]:
    """Merge references; the child's value for a variable replaces the base's."""

    def variable(target: Any) -> Any:
        return target["env_var"] if isinstance(target, Mapping) else target

    taken = {variable(target) for target in child.values()}
    kept = {reference: target for reference, target in base.items() if variable(target) not in taken}
    return {**kept, **child}
