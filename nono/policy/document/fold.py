"""Fold a profile and its bases into one document, from left to right with the profile itself last."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from nono.disk import json_text
from nono.policy.document.found import Found
from nono.policy.document.merge import domains, merge, without

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

PLATFORM = "linux"

type Document = dict[str, Any]


def fold(found: Found, document_of: Callable[[Found], Mapping[str, Any]]) -> Document:
    """Return the merged document.

    `document_of` returns the valid document of one file, with `extends` and `replace` as lists.
    """
    folded = _Fold(document_of).of(found)
    override = folded.pop("platform_overrides", {}).get(PLATFORM, {})
    merged = merge(folded, override)
    if "command_args" in merged:
        merged["command_args"] = [word for _, *words in merged["command_args"] for word in words]
    hosts = merged.get("network", {}).get("allow_domain")
    if hosts:
        merged["network"] = {**merged["network"], "allow_domain": domains(hosts)}
    return merged


def shipped(found: Found) -> Document:
    """Return the document of a shipped file, which was validated at build time."""
    document: Document = json_text.parse(found.raw.decode())
    return document


class _Fold:
    def __init__(self, document_of: Callable[[Found], Mapping[str, Any]]) -> None:
        self.document_of = document_of
        self.known: dict[tuple[str, str | None], Document] = {}

    def of(self, found: Found) -> Document:
        if found.key not in self.known:
            bases: Document = {}
            for base in found.bases:
                bases = merge(bases, self.of(base))
            own = _as_block(self.document_of(found), found)
            # Otherwise messages would name a base as the origin of what this file says.
            bases = {**without(bases, own.get("replace", ())), "meta": None}
            self.known[found.key] = merge(bases, own)
        return {**self.known[found.key]}


def _as_block(document: Mapping[str, Any], found: Found) -> Document:
    """Keep one file's arguments together, so that they count once even if several paths lead to the file."""
    own = {**document}
    if own.get("command_args"):
        own["command_args"] = [[found.file or found.name, *own["command_args"]]]
    override = own.get("platform_overrides", {}).get(PLATFORM, {})
    if override.get("command_args"):
        block = [[found.file or found.name, *override["command_args"]]]
        own["platform_overrides"] = {PLATFORM: {**override, "command_args": block}}
    return own
