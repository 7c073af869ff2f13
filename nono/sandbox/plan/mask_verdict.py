"""Judge the masking of denied paths: refuse the run, or list what stays open."""

from __future__ import annotations

from collections.abc import Sequence
from posixpath import dirname

from nono.policy.capability import Absent, Mask, Masking
from nono.printable import enumerated, shell_word
from nono.sandbox.plan.enforcement import Enforcement, Refusal
from nono.sandbox.plan.facts import MaskFacts

LISTED_MAX = 5
REPLACED_GAP = (
    "what takes the place of a denied path while the command runs, as when an editor outside saves, is "
    "masked at once, but not in the same instant: a command that lies in wait for it may read it."
)
SERVED_GAP = (
    "denied paths lie on a file system that another program or machine serves: one that it replaces while "
    "the command runs, or fails to look up, is open until it is masked again, within seconds."
)


def uncovered(paths: Sequence[str]) -> str:
    """Say which denied paths lay open after they had been masked."""
    return (
        "denied, but open for a moment while the command ran, because it was replaced or its file system "
        f"failed: {enumerated(paths, LISTED_MAX, shell_word)}. The command may have read it."
    )


def with_masks(chosen: Enforcement, masking: Masking, facts: MaskFacts | None) -> Enforcement | Refusal:
    """Add the gaps that masking leaves to `chosen`; return a Refusal if masking is impossible or useless.

    Raises ValueError if there are paths to mask, but nobody probed whether that works.
    """
    to_create = [absent for absent in masking.absent if absent.is_creatable and not absent.denial.is_of_group]
    if to_create:
        return _not_there(to_create)
    if masking.masks:
        if facts is None:
            raise ValueError("whether paths can be masked was not found out")
        if facts.failed or facts.namespaces is not None:
            return _not_maskable(masking.masks, facts)
    named, warnings = tuple(_named_elsewhere(masking)), tuple(_creatable(masking, is_own=False))
    gaps = [*named, *warnings]
    if masking.masks:
        gaps.append(SERVED_GAP if masking.is_served else REPLACED_GAP)
    # Agents keep a login in their own directory. While that is missing, there is nothing to protect.
    gaps += _creatable(masking, is_own=True)
    out_of_reach = [absent.path for absent in masking.absent if not absent.is_creatable]
    if out_of_reach:
        gaps.append(
            f"denied, but not there: {enumerated(out_of_reach, LISTED_MAX)}. What is made there from outside "
            f"while the command runs is {_then(masking)}."
        )
    return chosen._replace(
        warnings=(*chosen.warnings, *warnings),
        insisted=(*chosen.insisted, *named),
        gaps=(*chosen.gaps, *gaps),
    )


def _not_there(absent: Sequence[Absent]) -> Refusal:
    """Refuse: a missing path cannot be mounted over, and the command could create it and then read it."""
    first = absent[0]
    path, below = shell_word(first.path), shell_word(dirname(first.path))
    return Refusal(
        _listed(
            "A denied path does not exist, and the command could create it.",
            "such path(s)",
            [
                f"'{one.path}' ({one.denial.origin}) in '{one.grant.path}', which may be written "
                f"(source: {one.grant.source})"
                for one in absent
            ],
        ),
        hint=f"once it exists it is masked from the command: mkdir -p {below} && touch {path} "
        f"(or mkdir -p {path} for a directory); filesystem.deny_if_present denies what is there, and no more",
    )


def _not_maskable(masks: Sequence[Mask], facts: MaskFacts) -> Refusal:
    """Refuse because masks cannot be mounted: list the conflicts, and name the one change that would help."""
    conflicts = [
        f"deny '{mask.path}' overlaps allowed parent '{mask.grant.path}' (source: {mask.grant.source})"
        for mask in masks
    ]
    message = _listed(
        "Landlock deny-overlap is not enforceable on Linux. Refusing to start with conflicting policy.",
        "conflict(s)",
        conflicts,
    )
    narrower = (
        "or grant the directories the command needs instead of their parent, "
        "or lift a denial with --bypass-protection PATH"
    )
    if facts.namespaces is None:
        return Refusal(f"{message}\nThey cannot be masked by mounts: {facts.failed}.", narrower[3:])
    # Imported here: only this refusal needs it.
    from nono.sandbox.plan.namespace_advice import advice

    cause, remedy = advice(facts.namespaces, "mnt")
    failed = f" ({facts.namespaces.failed})" if facts.namespaces.failed else ""
    return Refusal(
        f"{message}\nThey cannot be masked by mounts: {cause}{failed}.",
        hint=f"{remedy}; {narrower}",
    )


def _named_elsewhere(masking: Masking) -> list[str]:
    return [
        f"'{mask.path}' is denied and has {mask.names} names (hard links): if another one lies in a granted "
        "directory, the command can read the file there."
        for mask in masking.masks
        if mask.kind == "file" and mask.names > 1
    ]


def _creatable(masking: Masking, *, is_own: bool) -> list[str]:
    paths = [absent.path for absent in masking.absent if absent.is_creatable and absent.is_own is is_own]
    if not paths:
        return []
    return [
        f"denied, but not there, and the command could create it: {enumerated(paths, LISTED_MAX)}. "
        f"What it makes there is {_then(masking)}."
    ]


def _then(masking: Masking) -> str:
    """Describe what happens to a path that appears later: a run with masks masks it too."""
    return "masked once it is there" if masking.masks else "not masked"


def _listed(headline: str, noun: str, entries: Sequence[str]) -> str:
    lines = [headline, f"{len(entries)} {noun}:", *(f"  - {entry}" for entry in entries[:LISTED_MAX])]
    if len(entries) > LISTED_MAX:
        lines.append(f"  ... and {len(entries) - LISTED_MAX} more {noun}")
    return "\n".join(lines)
