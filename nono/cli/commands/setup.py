"""`nono setup`: probe what this machine can enforce, and help to get started."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterable, Sequence

from nono import __version__
from nono.cli.args import argparse_parser
from nono.cli.commands.profile.examples import write_examples
from nono.cli.completion.shell_setup import shell_advice
from nono.cli.console import folded, line_columns
from nono.cli.doctor.look import compare_programs, limits
from nono.cli.text import summary
from nono.cli.text.wrap_text import wrapped
from nono.errors import NonoError, UsageError
from nono.kernel import landlock_rights
from nono.kernel.filters.freeze import Comparison
from nono.policy.builtin import shipped
from nono.policy.capability import CapabilitySet, NetworkMode, Scopes, Wsl2ProxyPolicy
from nono.policy.profile.store import load_profile
from nono.printable import printable
from nono.sandbox import probe
from nono.sandbox.plan.enforcement import Enforcement, Refusal
from nono.sandbox.plan.facts import HostFacts, Listener
from nono.sandbox.plan.ladder import choose_enforcement
from nono.sandbox.plan.namespace_advice import advice
from nono.supervisor.limits import placement

DESCRIPTION = "Checks what this machine can enforce; its options help you get started."
FEATURES = (
    (1, "Basic filesystem access control"),
    (2, "File rename across directories (Refer)"),
    (3, "File truncation (Truncate)"),
    (4, "TCP network filtering"),
    (5, "Device ioctl filtering"),
    (6, "Signal and abstract UNIX socket scoping"),
)
COMMANDS_SHOWN = 8
SHELL = "Shell integration"
NOBODY = {"HOME": "/nonexistent"}  # an environment without user profiles that override shipped ones
NO_LANDLOCK_STEPS = (
    "  1. Use Linux 5.13 or newer, built with CONFIG_SECURITY_LANDLOCK=y.",
    "  2. Add 'landlock' to the lsm= kernel parameter, e.g. lsm=landlock,lockdown,yama,integrity,apparmor",
    "  3. Restart, and run `nono setup --check-only` again.",
)


def run(argv: Sequence[str]) -> int:
    parsed = parser().parse_args(list(argv))
    if parsed.check_only and (parsed.profiles or parsed.shell_integration):
        raise UsageError("--check-only changes nothing, and --profiles and --shell-integration do.")
    environ = dict(os.environ)
    total = 4 + parsed.profiles + parsed.shell_integration
    facts = probe.host_facts(network=True)
    programs = compare_programs()
    for number, (title, lines) in enumerate(_phases(facts, programs), 1):
        _phase(number, total, title, lines)
    if facts.landlock_abi == 0:
        steps = "\n".join(NO_LANDLOCK_STEPS)
        raise NonoError(f"Setup error: Landlock is not available: this kernel does not offer it.\n{steps}")
    if isinstance(programs, Comparison) and programs.is_tampered:
        raise NonoError(
            f"Setup error: seccomp programs differ from what libseccomp {programs.built_with} builds: "
            f"{', '.join(programs.different)}. Somebody changed nono's files after it was built.",
            hint="reinstall nono",
        )
    if parsed.profiles:
        _phase(5, total, "Setting up example profiles", write_examples(environ))
    if parsed.shell_integration:
        _phase(total, total, SHELL, shell_advice(environ))
    print("Installation verified!" if parsed.check_only else "Setup complete!")
    return 0


def _phase(number: int, total: int, title: str, lines: Iterable[str]) -> None:
    print(f"[{number}/{total}] {title}...")
    width = line_columns(sys.stdout, os.environ)
    for line in lines:
        shown = f"  * {printable(line)}"
        print(shown if "hint: " in line or title == SHELL else folded(shown, width))  # they are copied
    print()


def parser() -> argparse.ArgumentParser:
    """Return the parser of this command, for its arguments, help and completion."""
    parser = argparse_parser.new_parser("nono setup", DESCRIPTION)
    parser.add_argument("--check-only", action="store_true", help="check, and change nothing")
    parser.add_argument("--profiles", action="store_true", help="write three example profiles")
    parser.add_argument(
        "--shell-integration", action="store_true", help="say how to set up completion in your shell"
    )
    parser.add_argument("--verbose", "-v", action="count", default=0, help="print more")
    return parser


def _phases(facts: HostFacts, programs: Comparison | str) -> list[tuple[str, list[str]]]:
    return [
        ("Checking installation", _installation()),
        ("Testing sandbox support", [*_support(facts), _about_programs(programs)]),
        ("Default protections", _protections()),
        ("Built-in profiles", list(map(_about, shipped.profile_names()))),
    ]


def _about(name: str) -> str:
    profile = load_profile(name, NOBODY)
    network = profile.network
    reach = "blocked" if network.block else "allowed"
    if network.network_profile is not None or network.allow_domain is not None:
        reach = "through the proxy"
    text = f"{name} - {profile.meta.description} (network {reach})"
    return "\n".join(wrapped(text, "    ")).lstrip()


def _installation() -> list[str]:
    return [
        f"Binary: {os.path.abspath(sys.argv[0])}",
        f"Version: {__version__}",
        "Platform: Linux (Landlock sandbox)",
    ]


def _about_programs(found: Comparison | str) -> str:
    if isinstance(found, str):
        return f"Seccomp programs: not verified, {found}"
    built = f"libseccomp {found.built_with}"
    names = ", ".join(found.different)
    if found.is_tampered:
        return f"Seccomp programs: DIFFERENT from what {built} builds: {names}"
    if found.missing:
        return f"Seccomp programs: {len(found.missing)} not shipped; {built} builds them at each start"
    if not found.different:
        return f"Seccomp programs: all {found.total} verified against a build by {built}"
    same = found.total - len(found.different)
    return (
        f"Seccomp programs: {same} of {found.total} verified; {built} orders the others differently than "
        f"{found.frozen_with or 'the version'}, with which they were frozen ({names})"
    )


def _support(facts: HostFacts) -> list[str]:
    lines = [f"Kernel version: {facts.kernel_release}"]
    if facts.landlock_abi == 0:
        return [*lines, "Landlock: not available", *_wsl2(facts)]
    lines += ["Landlock enabled (syscall probe)", f"Landlock V{facts.landlock_abi}"]
    lines.append("Available features:")
    lines += [f"  - {text}" for abi, text in FEATURES if facts.landlock_abi >= abi]
    lines.append("Filesystem ruleset creation verified")
    lines += _wsl2(facts)
    lines.append(_tcp_rules(facts))
    lines += _listener(facts)
    lines += _own_namespaces(facts)
    lines += _private_network(facts)
    lines += _proxy_only(facts)
    lines += _limits()
    return lines


def _tcp_rules(facts: HostFacts) -> str:
    if landlock_rights.HANDLED_NET[facts.landlock_abi]:
        if probe.landlock_tcp_rules_work():
            return "TCP network rule support verified"
        return "TCP network filtering: probe failed despite ABI support"
    if not probe.network_filter_installs():
        return (
            "TCP network filtering: not supported by this ABI (seccomp fallback not available on this system)"
        )
    modes = "full --block-net"
    if facts.listener is Listener.AVAILABLE:
        modes += " and --proxy-only modes"
    return f"TCP network filtering: not supported by this ABI (seccomp fallback available: {modes})"


def _listener(facts: HostFacts) -> list[str]:
    if facts.listener is Listener.AVAILABLE:
        return ["seccomp notify listener: available"]
    return [f"seccomp notify listener: {facts.listener.value} ({facts.listener_detail})"]


def _private_network(facts: HostFacts) -> list[str]:
    if facts.network_namespace:
        return ['Private network namespace: available (--sandbox-policy netns, wsl2_proxy_policy "netns")']
    cause, remedy = advice(facts.namespaces)
    unavailable = f"Private network namespace: unavailable, {cause} ({facts.namespaces.failed})"
    return [unavailable, f"  hint: {remedy}"]


def _own_namespaces(facts: HostFacts) -> list[str]:
    if facts.own_namespaces is None:
        return ["Namespaces of each command's own: available (processes, /tmp, terminals, IPC)"]
    cause, remedy = advice(facts.own_namespaces, "mnt")
    failed = facts.own_namespaces.failed
    return [f"Namespaces of each command's own: unavailable, {cause} ({failed})", f"  hint: {remedy}"]


def _proxy_only(facts: HostFacts) -> list[str]:
    """Return as lines the rung that would enforce a proxy-only run here, and its gaps."""
    asked = CapabilitySet((), (), NetworkMode.PROXY, Scopes(), Wsl2ProxyPolicy.ERROR, "/")
    chosen = choose_enforcement(asked, facts)
    if isinstance(chosen, Refusal) or chosen.rung is None:
        return ["Proxy-only network (--credential, --network-profile): refused by default on this kernel"]
    lines = [f"Proxy-only network: enforced by {chosen.rung.value} ({summary.RUNGS[chosen.rung]})"]
    return lines + [f"Not enforced: {gap}" for gap in chosen.gaps]


def _limits() -> list[str]:
    lines = []
    for flag, place in limits():
        if isinstance(place, placement.Unavailable):
            lines += [f"Limits, {flag}: unavailable, {place.cause}", f"  hint: {place.remedy}"]
        else:
            lines.append(f"Limits, {flag}: available (cgroup v2, {place.parent})")
    return lines


def _wsl2(facts: HostFacts) -> list[str]:
    """Return the feature matrix of WSL2 as lines; empty elsewhere."""
    if not facts.is_wsl2:
        return []
    abi = facts.landlock_abi
    has_ports = bool(landlock_rights.HANDLED_NET[abi])
    busy = facts.listener is not Listener.AVAILABLE
    if not busy:
        proxy = "available"
    elif has_ports:
        proxy = "available (port only: the address of a connection is not checked)"
    else:
        proxy = "requires wsl2_proxy_policy profile opt-in"
    asked = CapabilitySet((), (), NetworkMode.ALLOWED, Scopes(), Wsl2ProxyPolicy.ERROR, "/", elevation=True)
    chosen = choose_enforcement(asked, facts)
    elevation = "available" if isinstance(chosen, Enforcement) and chosen.elevation else "unavailable"
    matrix = [
        "WSL2 environment detected",
        f"  Filesystem sandbox: {f'available (Landlock V{abi})' if abi else 'unavailable'}",
        "  Block-all network (--block-net): available",
        "  Per-port network filtering: "
        + ("available (Landlock V4+)" if has_ports else "unavailable (needs kernel 6.7+ for Landlock V4)"),
        f"  Credential proxy (--credential): {proxy}",
        f"  Capability elevation (--capability-elevation): {elevation}",
    ]
    if facts.listener is Listener.BUSY:
        matrix.append("  Note: seccomp user notification returns EBUSY (microsoft/WSL#9548)")
    return matrix


def _protections() -> list[str]:
    in_force = [group for group in shipped.groups().values() if group.applies]
    paths = sum(len(group.deny) for group in in_force)
    commands = sorted({name for group in in_force for name in group.commands})
    sample = ", ".join(commands[:COMMANDS_SHOWN])
    return [
        f"{paths} sensitive paths blocked",
        f"{len(commands)} dangerous commands known ({sample}, ...)",
        "Network access is allowed by default (use --block-net to block it)",
    ]
