"""Record what each shipped profile resolves to: ``python -m support.profiles.golden`` writes the text.

Resolved on a disk in memory where every named path exists, so that it is the same on every machine. Grants
and denials of the profile 'default' are left out.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from posixpath import normpath
from typing import Any

from nono.policy.builtin import shipped
from nono.policy.path_expansion import Entry, Holder, Kind
from nono.policy.profile.store import load
from nono.policy.request import RunRequest
from nono.policy.resolve import Resolved, resolve
from nono.policy.schema.profile import Profile
from nono.sandbox.plan.enforcement import Refusal
from nono.sandbox.plan.facts import HostFacts, Listener, MaskFacts
from nono.sandbox.plan.ladder import choose_enforcement

DIRECTORY = Path(__file__).parents[2] / "golden" / "profiles"
HOME = "/home/ada"
ENVIRON = {"HOME": HOME}

LINUX = HostFacts("6.18.0", 7, Listener.AVAILABLE, "", True, False, masks=MaskFacts())
# As tests/support/kernelsim shows it with --wsl2 --notify-busy --landlock-abi 3.
WSL2 = HostFacts(
    "6.6.87.2-microsoft-standard-WSL2",
    3,
    Listener.BUSY,
    "seccomp user notification returns EBUSY",
    True,
    True,
    masks=MaskFacts(),
)


@dataclass(frozen=True)
class WholeDisk:
    """A disk on which every path exists, as a directory unless it is one of files."""

    files: frozenset[str]

    def canonical(self, path: str) -> str | None:
        return "/" + normpath(path).lstrip("/")

    def kind(self, path: str) -> Kind | None:
        return "file" if self.canonical(path) in self.files else "dir"

    def names(self, path: str) -> list[str]:
        return []

    def links_in(self, path: str, at_most: int) -> list[str]:
        return []

    def entry(self, path: str) -> Entry | None:
        return Entry("file" if self.kind(path) == "file" else "dir", 1)

    def text(self, path: str) -> str | None:
        return ""

    def aliases(self, path: str, *, of_tree: bool = False) -> tuple[str, ...]:
        return ()

    def holder(self, path: str) -> Holder | None:
        return None


def golden(name: str) -> str:
    """Return the text for one profile."""
    loaded = load(name, ENVIRON)
    resolved = resolved_on_a_whole_disk(loaded.profile)
    policy = dict(_policy(resolved))
    if name != "default":
        usual = dict(_policy(resolved_on_a_whole_disk(load("default", ENVIRON).profile)))
        policy |= {key: _beside(policy[key], usual[key]) for key in ("grants", "denials")}
    shown: dict[str, Any] = {"profile": loaded.document, "policy": policy}
    for kernel, facts in (("linux", LINUX), ("wsl2", WSL2)):
        chosen = choose_enforcement(resolved.capabilities, facts)
        if isinstance(chosen, Refusal):
            shown[kernel] = {"refused": chosen.message.splitlines()}
        else:
            said = {"warnings": chosen.warnings, "notes": chosen.notes, "gaps": chosen.gaps}
            shown[kernel] = {"rung": chosen.rung, **{key: [*lines] for key, lines in said.items() if lines}}
    return json.dumps(shown, indent=2, ensure_ascii=False) + "\n"


def resolved_on_a_whole_disk(profile: Profile) -> Resolved:
    lists = (profile.filesystem.allow_file, profile.filesystem.read_file, profile.filesystem.write_file)
    files = {text.replace("~", HOME, 1).replace("$HOME", HOME) for texts in lists for text in texts}
    disk = WholeDisk(frozenset(files))
    request = RunRequest(allow_cwd=profile.workdir.access != "none")
    return resolve(request, profile, environ=ENVIRON, cwd=f"{HOME}/work", fs=disk, uid=1000)


def _beside(lines: Any, usual: Any) -> list[str]:
    missing = [f"without {line}" for line in usual if line not in lines]
    return [line for line in lines if line not in usual] + missing


def _policy(resolved: Resolved) -> Iterator[tuple[str, object]]:
    capabilities = resolved.capabilities
    yield "grants", [f"{each.access} {each.path} ({each.source})" for each in capabilities.grants]
    yield "denials", [f"{each.path} ({each.origin})" for each in capabilities.denials]
    yield "sockets", [f"{each.path} ({each.source})" for each in capabilities.sockets]
    yield "network", str(capabilities.network)
    hosts = resolved.host_filter
    if hosts is not None:
        yield "allowed hosts", None if hosts.allow is None else sorted({str(rule) for rule in hosts.allow})
        yield "denied hosts", sorted({str(rule) for rule in hosts.deny})
    yield "services", [f"{each.name}: {', '.join(each.env_vars)}" for each in resolved.services]
    yield "ports", {name: [*map(str, ranges)] for name, ranges in capabilities.ports._asdict().items()}
    yield "set", dict(resolved.environment.fixed)
    yield "withheld", sorted(resolved.environment.withheld)
    yield "scopes", capabilities.scopes._asdict()
    yield "starts in", capabilities.workdir
    yield "blocked commands", len(resolved.commands.blocked)
    yield "warnings", [*resolved.warnings]


def main() -> None:
    DIRECTORY.mkdir(parents=True, exist_ok=True)
    for old in DIRECTORY.glob("*.json"):
        old.unlink()
    for name in shipped.profile_names():
        (DIRECTORY / f"{name}.json").write_text(golden(name), encoding="utf-8")


if __name__ == "__main__":
    main()
