"""Word what was found on a machine: what each part means for a run, and what would change it."""

from __future__ import annotations

from collections.abc import Iterator

from nono.cli.doctor.finding import Finding, Mark
from nono.cli.doctor.look import Seen
from nono.cli.text import summary
from nono.kernel.filters.freeze import Comparison
from nono.policy.capability import CapabilitySet, NetworkMode, Scopes, Wsl2ProxyPolicy
from nono.printable import shell_word
from nono.sandbox.plan.enforcement import Refusal, Rung
from nono.sandbox.plan.facts import HostFacts, Listener
from nono.sandbox.plan.ladder import choose_enforcement
from nono.sandbox.plan.namespace_advice import advice
from nono.supervisor.limits.placement import Place

# By the first version of Landlock's interface that has the feature, with the kernel that introduced it.
_FEATURES = (
    (2, "5.19", "renames across directories"),
    (3, "6.2", "truncation"),
    (4, "6.7", "TCP ports"),
    (5, "6.10", "ioctls of devices"),
    (6, "6.12", "signals and abstract Unix sockets"),
)
ENABLE_LANDLOCK = (
    "use Linux 5.13 or newer with CONFIG_SECURITY_LANDLOCK=y, add landlock to the kernel parameter lsm= and "
    "restart"
)
_NO_LISTENER = (
    "start nono outside of containers and sandboxes that watch their system calls; in a container, allow "
    "pidfd_getfd(2) and seccomp(2); on the host, keep kernel.yama.ptrace_scope at 0 or 1"
)


def machine(seen: Seen) -> Iterator[Finding]:
    """Yield a finding for each part of the machine that a run depends on."""
    facts = seen.facts
    yield Finding("kernel", Mark.OK, f"Linux {facts.kernel_release}{' (WSL2)' if facts.is_wsl2 else ''}")
    yield _landlock(facts)
    yield _network(seen)
    yield _proxy_only(facts)
    yield _listener(facts)
    yield _namespaces(facts)
    yield _private_network(facts)
    yield _programs(seen.programs)
    yield _records(seen)
    if seen.settings_fault:
        meaning = f"no run starts: {seen.settings_fault}"
        yield Finding("settings", Mark.MISSING, meaning, "correct the file, or remove it for the defaults")
    for flag, place in seen.limits:
        if isinstance(place, Place):
            yield Finding(flag, Mark.OK, f"limits can be set, in {place.parent} (cgroup v2)")
        else:
            yield Finding(flag, Mark.WARN, f"no limit can be set: {place.cause}", place.remedy)


def _landlock(facts: HostFacts) -> Finding:
    abi = facts.landlock_abi
    if abi == 0:
        return Finding(
            "landlock", Mark.MISSING, "nothing keeps a command from files: no run starts", ENABLE_LANDLOCK
        )
    lacking = [(kernel, name) for since, kernel, name in _FEATURES if abi < since]
    if not lacking:
        return Finding("landlock", Mark.OK, f"version {abi} confines files, ports and signals")
    names = ", ".join(name for _, name in lacking)
    return Finding(
        "landlock",
        Mark.WARN,
        f"version {abi} confines files; it has no rules for {names}",
        f"Linux {lacking[-1][0]} or newer has them all",
    )


def _network(seen: Seen) -> Finding:
    means = [("Landlock", seen.has_tcp_rules), ("a seccomp filter", seen.has_filter)]
    by = " and ".join(name for name, works in means if works)
    if by:
        return Finding("network off", Mark.OK, f"--block-net is enforced by {by}")
    return Finding(
        "network off",
        Mark.MISSING,
        "--block-net cannot be enforced: neither Landlock's ports nor a seccomp filter could be installed",
        "start nono where seccomp(2) is allowed, or use Linux 6.7 or newer",
    )


