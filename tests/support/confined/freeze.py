"""Freeze the default seccomp profiles of container engines as programs, which hosts load without libseccomp.

python -m support.confined.freeze ENGINE FILE: FILE is the engine's JSON, as Debian packages it:
docker   golang-github-docker-docker-dev, profiles/seccomp/default.json (26.1.5)
podman   golang-github-containers-common, /usr/share/containers/seccomp.json (0.62.2)
"""

from __future__ import annotations

import errno
import json
import os
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from nono.kernel.filters.build import _pyseccomp

PROGRAMS = Path(__file__).parent / "programs"
# Those that both engines leave to a container, of all that a condition in the profiles names.
CAPABILITIES = {"CAP_SYS_CHROOT", "CAP_AUDIT_WRITE"}
MACHINES = {"x86_64": ("amd64", ("x86_64", "x86", "x32")), "aarch64": ("arm64", ("aarch64", "arm"))}
COMPARISONS = {"SCMP_CMP_EQ": "EQ", "SCMP_CMP_NE": "NE", "SCMP_CMP_MASKED_EQ": "MASKED_EQ"}


def applies(condition: dict[str, Any], machine: str) -> bool:
    """Judge "includes": each thing it names must hold. A kernel since 4.8 is taken for granted."""
    capabilities, arches = condition.get("caps") or (), condition.get("arches") or ()
    return set(capabilities) <= CAPABILITIES and (not arches or MACHINES[machine][0] in arches)


def excludes(condition: dict[str, Any], machine: str) -> bool:
    """Judge "excludes": any of the things it names is enough."""
    capabilities, arches = condition.get("caps") or (), condition.get("arches") or ()
    return bool(CAPABILITIES & set(capabilities)) or MACHINES[machine][0] in arches


def _action(pyseccomp: Any, name: str, number: int | None) -> Any:
    return pyseccomp.ALLOW if name == "SCMP_ACT_ALLOW" else pyseccomp.ERRNO(number or errno.EPERM)


def _comparisons(pyseccomp: Any, arguments: Iterable[dict[str, Any]]) -> list[Any]:
    return [
        pyseccomp.Arg(
            argument["index"],
            getattr(pyseccomp, COMPARISONS[argument["op"]]),
            argument["value"],
            argument.get("valueTwo") or 0,
        )
        for argument in arguments
    ]


def build(profile: dict[str, Any], machine: str) -> bytes:
    """Return the program of a profile in the engines' JSON, as libseccomp builds it for their runtime."""
    pyseccomp = _pyseccomp()
    default = _action(pyseccomp, profile["defaultAction"], profile.get("defaultErrnoRet"))
    syscalls = pyseccomp.SyscallFilter(default)
    native = pyseccomp.system_arch()
    for name in MACHINES[machine][1]:
        arch = getattr(pyseccomp.Arch, name.upper())
        if arch != native:
            syscalls.add_arch(arch)
    if machine != os.uname().machine:
        syscalls.remove_arch(native)
    syscalls.set_attr(pyseccomp.Attr.CTL_OPTIMIZE, 2)
    for rule in profile["syscalls"]:
        if not applies(rule.get("includes") or {}, machine) or excludes(rule.get("excludes") or {}, machine):
            continue
        action = _action(pyseccomp, rule["action"], rule.get("errnoRet"))
        if action == default:
            continue
        for name in rule["names"]:
            # As runc does: a name that this libseccomp does not know is left to the default.
            if pyseccomp._libseccomp.seccomp_syscall_resolve_name(name.encode()) == -1:
                continue
            syscalls.add_rule(action, name, *_comparisons(pyseccomp, rule.get("args") or ()))
    with open(os.memfd_create("seccomp program"), "w+b") as exported:
        syscalls.export_bpf(exported)
        exported.seek(0)
        return exported.read()


if __name__ == "__main__":
    engine, file = sys.argv[1:]
    for machine in MACHINES:
        program = build(json.loads(Path(file).read_text()), machine)
        (PROGRAMS / f"{engine}.{machine}.bpf").write_bytes(program)
