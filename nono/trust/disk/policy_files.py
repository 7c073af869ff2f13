"""Read the trust policies that concern a project: its own and the user's."""

from __future__ import annotations

from collections.abc import Mapping
from posixpath import join

from nono.disk.regular_file import read_regular_file
from nono.errors import NonoError
from nono.trust import policy
from nono.trust.authority import Policies, PolicyFile
from nono.trust.disk.concern import user_policy
from nono.trust.disk.evidence import SIDECAR, read_bundle
from nono.trust.policy import FILE


def find(root: str, environ: Mapping[str, str], *, project: str | None = None) -> Policies:
    """Read the policies of a project. Raises NonoError for one that cannot be read or is invalid.

    project: A file to use instead of the one in the root.
    """
    notes: list[str] = []
    own = load(project or join(root, FILE), notes)
    return Policies(root, own, load(user_policy(environ), notes), tuple(notes))


def load(path: str, notes: list[str]) -> PolicyFile | None:
    """Read a policy file; None if it is missing. Another program's file of that name is noted and ignored."""
    try:
        content = read_regular_file(path, policy.POLICY_BYTES_MAX)
        if not policy.is_trust_policy(content):
            notes.append(f"{path} is skipped: its predicate is not '{policy.PREDICATE}'.")
            return None
        return PolicyFile(path, content, policy.parse(content), read_bundle(f"{path}{SIDECAR}"))
    except FileNotFoundError:
        return None
    except OSError as error:
        raise NonoError(f"the trust policy {path} cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise NonoError(
            f"the trust policy {path} is not understood: {error}",
            hint="--trust-override starts without it, and checks nothing",
        ) from error