def _proxy_only(facts: HostFacts) -> Finding:
    asked = CapabilitySet((), (), NetworkMode.PROXY, Scopes(), Wsl2ProxyPolicy.ERROR, "/")
    chosen = choose_enforcement(asked, facts)
    if isinstance(chosen, Refusal) or chosen.rung is None:
        if facts.network_namespace and facts.landlock_abi > 0:
            return Finding(
                "network by proxy",
                Mark.MISSING,
                "runs with --credential or --network-profile are refused: only a private network would hold "
                "the command to the proxy here",
                "--sandbox-policy netns, or wsl2_proxy_policy: netns in a profile",
            )
        return Finding(
            "network by proxy",
            Mark.MISSING,
            "runs with --credential or --network-profile are refused: nothing here would hold the command "
            "to the proxy",
            "Linux 6.7 or newer, or a seccomp listener; wsl2_proxy_policy: insecure_proxy in a profile runs "
            "without that",
        )
    if chosen.rung is not Rung.NOTIFY:
        meaning = " ".join((f"enforced by {chosen.rung.value}:", *chosen.warnings))
        return Finding("network by proxy", Mark.WARN, meaning, "a seccomp listener, see below, closes this")
    how = f"enforced by {chosen.rung.value}: {summary.RUNGS[chosen.rung]}"
    return Finding("network by proxy", Mark.OK, how)


def _listener(facts: HostFacts) -> Finding:
    if facts.listener is Listener.AVAILABLE:
        return Finding("seccomp listener", Mark.OK, "nono can make and judge the command's connections")
    meaning = (
        f"nono cannot judge single connections and opens: {facts.listener_detail or facts.listener.value}"
    )
    if facts.listener is Listener.BUSY and facts.is_wsl2:
        return Finding(
            "seccomp listener", Mark.WARN, meaning, "see microsoft/WSL#9548: WSL2 holds the only one"
        )
    return Finding("seccomp listener", Mark.WARN, meaning, _NO_LISTENER)


def _namespaces(facts: HostFacts) -> Finding:
    if facts.own_namespaces is None:
        return Finding("namespaces", Mark.OK, "each command gets its own processes, /tmp, terminals and IPC")
    cause, remedy = advice(facts.own_namespaces, "mnt")
    meaning = (
        f"a command sees the processes and the /tmp of the host: {cause} ({facts.own_namespaces.failed})"
    )
    return Finding("namespaces", Mark.WARN, meaning, remedy)


def _private_network(facts: HostFacts) -> Finding:
    if facts.network_namespace:
        return Finding("private network", Mark.OK, "--sandbox-policy netns can be used")
    cause, remedy = advice(facts.namespaces)
    meaning = f"--sandbox-policy netns cannot be used: {cause} ({facts.namespaces.failed})"
    return Finding("private network", Mark.WARN, meaning, remedy)


def _records(seen: Seen) -> Finding:
    fault = seen.state_fault
    if fault is None:
        return Finding("records", Mark.OK, f"audit logs and sessions are kept in {seen.state}")
    word = shell_word(fault.path)
    remedies = {
        "narrow": f"chmod 700 {word}",
        "move": f"mv {word} {word}.old; the next run makes one",
        "elsewhere": "set XDG_STATE_HOME to a directory of yours",
        "free": "free space there (nono prune drops what is kept of old runs), or set XDG_STATE_HOME to a "
        "directory of another disk",
    }
    meaning = f"no run starts, because none could be recorded in {fault.path}: {fault.reason}"
    return Finding("records", Mark.MISSING, meaning, remedies[fault.remedy])


def _programs(found: Comparison | str) -> Finding:
    check = "seccomp programs"
    if isinstance(found, str):
        return Finding(check, Mark.WARN, f"not verified: {found}", "install libseccomp to have them verified")
    built = f"libseccomp {found.built_with}"
    if found.is_tampered:
        names = ", ".join(found.different)
        return Finding(check, Mark.MISSING, f"changed after nono was built: {names}", "reinstall nono")
    if found.missing:
        return Finding(
            check, Mark.OK, f"{len(found.missing)} of {found.total} are built by {built} at each start"
        )
    if found.different:
        same = found.total - len(found.different)
        return Finding(
            check, Mark.OK, f"{same} of {found.total} verified; {built} orders the others differently"
        )
    return Finding(check, Mark.OK, f"all {found.total} verified against a build by {built}")
