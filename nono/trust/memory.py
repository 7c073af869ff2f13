"""Define what is remembered about a project: its policy, what a person approved, what was signed."""

from __future__ import annotations

import json
from collections.abc import Mapping

from nono.named_tuple import NamedTuple
from nono.trust.json_text import parse_object
from nono.trust.policy import FILE, Enforcement
from nono.trust.policy import parse as parse_policy
from nono.trust.statement import is_sha256


class Memory(NamedTuple):
    """What earlier runs and `nono trust approve` recorded."""

    policy: str | None = None  # SHA-256 of the project's policy in the last run, or approved since
    enforcement: Enforcement | None = None  # of that run, or of that policy if it is stricter
    approved: Mapping[str, str] = {}  # SHA-256 by path
    signed: frozenset[str] = frozenset()  # paths that had a valid signature
    packages: Mapping[str, str] = {}  # directory of each package in the last run, by name

    def approving(self, approved: Mapping[str, str], contents: Mapping[str, bytes]) -> Memory:
        """Return the memory with what a person approved. A run that goes on may not take the policy away."""
        memory = self._replace(approved={**self.approved, **approved})
        if FILE not in approved:
            return memory
        now = parse_policy(contents[approved[FILE]]).enforcement
        before = self.enforcement
        stricter = before if before is not None and before.is_as_strict_as(now) else now
        return memory._replace(policy=approved[FILE], enforcement=stricter)


def encoded(memory: Memory, root: str) -> bytes:
    fields = {
        "version": 1,
        "root": root,
        "policy": memory.policy,
        "enforcement": memory.enforcement,
        "approved": dict(sorted(memory.approved.items())),
        "signed": sorted(memory.signed),
        "packages": dict(sorted(memory.packages.items())),
    }
    return json.dumps(fields, indent=1).encode("ascii") + b"\n"


def parse(text: bytes) -> Memory:
    """Parse the memory. Raises ValueError if it is damaged, so that nothing counts as approved."""
    match {"packages": {}, **parse_object(text, "it")}:
        case {
            "version": 1,
            "policy": str() | None as policy,
            "enforcement": str() | None as enforcement,
            "approved": dict(approved),
            "signed": list(signed),
            "packages": dict(packages),
        } if all(map(is_sha256, approved.values())) and all(
            isinstance(each, str) for each in (*signed, *packages.values())
        ):
            return Memory(
                policy,
                None if enforcement is None else Enforcement(enforcement),
                approved,
                frozenset(signed),
                packages,
            )
    raise ValueError("it was not written by this version of nono")
