"""Let denials beat grants: collect the denied paths, and refuse the grants they rule out."""

from collections.abc import Iterable, Iterator, Sequence
from posixpath import normpath

from nono.errors import SandboxError
from nono.named_tuple import NamedTuple
from nono.policy.builtin.shipped import Group
from nono.policy.capability import Denial, Grant
from nono.policy.path_expansion import (
    CHILD_RELATIVE_DIRECTORIES,
    Filesystem,
    PathContext,
    ancestry,
    canonical_as_far,
    is_within,
    parent_resolved,
)
from nono.printable import shell_word

MAX_LISTED = 5

Bypass = tuple[str, str]  # the canonical path, and the path with its last component as spelled


class DenyRules(NamedTuple):
    """The denials in force, and the paths --bypass-protection exempts from wider ones."""

    denials: tuple[Denial, ...] = ()
    bypassed: tuple[str, ...] = ()

    def covering(self, path: str) -> Denial | None:
        """Return the denial at or above `path`; None if there is none or a bypass exempts the path."""
        upward = ancestry(path)
        if any(bypass in upward for bypass in self.bypassed):
            return None
        for denial in self.denials:  # a plain loop: called for every grant
            if denial.path in upward:
                return denial
        return None


def group_denials(groups: Iterable[Group], path_context: PathContext, fs: Filesystem) -> Iterator[Denial]:
    seen = set[str]()  # ~/.config and $XDG_CONFIG_HOME are mostly one directory
    for group in groups:
        for text in group.deny:
            path = path_context.of_denial(text)
            if path is not None and path not in seen:
                seen.add(path)
                yield from denials_of(path, f"group:{group.name}", fs)


def denials_of(original: str, origin: str, fs: Filesystem) -> Iterator[Denial]:
    """Yield a denial of the name and, if the name is a symlink, one of its target; at every mount."""
    name = parent_resolved(original, fs)
    # Of the hundred that are denied hardly one is there.
    leads_to = name if fs.entry(name) is None else canonical_as_far(original, fs)
    # The Nix store is world-readable and granted as a whole; denying a link's target there would only
    # conflict.
    for path in (name,) if leads_to == name or is_within(leads_to, "/nix/store") else (name, leads_to):
        yield Denial(path, original, origin)
        for alias in fs.aliases(path, of_tree=True):
            # Container engines mount /dev/null over files to hide them; /dev/null itself must stay usable.
            if alias != "/dev/null":
                yield Denial(alias, original, origin, alias_of=path)


def refuse_child_relative(path: str, origin: str) -> None:
    """Raise SandboxError for a path that means a different file in each process."""
    spelled = "/" + normpath(path).lstrip("/")
    for directory in CHILD_RELATIVE_DIRECTORIES:
        if spelled != directory and is_within(spelled, directory):
            raise SandboxError(
                f"'{path}' ({origin}) cannot be denied: each process finds a file of its own there.",
                hint=f"deny {directory} as a whole",
            )


def with_bypasses(
    denials: Iterable[Denial], bypasses: Iterable[Bypass], granted: Sequence[Grant]
) -> DenyRules:
    """Drop the denials at or below a bypass. A wider denial stays in force except for the bypass itself.

    Raises SandboxError if no person's grant covers a bypass.
    """
    lifted: list[str] = []
    for bypass, spelled in bypasses:
        if not any(grant.path == bypass or _reaches(grant, bypass) for grant in granted if grant.is_users):
            raise SandboxError(
                f"bypass_protection '{spelled}' has no matching grant.",
                hint="it lifts a denial and grants nothing: name the path in a grant as well",
            )
        lifted += (bypass, spelled)
    kept = (
        denial
        for denial in denials
        if not any(
            is_within(each, path) for each in (denial.path, denial.alias_of) if each for path in lifted
        )
    )
    return DenyRules(tuple(dict.fromkeys(kept)), tuple(dict.fromkeys(lifted)))


def enforceable(grants: Sequence[Grant], rules: DenyRules, fs: Filesystem) -> tuple[list[Grant], list[str]]:
    """Return the grants compatible with `rules`, and a warning for each group grant dropped.

    Raises SandboxError if a person's grant is at or below a denied path. A directory grant above one stands:
    the denied path is masked (nono.policy.files.masks.masking).
    """
    kept: list[Grant] = []
    warnings: list[str] = []
    refused: list[str] = []
    denied = frozenset(denial.path for denial in rules.denials)
    for grant in grants:
        # Most of two hundred grants are spelled as they lie, far from any denial.
        is_far = denied.isdisjoint(ancestry(grant.path))
        denial = None if is_far else rules.covering(grant.path)
        if denial is None and grant.original != grant.path:
            denial = rules.covering(parent_resolved(grant.original, fs))
        if denial is None:
            kept.append(grant)
        elif grant.is_users:
            refused.append(_refusal(grant, denial))
        else:
            warnings.append(f"{grant.path} is not granted ({grant.source}): denied by {denial.origin}.")
    if refused:
        raise SandboxError(
            _listed(refused),
            hint="--bypass-protection PATH lifts the rule for a path that you do grant",
        )
    return kept, warnings


def _refusal(grant: Grant, denial: Denial) -> str:
    also = "" if denial.alias_of is None else f", for it is '{denial.alias_of}' at another mount"
    return (
        f"'{grant.original}' (source: {grant.source}) is denied by '{denial.original}' ({denial.origin})"
        f"{also}; "
        f"--bypass-protection {shell_word(grant.original)} would lift it"
    )


def _listed(refused: Sequence[str]) -> str:
    lines = ["Refusing to grant what a deny rule protects.", f"{len(refused)} refused:"]
    lines += [f"  - {entry}" for entry in refused[:MAX_LISTED]]
    if len(refused) > MAX_LISTED:
        lines.append(f"  ... and {len(refused) - MAX_LISTED} more refused")
    return "\n".join(lines)


def _reaches(grant: Grant, path: str) -> bool:
    return grant.is_dir and is_within(path, grant.path)
