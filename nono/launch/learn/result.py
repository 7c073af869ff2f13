"""Turn observed accesses into a profile, then check that the profile covers them."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping, Sequence
from posixpath import dirname
from typing import Any

from nono.launch.learn.plan import LearnPlan
from nono.named_tuple import NamedTuple
from nono.policy.capability import Access, NetworkMode
from nono.policy.effective_policy import EffectivePolicy, effective_policy_of
from nono.policy.files.grants import directory_flag, file_flag
from nono.policy.files.path_verdict import Granted
from nono.policy.host_filesystem import HostFilesystem
from nono.policy.learning.generalise import can_be_spelled, generalise, spelled
from nono.policy.learning.learned_profile import laid_over, learned_document
from nono.policy.learning.observation import Need, Refused, Site
from nono.policy.learning.steering import SteeringPaths, steering_paths
from nono.policy.path_expansion import is_within
from nono.policy.profile.store import profile_of
from nono.policy.request import RunRequest
from nono.policy.resolve import resolve
from nono.policy.why.hosts import why_request


class LearnedProfile(NamedTuple):
    """The profile that a watched run produced, and everything to report about it."""

    document: dict[str, Any]
    added: dict[str, Any]  # the new part of document
    left_out: tuple[Refused, ...]  # observed accesses that the profile does not grant
    refused: tuple[Refused, ...]  # accesses that the watched run refused
    flags: tuple[str, ...]  # flags that would let the next run observe more
    dropped: int  # observed accesses that were not kept


def build_learned_profile(
    learning: LearnPlan, own: Mapping[str, Any], file: str, *, is_new: bool, cwd: str
) -> LearnedProfile:
    """Build the learned profile from an observed run.

    own: The content of file before the run.
    is_new: file does not exist yet.
    Raises NonoError if the result is not a valid profile.
    """
    fs = HostFilesystem()  # a new one, because the command may have moved files
    seen = learning.observation.learned()
    places = learning.base.path_context
    additions = generalise(seen.needs, learning.bounds, learning.groups, places, fs)
    known = effective_policy_of(learning.base, fs)
    sites = {site: asked for site, asked in seen.sites.items() if not _is_known(known, site, asked)}
    new = seen.services - {service.name for service in learning.base.services}
    services = [service.named_as for service in learning.resolved.services if service.name in new]
    ports = known.capabilities.ports
    sockets = {
        spelled(path, learning.bounds, places, fs): is_bound
        for path, is_bound in seen.sockets.items()
        if can_be_spelled(path) and not known.unix_sockets.judge(path, binds=is_bound).is_allowed
    }
    added = learned_document(
        additions,
        sites,
        services,
        open_ports=[port for port in seen.open_ports if not any(port in each for each in ports.open)],
        sockets=sockets,
        listen_ports=[port for port in seen.listen_ports if not any(port in each for each in ports.listen)],
    )
    if is_new and not sites and not services and known.capabilities.network is NetworkMode.ALLOWED:
        added["network"] = {"block": True, **added.get("network", {})}  # it reached no host
    document = laid_over(dict(own), added)
    profile = profile_of(document, file, places.environ)
    request = RunRequest(allow_cwd=True, workdir=places.workdir)
    rules = effective_policy_of(resolve(request, profile, environ=places.environ, cwd=cwd, fs=fs), fs)
    named = {refused.what for refused in additions.left_out}
    missing = tuple(
        Refused(need.path, need.access.value, "no grant of a profile reaches it")
        for need in seen.needs
        if need.path not in named and not _is_granted(rules, need)
    )
    steering = steering_paths(places, fs)
    refused = _explained(seen.refused, steering)
    flags = _flags(refused, learning.wide, steering, fs)
    return LearnedProfile(document, added, (*additions.left_out, *missing), refused, flags, seen.dropped)


def _explained(refused: Iterable[Refused], steering: SteeringPaths) -> tuple[Refused, ...]:
    """Say why no flag is offered for a path that steers programs outside: the command chose the path."""
    explained = []
    for each in refused:
        writes = each.may_be_asked and Access(each.access).writes
        reason = steering.reason(each.what) if writes else None
        explained.append(
            each
            if reason is None
            else each._replace(reason=f"no flag is offered: {reason}", may_be_asked=False)
        )
    return tuple(explained)


def _flags(
    refused: Sequence[Refused], wide: frozenset[str], steering: SteeringPaths, fs: HostFilesystem
) -> tuple[str, ...]:
    """Return grant flags for paths refused only because nothing named them, outer directories first."""
    wanted: dict[str, Access] = {}
    new_files = {each.what for each in refused if each.is_new_file}
    for each in sorted(refused):
        if each.may_be_asked and each.what.isprintable() and each.what not in wide:
            access, path = Access(each.access), _grantable(each.what, wide, steering, fs)
            wanted[path] = access.united(wanted.get(path, access))
    flags = []
    for path, access in wanted.items():
        if any(
            is_within(path, other) and path != other and held.covers(access) for other, held in wanted.items()
        ):
            continue
        kind = fs.kind(path)
        is_file = path in new_files if kind is None else kind != "dir"
        flag = file_flag(access) if is_file else directory_flag(access.united(Access.READ))
        flags.append(f"{flag} {shlex.quote(path)}")
    return tuple(flags)


def _grantable(path: str, wide: frozenset[str], steering: SteeringPaths, fs: HostFilesystem) -> str:
    """Return the path; or its directory, if only that exists and may be offered, as a grant needs it to."""
    above = dirname(path)
    is_new = fs.kind(path) is None and fs.kind(above) == "dir"
    return above if is_new and above not in wide and steering.reason(above) is None else path


def _is_granted(rules: EffectivePolicy, need: Need) -> bool:
    return isinstance(rules.files.judge((need.path,), need.access), Granted)


def _is_known(rules: EffectivePolicy, site: Site, requests: frozenset[tuple[str, str]]) -> bool:
    """Check that the profile already allows all requests. A profile with an open network names no host."""
    if rules.hosts is None or rules.hosts.allow is None:
        return False
    answers = (why_request(rules, site.host, site.port, method, path) for method, path in requests)
    return all(answer.status == "allowed" for answer in answers)
