"""Decide which opens the supervisor serves: to learn, to name threads, to check instructions, to ask."""

from nono.policy.capability import CapabilitySet
from nono.sandbox.plan.enforcement import Enforcement, Refusal
from nono.sandbox.plan.facts import HostFacts, Listener

# The first kernel on which handing over was tried, and the first with SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV.
# Without the latter, a signal that stops the command during a question interrupts the call in question.
HANDS_OVER, WAITS_KILLABLE = (5, 14), (5, 19)
_TOO_OLD = "Linux 5.14 is needed to hand an opened file over"


def with_served_opens(
    chosen: Enforcement, capabilities: CapabilitySet, facts: HostFacts
) -> Enforcement | Refusal:
    """Add what the run wants done with its opens, as far as this host can, or refuse the run."""
    if capabilities.learns:
        if chosen.sockets is not None:
            return Refusal(
                "with a blocked network, granted ports or Unix sockets cannot be watched, and so not "
                "learned.",
                hint="without --block-net, the proxy sees which hosts are reached",
            )
        chosen = chosen._replace(learns=True)
    if capabilities.names_threads:
        if not _hands_over(facts):
            return _refuse_naming_threads(facts)
        chosen = chosen._replace(names_threads=True)
    if capabilities.checks_instructions:
        chosen = _checking_instructions(chosen, facts)
    if capabilities.elevation:
        chosen = _elevating(chosen, facts)
    return chosen


def _hands_over(facts: HostFacts) -> bool:
    """Return True if a supervisor can open a file for the command."""
    return facts.listener is Listener.AVAILABLE and _release(facts) >= HANDS_OVER


def _why_not(facts: HostFacts, otherwise: str) -> str:
    """Word why no file can be opened for the command. otherwise: The reason where none was probed for."""
    return _TOO_OLD if facts.listener is Listener.AVAILABLE else facts.no_listener(otherwise)


def refuse_unseen_learning(facts: HostFacts) -> Refusal:
    """Refuse to learn without a listener: a profile of unseen accesses would be worthless."""
    return Refusal(
        f"{facts.on_wsl2}nothing can be learned here: nono watches a command's file accesses with a "
        "seccomp listener, which is not available "
        f"({facts.no_listener('there is no supervisor that could watch')}).",
        hint="watch it on native Linux, outside other sandboxes; a learned profile holds here as well",
    )


def _refuse_naming_threads(facts: HostFacts) -> Refusal:
    """Refuse the run: a driver that cannot name its threads fails with an unrelated error."""
    because = _why_not(facts, "there is no supervisor that could open them")
    return Refusal(
        f"{facts.on_wsl2}NVIDIA GPU thread-name mediation is not available here ({because}), and without it "
        "the driver fails from version 570 on.",
        hint="leave --allow-gpu out, or run it on native Linux and not inside another sandbox",
    )


def _checking_instructions(chosen: Enforcement, facts: HostFacts) -> Enforcement:
    """Check instruction files at the open, or say that they are checked at the start only."""
    if _hands_over(facts):
        return chosen._replace(checks_instructions=True)
    warning = (
        "instruction files are checked before the run only, not when they are opened "
        f"({_why_not(facts, 'there is no supervisor that could')}): what the command writes or fetches "
        "meanwhile is read unchecked."
    )
    return chosen._replace(warnings=(*chosen.warnings, warning), gaps=(*chosen.gaps, warning))


def _elevating(chosen: Enforcement, facts: HostFacts) -> Enforcement:
    """Ask a person about files, or note that nobody is asked, or not at a shared terminal."""
    if not _hands_over(facts):
        because = _why_not(facts, "there is no supervisor to ask")
        note = f"{facts.on_wsl2}capability elevation disabled ({because})"
        return chosen._replace(notes=(*chosen.notes, note))
    if _release(facts) >= WAITS_KILLABLE:
        return chosen._replace(elevation=True)
    note = (
        "before Linux 5.19 nobody can be asked about files on a terminal that the command shares, as with a "
        "pipe for one of its streams, and the answer there is no; security.approval_backends names other ways"
    )
    return chosen._replace(elevation=True, notes=(*chosen.notes, note))


def _release(facts: HostFacts) -> tuple[int, int]:
    """Return the kernel's major and minor version; (0, 0) if the release string has none."""
    numbers = [digits for digits in facts.kernel_release.replace("-", ".").split(".") if digits.isdecimal()]
    return (int(numbers[0]), int(numbers[1])) if len(numbers) > 1 else (0, 0)
