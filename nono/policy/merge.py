"""What a child profile becomes when it is laid over its base.

Works on parsed documents rather than on Profile values, because a field that is absent (inherit) and one
that is null (clear) differ there and nowhere else.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Document = Mapping[str, Any]


def merge(base: Document, child: Document) -> dict[str, Any]:
    """child over base, section by section. Both are valid documents; `extends` is consumed."""
    merged: dict[str, Any] = {}
    for section in [*base, *(name for name in child if name not in base)]:
        if section not in ("extends", "$schema"):
            merged[section] = _section(section, base.get(section), child.get(section))
    return {section: value for section, value in merged.items() if value is not None}


def _section(section: str, base: Any, child: Any) -> Any:
    if base is None or child is None:
        return base if child is None else child
    match section:
        case "meta" | "allow_gpu":
            return child  # of the first, a profile speaks for itself only
        case "credential_routes":
            return [*base, *child]
        case "credential_capture" | "credential_providers":
            return {**base, **child}
        case "env_credentials":
            return _handed_out(base, child)
    names = [*base, *(name for name in child if name not in base)]
    return {
        name: _field(f"{section}.{name}", name in child, base.get(name), child.get(name)) for name in names
    }


def _field(path: str, is_given: bool, base: Any, child: Any) -> Any:
    match path:
        case "network.network_profile":
            return child if is_given else base  # null clears what the base had
        case "network.block" | "network.deny_private" | "network.allow_http2":
            return bool(base) or bool(child)  # a child cannot unblock
        case "network.tls_intercept" if is_given and child is not None:
            return child
        case "network.allow_domain" if base and child:
            return _domains([*base, *child])
        case "network.credentials" if child == []:
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
    """The entries in order, each once; a range of ports is a list itself."""
    kept: list[Any] = []
    for entry in entries:
        if entry not in kept:
            kept.append(entry)
    return kept


def _domains(entries: list[Any]) -> list[Any]:
    """Each domain once; where some entries have endpoints, those of all of them together."""
    merged: dict[str, list[Any]] = {}
    for entry in entries:
        is_object = isinstance(entry, Mapping)
        endpoints = merged.setdefault(entry["domain"] if is_object else entry, [])
        if is_object:
            endpoints += [each for each in entry.get("endpoints", ()) if each not in endpoints]
    return [
        {"domain": domain, "endpoints": endpoints} if endpoints else domain
        for domain, endpoints in merged.items()
    ]


def _handed_out(base: Document, child: Document) -> dict[str, Any]:
    """References to variables; what the child puts into a variable replaces what the base put there."""

    def variable(target: Any) -> Any:
        return target["env_var"] if isinstance(target, Mapping) else target

    taken = {variable(target) for target in child.values()}
    kept = {reference: target for reference, target in base.items() if variable(target) not in taken}
    return {**kept, **child}
