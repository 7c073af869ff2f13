"""Write the observations as a profile, added to the one the run started with."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from nono.policy.capability import Access
from nono.policy.document.merge import merge
from nono.policy.hosts.upstream import is_loopback
from nono.policy.learning.endpoint_template import templates
from nono.policy.learning.generalise import Additions
from nono.policy.learning.observation import TUNNELLED, Site

Document = dict[str, Any]
DEFAULT_PORTS = {"https": 443, "http": 80}
_LISTS = ("allow", "read", "write", "allow_file", "read_file", "write_file")


def learned_document(
    additions: Additions,
    sites: Mapping[Site, frozenset[tuple[str, str]]] = {},
    services: Collection[str] = (),
    open_ports: Collection[int] = (),
    listen_ports: Collection[int] = (),
    sockets: Mapping[str, bool] = {},
) -> Document:
    """Return only the profile fields that express the observations.

    `sockets` maps each path to True if the command listened on it.
    """
    document: Document = {}
    if additions.groups:
        document["groups"] = {"include": list(additions.groups)}
    if additions.workdir is not None:
        document["workdir"] = {"access": additions.workdir.value}
    lists = {name: list(paths) for name in _LISTS if (paths := getattr(additions, name))}
    for field, binds in (("unix_socket", False), ("unix_socket_bind", True)):
        paths = sorted(path for path, is_bound in sockets.items() if is_bound is binds)
        lists |= {field: paths} if paths else {}
    if lists:
        document["filesystem"] = lists
    network: Document = {}
    domains = [entry for site in sorted(sites) for entry in _entries(site, sites[site])]
    if domains:
        network["allow_domain"] = domains
    if services:
        network.setdefault("allow_domain", [])  # a credential alone leaves every other host open
        network["credentials"] = sorted(services)
    if open_ports:
        network["open_port"] = sorted(open_ports)
    if listen_ports:
        network["listen_port"] = sorted(listen_ports)
    if network:
        document["network"] = network
    return document


def _entries(site: Site, requests: frozenset[tuple[str, str]]) -> list[str | Document]:
    host = f"[{site.host}]" if ":" in site.host else site.host
    authority = host if site.port == DEFAULT_PORTS[site.scheme] else f"{host}:{site.port}"
    if TUNNELLED in requests:
        return [f"{host}:{site.port}"]  # a tunnel that is not inspected
    assumed = "http" if is_loopback(site.host) else "https"
    domain = authority if site.scheme == assumed else f"{site.scheme}://{authority}"
    return [
        {
            "domain": domain,
            "endpoints": [{"method": method, "path": path} for method, path in templates(requests)],
        }
    ]


def laid_over(existing: Document, learned: Document) -> Document:
    """Add the learned fields to `existing`, an unmerged file."""
    document = {name: value for name, value in existing.items() if name in ("$schema", "extends")}
    document |= merge(existing, learned)
    network = document.get("network", {})
    if network.get("block") and not {"allow_domain", "credentials"}.isdisjoint(learned.get("network", {})):
        # The profile blocked the network before the command was seen to use it.
        document["network"] = {name: value for name, value in network.items() if name != "block"}
    before = existing.get("workdir", {}).get("access", "none")
    after = learned.get("workdir", {}).get("access")
    if after is not None:
        access = Access(after) if before == "none" else Access(after).united(Access(before))
        document["workdir"] = {"access": access.value}
    return document
