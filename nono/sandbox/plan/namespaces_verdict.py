"""Decide whether a command runs in its own namespaces, and say what it shares without them."""

from nono.policy.capability import CapabilitySet, Namespaces
from nono.sandbox.plan.enforcement import OTHER_SOCKETS_GAP, UNIX_SOCKET_GAP, Enforcement, Refusal
from nono.sandbox.plan.facts import NamespaceFacts

SHARED = (
    "the command shares processes and /tmp with this host: it sees the command lines of other programs, and "
    "can change your files in /tmp"
)


def has_namespaces(capabilities: CapabilitySet, refused: NamespaceFacts | None) -> bool:
    """Return True if the command runs in its own namespaces. `refused`: as for with_namespaces."""
    return refused is None and capabilities.namespaces is not Namespaces.OFF and capabilities.scopes.signal


def with_namespaces(
    chosen: Enforcement, capabilities: CapabilitySet, refused: NamespaceFacts | None
) -> Enforcement | Refusal:
    """Add to `chosen` the command's namespaces, or what it shares without them; or refuse.

    refused: Why this host does not allow namespaces; None if it does, or if nothing was probed.
    """
    if has_namespaces(capabilities, refused):
        gaps = tuple(OTHER_SOCKETS_GAP if gap == UNIX_SOCKET_GAP else gap for gap in chosen.gaps)
        return chosen._replace(namespaces=True, gaps=gaps)
    wanted = capabilities.namespaces
    if wanted is Namespaces.OFF:
        return _sharing(chosen, "namespaces off")
    if not capabilities.scopes.signal:
        if wanted is Namespaces.REQUIRE:
            return Refusal(
                'required namespaces and signal_mode "allow_all" contradict each other: no process outside '
                "could be signalled.",
                hint="leave one of them out",
            )
        return _sharing(chosen, 'signal_mode "allow_all"')
    assert refused is not None  # otherwise the command has namespaces
    # Imported here: only hosts that refuse need it.
    from nono.sandbox.plan.namespace_advice import advice

    cause, remedy = advice(refused, "mnt")
    failed = f" ({refused.failed})" if refused.failed else ""
    if wanted is Namespaces.REQUIRE:
        return Refusal(f"the command must have namespaces of its own, but {cause}{failed}.", hint=remedy)
    shares = f"{SHARED}: {cause}{failed}; to change that: {remedy}."
    return chosen._replace(shares=shares, gaps=(*chosen.gaps, shares))


def without_supervisor(chosen: Enforcement, wanted: Namespaces) -> Enforcement | Refusal:
    """Add what a command without a supervisor shares; or refuse, if namespaces are required."""
    if wanted is Namespaces.REQUIRE:
        return Refusal(
            'this profile has linux.namespaces "require", which is only supported by `nono run`.',
            hint="nono run, with the same options",
        )
    return _sharing(chosen, "no supervisor")


def _sharing(chosen: Enforcement, choice: str) -> Enforcement:
    shares = f"{SHARED} ({choice})."
    return chosen._replace(shares=shares, shares_by=choice, gaps=(*chosen.gaps, shares))
