"""Probe what `nono doctor` and `nono setup` report about this machine."""

from __future__ import annotations

import os

from nono.kernel import landlock_rights
from nono.kernel.filters.freeze import Comparison, compare
from nono.named_tuple import NamedTuple
from nono.sandbox import probe
from nono.sandbox.plan.facts import HostFacts
from nono.supervisor.cgroup import cgroup, placement

LIMITS = (("--memory", "memory"), ("--max-processes", "pids"))


class Seen(NamedTuple):
    """What was found on a machine."""

    facts: HostFacts
    has_tcp_rules: bool  # Landlock's rules for TCP ports were installed in a probe
    has_filter: bool  # the static filter of a run without network was installed too
    programs: Comparison | str  # the reason (a str) if the seccomp programs could not be built
    limits: tuple[tuple[str, placement.Place | placement.Unavailable], ...]  # by option


def look() -> Seen:
    """Probe everything, each thing in a child process that ends."""
    facts = probe.host_facts(network=True)
    has_rules = bool(landlock_rights.HANDLED_NET[facts.landlock_abi]) and probe.landlock_tcp_rules_work()
    return Seen(facts, has_rules, probe.network_filter_installs(), compare_programs(), limits())


def compare_programs() -> Comparison | str:
    """Rebuild the seccomp programs and compare them. Returns the reason if they cannot be built."""
    try:
        return compare(os.uname().machine)
    except ImportError as error:
        return str(error)
    except OSError as error:
        return f"libseccomp refused a rule ({error.strerror})"


def limits() -> tuple[tuple[str, placement.Place | placement.Unavailable], ...]:
    """Return for each option that limits a run the place for its cgroup, or why there is none."""
    seen = cgroup.look((os.getpid(),))
    return tuple((flag, placement.choose(seen, {controller})) for flag, controller in LIMITS)
