"""Judge the policies of a project: who stands behind them, and which of their rules count."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from nono.digests import sha256
from nono.named_tuple import NamedTuple
from nono.str_enum import StrEnum
from nono.trust import policy
from nono.trust.bundle import Bundle
from nono.trust.dsse import PublicKey
from nono.trust.memory import Memory
from nono.trust.policy import FILE, Keyed, TrustPolicy
from nono.trust.verdict import TrustedKey, signer_of


class PolicyFile(NamedTuple):
    """A policy, read once."""

    path: str
    content: bytes
    policy: TrustPolicy
    bundle: Bundle | str | None  # the signature beside it; str: why it is unreadable

    @property
    def sha256(self) -> str:
        return sha256(self.content).hexdigest()


class Policies(NamedTuple):
    """The policies that concern one project."""

    root: str  # canonical
    project: PolicyFile | None
    user: PolicyFile | None
    notes: tuple[str, ...] = ()


class Standing(StrEnum):
    """Who stands behind a project's policy."""

    ABSENT = "absent"  # missing, and never seen before
    SIGNED = "signed"  # by a key of the user's own, or by a publisher of the user's policy
    APPROVED = "approved"  # by a person
    NEW = "new"  # seen for the first time
    SEEN = "seen"  # as in the last run
    CHANGED = "changed"  # since the last run or approval: neither signed nor approved, or it allows more
    GONE = "gone"

    @property
    def is_authoritative(self) -> bool:
        return self in (Standing.SIGNED, Standing.APPROVED)


def standing_of(
    project: PolicyFile | None,
    memory: Memory,
    authorities: Iterable[TrustedKey],
    before: TrustPolicy | None = None,
) -> tuple[Standing, str]:
    """Judge the policy of a project. Returns its problem too, "" for none.

    authorities: Keys that may sign a policy.
    before: The policy of the last run, or approved since, if known.
    """
    if project is None:
        seen = memory.policy is not None
        return (Standing.GONE if seen else Standing.ABSENT), ""
    problem = _problem(project, authorities)
    is_known = memory.policy in (None, project.sha256)
    if problem is None and (is_known or (before is not None and not _allows_more(project.policy, before))):
        return Standing.SIGNED, ""
    # An old policy is signed as validly as a new one: replaying it must gain nothing.
    problem = problem or "it is signed, but allows more than in the last run, or than what was approved since"
    if memory.approved.get(FILE) == project.sha256:
        return Standing.APPROVED, problem
    if memory.policy is None and FILE not in memory.approved:
        return Standing.NEW, problem
    return (Standing.SEEN if memory.policy == project.sha256 else Standing.CHANGED), problem


def effective(policies: Policies, standing: Standing) -> TrustPolicy:
    """Return the combined policy that applies.

    Everything a project forbids applies. The publishers it trusts apply if the user stands behind its policy,
    or if the user has no policy about publishers.
    """
    written = []
    if policies.user is not None:
        written.append(policies.user.policy)
    if policies.project is not None:
        project = policies.project.policy
        if policies.user is not None and not standing.is_authoritative:
            project = project._replace(publishers=())
        written.append(project)
    return policy.merged(written)


def keys_of(
    trust_policy: TrustPolicy, find: Callable[[str], PublicKey | None]
) -> tuple[tuple[TrustedKey, ...], tuple[str, ...]]:
    """Return the publishers' keys, and the names of publishers whose key was not found.

    find: Looks up one of the user's own public keys by name.
    """
    found, missing = [], []
    for publisher in trust_policy.publishers:
        if isinstance(publisher.identity, Keyed):
            key = publisher.identity.public_key or find(publisher.identity.key_id)
            if key is None:
                missing.append(publisher.name)
            else:
                found.append(TrustedKey(publisher.name, publisher.identity.key_id, key))
    return tuple(found), tuple(missing)


def _allows_more(now: TrustPolicy, before: TrustPolicy) -> bool:
    """Check that a policy accepts something that an earlier one did not."""
    return (
        not now.enforcement.is_as_strict_as(before.enforcement)
        or not {*now.includes} >= {*before.includes}
        or not {*now.files} >= {*before.files}
        or not {*now.publishers} <= {*before.publishers}
        or not now.blocked_digests.keys() >= before.blocked_digests.keys()
        or not {*now.blocked_publishers} >= {*before.blocked_publishers}
        or (before.packages and not now.packages)
    )


def _problem(project: PolicyFile, authorities: Iterable[TrustedKey]) -> str | None:
    """Return why a policy's signature does not count; None if it does."""
    if project.bundle is None:
        return "nobody has signed it"
    if isinstance(project.bundle, str):
        return f"its signature cannot be read: {project.bundle}"
    try:
        said, key = signer_of(project.bundle, policy.PREDICATE, authorities)
    except ValueError as error:
        return str(error)
    if key is None:
        return "it is signed by none of your keys, and by no publisher of your own policy"
    if project.sha256 not in {each.sha256 for each in said.subjects}:
        return f"it has changed since {key.publisher} signed it"
    return None
