"""Read the policy data that nono ships: groups of paths and hosts, credential services and profiles.

This parses JSON alone, so that a run without a user's file never imports pydantic. The groups, which every
run needs, are frozen as a module, so that a run without a profile parses no file.
"""

from __future__ import annotations

from collections.abc import Mapping
from posixpath import dirname, join

from nono.disk import json_text
from nono.named_tuple import NamedTuple
from nono.policy.builtin import frozen_groups

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

PLATFORM = "linux"

_DATA = join(dirname(dirname(__file__)), "data")


class Group(NamedTuple):
    """A named set of paths (and of command names) that profiles include or exclude."""

    name: str
    description: str
    platform: str | None  # None: every platform
    required: bool  # may not be excluded
    read: tuple[str, ...]
    write: tuple[str, ...]
    readwrite: tuple[str, ...]
    deny: tuple[str, ...]
    commands: tuple[str, ...]
    unlink: bool  # forbids deletion everywhere; no effect on Linux

    @property
    def applies(self) -> bool:
        return self.platform in (None, PLATFORM)


class NetworkPolicy(NamedTuple):
    """Named groups of hosts, the network profiles made of them, and the credential services."""

    groups: Mapping[str, tuple[str, ...]]  # host names and "*.suffix" patterns, sorted
    profiles: Mapping[str, tuple[str, ...]]  # network profile -> group names
    services: Mapping[str, Mapping[str, Any]]  # service -> fields of nono.policy.services.credential_service


def groups() -> dict[str, Group]:
    """Return every group by name, including other platforms', so that profiles may name those."""
    return {name: Group(name, *fields) for name, *fields in frozen_groups.GROUPS}


def groups_of_file() -> dict[str, Group]:
    """Return the same as groups(), read from the file they were frozen from."""
    return {name: _group(name, entry) for name, entry in _shipped("policy.json")["groups"].items()}


def network_policy() -> NetworkPolicy:
    document = _shipped("network-policy.json")
    return NetworkPolicy(
        groups={name: _hosts(entry) for name, entry in document["groups"].items()},
        profiles={name: tuple(entry["groups"]) for name, entry in document["profiles"].items()},
        services=document["credentials"],
    )


def default_group_names() -> tuple[str, ...]:
    """Return the groups of the shipped profile 'default', which every run has."""
    return frozen_groups.DEFAULT


def readers_of_variables() -> dict[str, str]:
    """Return the name of each shipped service by the variable from which its clients read the key."""
    return dict(frozen_groups.READERS)


def profile_names() -> tuple[str, ...]:
    return (
        "default",
        "coding-agent",
        "claude-code",
        "codex",
        "gemini-cli",
        "opencode",
        "aider",
        "openclaw",
        "qwen-code",
        "copilot-cli",
        "copilot-github",
        "gh",
        "git-github",
        "goose",
        "linux-host-compat",
        "mise-dev",
        "python-dev",
        "node-dev",
        "bun-dev",
        "go-dev",
        "java-dev",
        "rust-dev",
    )


def profile_bytes(name: str) -> bytes:
    """Return a shipped profile's file, before inheritance. Raises KeyError for an unknown name."""
    if name not in profile_names():
        raise KeyError(name)
    package = dirname(dirname(dirname(__file__)))
    # A checkout keeps profiles/ beside the package; only a wheel moves it inside.
    for directory in (package, dirname(package)):
        try:
            with open(join(directory, "profiles", f"{name}.json"), "rb") as file:
                return file.read()
        except FileNotFoundError:
            continue
    raise KeyError(name)


def profile_document(name: str) -> dict[str, Any]:
    """Return profile_bytes() parsed."""
    document: dict[str, Any] = json_text.parse(profile_bytes(name).decode("utf-8"))
    return document


def example_profiles() -> dict[str, bytes]:
    """Return the files of the example profiles by name."""
    found = {}
    for name in ("example-agent", "offline-build", "data-processing"):
        with open(join(_DATA, "examples", f"{name}.json"), "rb") as file:
            found[name] = file.read()
    return found


def profile_guide() -> str:
    """Return the guide to writing profiles, in lines of at most 80 columns."""
    with open(join(_DATA, "profile_guide.txt"), encoding="utf-8") as file:
        return file.read()


def model_prices_document() -> dict[str, Any]:
    """Return the shipped list prices of language models: `as_of`, and three prices per model."""
    return _shipped("model_prices.json")


def _group(name: str, entry: Mapping[str, Any]) -> Group:
    allow = entry.get("allow", {})
    deny = entry.get("deny", {})
    return Group(
        name=name,
        description=entry["description"],
        platform=entry.get("platform"),
        required=entry.get("required", False),
        read=tuple(allow.get("read", ())),
        write=tuple(allow.get("write", ())),
        readwrite=tuple(allow.get("readwrite", ())),
        deny=tuple(deny.get("access", ())),
        commands=tuple(deny.get("commands", ())),
        unlink=deny.get("unlink", False),
    )


def _hosts(entry: Mapping[str, Any]) -> tuple[str, ...]:
    wildcards = {f"*{suffix}" for suffix in entry.get("suffixes", ())}
    return tuple(sorted(wildcards.union(entry.get("hosts", ()))))


def _shipped(file_name: str) -> dict[str, Any]:
    return _read(join(_DATA, file_name))


def _read(path: str) -> dict[str, Any]:
    with open(path, encoding="utf-8") as file:
        document: dict[str, Any] = json_text.parse(file.read())
    return document
