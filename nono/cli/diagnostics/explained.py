"""Turn what a watched run was refused into findings, each with the one option that would allow it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from posixpath import basename, dirname

from nono.audit.event import ACCESS_NAMED, FILE_ACCESS
from nono.cli.text.footer import Finding
from nono.launch.denials import Denied, Kind
from nono.named_tuple import NamedTuple
from nono.policy.capability import Access
from nono.policy.effective_policy import EffectivePolicy
from nono.policy.files.grants import directory_flag, file_flag, opens_too_much
from nono.policy.files.path_verdict import Denied as DeniedByRule
from nono.policy.files.path_verdict import NotGranted, TooWeak
from nono.policy.learning.scope import is_secret_name
from nono.policy.learning.steering import steering_paths
from nono.policy.path_expansion import Filesystem, PathContext, is_within
from nono.policy.why import remedy
from nono.policy.why.extent import extent
from nono.policy.why.refusals import KEPT_HOOKS, Refusals, Refused
from nono.policy.why.usual_table import place_of_program, usual_place
from nono.printable import shell_word

TOO_MUCH = "no option is offered: it would open your home directory"


class _Wanted(NamedTuple):
    """A grant that would allow a refused access."""

    place: str
    access: Access
    purpose: str | None = None  # what a directory is for, if it is usually granted as a whole


def explained(
    refusals: Refusals, rules: EffectivePolicy, path_context: PathContext, fs: Filesystem
) -> list[Finding]:
    """Return a finding for each refused access. Accesses that one directory would allow share an option."""
    steering = steering_paths(path_context, fs)
    listed = refusals.listed()
    wanted = {each: _wanted(each, rules, path_context, fs) for each in listed}
    steers = {each: steering.reason(each.path) if each.access.writes else None for each in listed}
    accesses: dict[str, Access] = {}
    for each, wish in wanted.items():
        if wish is not None and steers[each] is None and not opens_too_much(wish.place, path_context, fs):
            accesses[wish.place] = wish.access.united(accesses.get(wish.place, wish.access))
    found = []
    for each, wish in wanted.items():
        denied = Denied(Kind.PATH, each.path, each.reason, access=FILE_ACCESS[each.access])
        if each.reason == KEPT_HOOKS:
            # No option of a finding, which would be offered for a profile too: see why_path().
            option = f"{directory_flag(Access.READWRITE)} {shell_word(str(rules.capabilities.hooks))}"
            found.append(Finding(denied, None, note=f"if the command may change them: {option}"))
        elif (why := steers[each]) is not None:
            found.append(Finding(denied, None, note=f"no option is offered: {why}"))
        elif wish is None:
            flag = remedy.of_path(rules, path_context, each.place, each.access, fs)
            found.append(Finding(denied, flag, None if flag is None else extent(flag)))
        elif opens_too_much(wish.place, path_context, fs):
            found.append(Finding(denied, None, note=_too_much(each, path_context, fs)))
        else:
            found.append(_offered(denied, wish, accesses, fs))
    return _each_once(found)


def _each_once(found: Iterable[Finding]) -> list[Finding]:
    """Merge the accesses to a path that have the same option."""
    united: dict[tuple[str, str | None, str | None], Finding] = {}
    for each in found:
        key = (each.denied.target, each.flag, each.note)
        known = united.get(key, each)
        access = ACCESS_NAMED[str(known.denied.access)].united(ACCESS_NAMED[str(each.denied.access)])
        united[key] = known._replace(denied=known.denied._replace(access=FILE_ACCESS[access]))
    return list(united.values())


def _wanted(
    refused: Refused, rules: EffectivePolicy, path_context: PathContext, fs: Filesystem
) -> _Wanted | None:
    """Return the grant for a path; None if the path cannot be typed or a rule denies it."""
    whole = usual_place(refused.path, refused.access, path_context, fs)
    around = None if refused.access.writes else place_of_program(refused.path, path_context, fs)
    if whole is None and around is not None:
        whole = around, "holds the program"
    place, purpose = whole if whole is not None else (refused.place, None)
    if fs.kind(place) is None:
        place = dirname(place)
    if isinstance(rules.files.judge((refused.path,), refused.access), DeniedByRule):
        return None
    match rules.files.judge((place,), refused.access):
        case TooWeak(held):  # only what is missing, because grants add up
            return _Wanted(place, Access.WRITE if held is Access.READ else Access.READ, purpose)
        case NotGranted() if place.isprintable() and "\\" not in place:
            return _Wanted(place, refused.access, purpose)
        case _:
            return None


def _too_much(refused: Refused, path_context: PathContext, fs: Filesystem) -> str:
    """Say why no option is offered; of what is missing, how it can be granted all the same."""
    path = refused.path
    is_new = refused.access.writes and fs.kind(path) is None and fs.entry(path) is None
    if not is_new or not path.isprintable() or not is_within(path, path_context.home):
        return TOO_MUCH
    word = shell_word(path)
    if refused.is_new_file:
        return f"{TOO_MUCH}. For this file alone: touch {word} outside, then --allow-file {word}"
    return f"{TOO_MUCH}. For a directory of that name: mkdir {word} outside, then --allow {word}"


def _offered(denied: Denied, wish: _Wanted, accesses: Mapping[str, Access], fs: Filesystem) -> Finding:
    """Return the finding with the option of the outermost wanted place that allows the access."""
    around = (
        place
        for place, access in accesses.items()
        if is_within(wish.place, place) and access.covers(wish.access)
    )
    place = min(around, key=len)
    access = accesses[place]
    flag = f"{(directory_flag if fs.kind(place) == 'dir' else file_flag)(access)} {shell_word(place)}"
    grants = extent(flag)
    if wish.purpose is not None and place == wish.place:
        grants = wish.purpose if grants is None else f"{grants} ({wish.purpose})"
    if is_secret_name(basename(denied.target)):
        grants = "; ".join(filter(None, (grants, "its name looks like that of a secret")))
    return Finding(denied, flag, grants)
