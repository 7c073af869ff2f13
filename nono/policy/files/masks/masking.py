"""Find the denied paths below granted directories, and the masks that hide them."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from posixpath import dirname

from nono.errors import SandboxError
from nono.policy.capability import Absent, Grant, Mask, Masking
from nono.policy.files.denials import DenyRules
from nono.policy.files.grants import at_every_mount
from nono.policy.files.masks.served import server_of
from nono.policy.files.masks.spellings import respelled
from nono.policy.path_expansion import Filesystem, ancestry, is_within
from nono.printable import shell_word

MASKS_MAX = 4000  # the time for these grows with their square: 4 s for so many, over a minute for 20 000
# Characters of the directories above them, and 100 more for each, which may take a mount and a watch: 4 s.
ABOVE_MAX = 1_000_000
_SHOWN_MAX = 200  # characters of a path that may be of any length


def masking_of(grants: Sequence[Grant], rules: DenyRules, fs: Filesystem, states: Sequence[Grant]) -> Masking:
    """Return the masks needed for `grants`, each of which is compatible with `rules` by itself.

    states: those of the state directories.
    Raises SandboxError if a bypass lies below a path to be masked, since it would be masked too, if there are
    too many masks: a command can make any number of files with a name that a pattern denies, and if another
    spelling leads past a mask.
    """
    directories = [*at_every_mount((grant for grant in grants if grant.is_dir), fs)]
    writable = [grant for grant in directories if grant.access.writes]
    granted = {grant.path for grant in directories}
    masks: list[Mask] = []
    absent: list[Absent] = []
    dealt_with: set[str] = set()
    dealt_with_for_groups: set[str] = set()
    # Outer paths first: a masked directory covers everything below it, and so does a missing one. For
    # equal paths, user denials come before group denials because they are enforced more strictly.
    for denial in sorted(rules.denials, key=lambda denial: (denial.path, denial.is_of_group)):
        upward = ancestry(denial.path)
        known = dealt_with_for_groups if denial.is_of_group else dealt_with
        if granted.isdisjoint(upward) or not known.isdisjoint(upward):
            continue
        grant = next((g for g in directories if g.path in upward and g.path != denial.path), None)
        if grant is None:
            continue
        entry = fs.entry(denial.path)
        dealt_with_for_groups.add(denial.path)
        if entry is not None or not denial.is_of_group:
            dealt_with.add(denial.path)
        if entry is not None:
            masks.append(Mask(denial, entry.kind, entry.names, grant))
        else:
            writing = next((g for g in writable if g.path in upward), None)
            is_own = any(is_within(denial.path, state.path) for state in states)
            absent.append(Absent(denial, writing or grant, writing is not None, is_own))
    if len(masks) > MASKS_MAX:
        raise _too_many(f"more than {MASKS_MAX:,} denied paths lie in granted directories", masks[-1])
    _refuse_too_deep(masks)
    _refuse_pierced(masks, rules)
    _refuse_respelled(masks, fs)
    paths = [*(mask.path for mask in masks), *(gap.path for gap in absent)]
    return Masking(
        tuple(masks),
        _pinned(masks, writable),
        tuple(absent),
        _watched(paths, directories),
        any(server_of(path, fs) is not None for path in paths),
    )


def _refuse_too_deep(masks: Iterable[Mask]) -> None:
    """Raise SandboxError if more directories lead to the masks than a start should wait for."""
    counted, left = {"/"}, ABOVE_MAX
    for mask in masks:
        directory = dirname(mask.path)
        while directory not in counted:
            counted.add(directory)
            left -= len(directory) + 100
            if left < 0:
                raise _too_many("denied paths lie too deep in granted directories", mask)
            directory = dirname(directory)


def _too_many(what: str, mask: Mask) -> SandboxError:
    shown = mask.path if len(mask.path) <= _SHOWN_MAX else f"{mask.path[:_SHOWN_MAX]}..."
    return SandboxError(
        f"{what}, such as '{shown}' ({mask.denial.origin}).",
        hint="deny the directory around them, or fewer by a narrower pattern, or remove those that "
        "a command has made",
    )


def _is_below(paths: Iterable[str], roots: Collection[str]) -> dict[str, bool]:
    """Return the directories above `paths`, each with whether it lies in a directory of `roots`."""
    found = {"/": False}
    for path in paths:
        upward = []
        directory = dirname(path)
        while directory not in found:
            upward.append(directory)
            directory = dirname(directory)
        for each in reversed(upward):
            above = dirname(each)
            found[each] = found[above] or above in roots
    return found


def _pinned(masks: Iterable[Mask], writable: Iterable[Grant]) -> tuple[str, ...]:
    """Return the directories above masks that the command could rename and replace.

    A mount moves with its directory; only a mount on the directory itself prevents renaming it.
    """
    below = _is_below((mask.path for mask in masks), {grant.path for grant in writable})
    return tuple(sorted(path for path, is_movable in below.items() if is_movable))


def _watched(paths: Iterable[str], granted: Iterable[Grant]) -> tuple[str, ...]:
    """Return the granted directories on the way to `paths`."""
    roots = {grant.path for grant in granted}
    below = _is_below(paths, roots)
    return tuple(sorted(path for path, is_inside in below.items() if is_inside or path in roots))


def _refuse_pierced(masks: Iterable[Mask], rules: DenyRules) -> None:
    for mask in masks:
        for bypass in rules.bypassed:
            if is_within(bypass, mask.path):
                raise SandboxError(
                    f"'{bypass}' cannot be reached through the denied '{mask.path}' ({mask.denial.origin}): "
                    f"it has to be masked as a whole, since '{mask.grant.path}' is granted "
                    f"(source: {mask.grant.source}).",
                    hint=f"lift the denial itself with --bypass-protection {shell_word(mask.path)}, "
                    f"or grant the directories the command needs instead of {mask.grant.path}",
                )


def _refuse_respelled(masks: Iterable[Mask], fs: Filesystem) -> None:
    origins = {mask.path: mask.denial.origin for mask in masks}
    for path, other, holder, because in respelled(origins, fs):
        raise SandboxError(
            f"'{path}' ({origins[path]}) cannot be masked: the file system at {holder} {because}, "
            f"so '{other}' leads there as well.",
            hint="keep the project on a disk of Linux itself, or grant the directories the command needs "
            f"instead of their parent, or lift the denial with --bypass-protection {shell_word(path)}",
        )


def with_own_file(
    masking: Masking,
    path: str,
    directory: str,
    grants: Iterable[Grant],
    *,
    is_shared: bool = False,
) -> Masking:
    """Return `masking` with a file in the command's own `directory` in place of the denied `path`.

    What lies in `directory` outside is hidden by the private one, unless runs share it (`is_shared`). Without
    a denial of the shipped policy at `path`, or with a directory there, nothing changes.
    """
    masks = [mask for mask in masking.masks if mask.path == path]
    absent = [each for each in masking.absent if each.path == path]
    denials = [*(mask.denial for mask in masks), *(each.denial for each in absent)]
    if any(mask.kind == "dir" for mask in masks) or not all(denial.is_of_group for denial in denials):
        return masking
    own = [mask._replace(own=directory, is_shared=is_shared) for mask in masks]
    own += [Mask(each.denial, "link", 1, each.grant, own=directory, is_shared=is_shared) for each in absent]
    writable = [grant for grant in grants if grant.is_dir and grant.access.writes]
    shared = [directory] if is_shared and own else []

    def is_kept(other: str) -> bool:
        return other != path and (is_shared or not is_within(other, directory))

    return masking._replace(
        masks=(*(mask for mask in masking.masks if is_kept(mask.path)), *own),
        pinned=tuple(sorted({*filter(is_kept, masking.pinned), *_pinned(own, writable), *shared})),
        absent=tuple(each for each in masking.absent if is_kept(each.path)),
    )


def masked_at(masking: Masking, path: str) -> Mask | Absent | None:
    """Return the mask over `path` or a directory above it, or the reason why there is none."""
    mask = next((mask for mask in masking.masks if is_within(path, mask.path)), None)
    return mask or next((absent for absent in masking.absent if is_within(path, absent.path)), None)
