"""Read what is trusted in a project: its policies, their keys, and what was approved there."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from nono.cli.instructions import wording
from nono.credentials.signing.public import own_public_keys
from nono.errors import NonoError, reason_of
from nono.named_tuple import NamedTuple
from nono.trust.authority import Policies, Standing, effective, keys_of, standing_of
from nono.trust.disk.evidence import Verify
from nono.trust.disk.keyless import verifier
from nono.trust.disk.memory_file import MemoryFile
from nono.trust.disk.policy_files import find
from nono.trust.dsse import PublicKey
from nono.trust.memory import Memory
from nono.trust.policy import FILE, TrustPolicy, parse
from nono.trust.verdict import Trust, TrustedKey

OWN = "you"  # the publisher of a policy that is signed with the user's own key


class Loaded(NamedTuple):
    """What is trusted in a project."""

    policies: Policies
    standing: Standing
    problem: str  # what is wrong with the signature of the project's policy; "" if it is valid
    memory: Memory
    memory_file: MemoryFile
    trust: Trust
    unknown: tuple[str, ...]  # publishers whose key is not available
    verify: Verify | None  # verifies bundles signed without a key; None: nobody trusts such signatures

    @property
    def root(self) -> str:
        return self.policies.root

    def difference(self, path: str, content: bytes) -> Iterator[str]:
        """Yield the lines that show how a file differs from what was approved."""
        known = self.memory.approved.get(path) or (self.memory.policy if path == FILE else None)
        return wording.difference(path, self.memory_file.content(known or ""), content)


def load(root: str, environ: Mapping[str, str], *, policy: str | None = None) -> Loaded:
    """Read everything. Raises NonoError. policy: a file to use instead of the project's policy."""
    policies = find(root, environ, project=policy)
    memory_file = MemoryFile(root, environ)
    memory = remembered(memory_file)
    own = own_public_keys(environ)
    lookup = _lookup(own)
    authorities = [TrustedKey(OWN, reference, key) for reference, key in own.items()]
    if policies.user is not None:
        authorities += keys_of(policies.user.policy, lookup)[0]
    standing, problem = standing_of(policies.project, memory, authorities, _last(memory, memory_file))
    counts = effective(policies, standing)
    keys, missing = keys_of(counts, lookup)
    trust = Trust(counts, keys, memory.approved, memory.signed)
    return Loaded(policies, standing, problem, memory, memory_file, trust, missing, verifier(counts, environ))


def remembered(file: MemoryFile) -> Memory:
    """Return what is remembered of a project. Raises NonoError if that is damaged."""
    try:
        return file.read() or Memory()
    except (OSError, ValueError) as error:
        raise NonoError(
            f"what was approved in this project cannot be read: {file.path}: {reason_of(error)}",
            hint="nono trust forget starts anew: every file has to be approved again",
        ) from error


def _last(memory: Memory, file: MemoryFile) -> TrustPolicy | None:
    """Return the project's policy at the last run; None if it is not known."""
    content = None if memory.policy is None else file.content(memory.policy)
    try:
        return None if content is None else parse(content)
    except ValueError:  # written by another version of nono
        return None


def _lookup(own: Mapping[str, PublicKey]) -> Callable[[str], PublicKey | None]:
    by_fingerprint = {key.fingerprint: key for key in own.values()}
    return lambda name: own.get(name.removeprefix("keystore://")) or by_fingerprint.get(name)
