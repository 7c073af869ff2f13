"""Resolve the policy of a typed command from its profile and flags."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence

from nono.cli.args.options import RUN
from nono.cli.args.parse import Given, Invocation, no_command
from nono.cli.console import can_ask
from nono.errors import ConfigError, NonoError, UsageError
from nono.launch.around.slow_lookups import ToldIfSlow
from nono.named_tuple import NamedTuple
from nono.policy.capability import Access
from nono.policy.files.grants import accesses, at_every_mount
from nono.policy.files.links import links_on_the_way
from nono.policy.files.requested import MissingPathError
from nono.policy.host_filesystem import HostFilesystem, is_read_only
from nono.policy.network_request import ContradictionError
from nono.policy.request import RunRequest
from nono.policy.resolve import PathWarning, Resolved, asked_for, resolve
from nono.policy.schema.profile import Profile
from nono.printable import printable_line

POLICY_OF_RUN = "this profile has a linux.sandbox_policy, which is only supported by `nono run`."

Ask = Callable[[str, Access], bool]  # asks to share a directory for an access


class _Here(NamedTuple):
    """Where a run would start."""

    environ: Mapping[str, str]
    cwd: str
    fs: HostFilesystem


def asker(invocation: Invocation) -> Ask | None:
    """Return a function that asks to share the working directory; None if nobody can be asked."""
    if invocation.silent or invocation.given.flag("dry_run") or not can_ask():
        return None
    return share_workdir


def share_workdir(workdir: str, access: Access) -> bool:
    """Ask to share the working directory. Anything but yes means no."""
    from nono.approval.ask import confirm  # imported here: most runs ask nothing

    words = {Access.READ: "read", Access.WRITE: "write", Access.READWRITE: "read+write"}[access]
    lines = (
        f"  Share {printable_line(workdir)} with {words} access?",
        "  use --allow-cwd to skip this prompt",
    )
    return confirm(lines, "  [y/N] ", is_pristine=True)


def resolve_given(
    invocation: Invocation,
    environ: Mapping[str, str],
    *,
    long_lived: bool = False,
    ask: Ask | None = None,
    cwd: str | None = None,
) -> Resolved:
    """Resolve the policy. Raises NonoError if flags, profile and host do not fit together.

    long_lived: This process will supervise, so it must not keep the profile's validator in memory.
    ask: Asks a person to share the working directory; None if nobody can be asked.
    cwd: Where the run would start; None: here.
    """
    try:
        cwd = cwd or os.getcwd()
    except OSError as error:
        raise NonoError(
            f"the current directory cannot be used: {error.strerror}", hint="cd to one that exists"
        ) from error
    here = _Here(environ, cwd, HostFilesystem())
    name, extends = invocation.given.value("profile"), invocation.given.list("extends")
    manifest = invocation.given.value("config")
    if manifest is not None:
        _refuse_beside_manifest(invocation.given)
        return _of_manifest(manifest, invocation.request, here, long_lived=long_lived)
    if name is None:
        if extends:
            raise UsageError("--extends needs --profile.", hint="--profile default --extends ...")
        return _shared(invocation.request, None, here, ask)
    return _of_profile(name, extends, invocation.request, here, ask, long_lived=long_lived)


def _of_profile(
    name: str,
    extends: Sequence[str],
    request: RunRequest,
    here: _Here,
    ask: Ask | None,
    *,
    long_lived: bool,
) -> Resolved:
    """Resolve the policy of a named profile, and of those that the project offers beside it."""
    # Imported here: it imports json and re, which a run without a profile does not need.
    from nono.cli.project_profiles import offer_profile, wanted
    from nono.policy.export.no_effect import without_effect
    from nono.policy.profile.store import labels_of, load

    environ = here.environ
    loaded = load(name, environ, extends, long_lived=long_lived)
    added = wanted(loaded.profile, here.cwd, environ, offer_profile if ask is not None else None)
    if added:
        name = ",".join((name, *added))
        loaded = load(name, environ, extends, long_lived=long_lived)
    try:
        resolved = _shared(request, loaded.profile, here, ask)
    except ContradictionError as error:
        raise error.named(labels_of(error.fields, name, environ, extends)) from error
    places = [os.path.join(here.cwd, file) for file in loaded.files]
    of_paths = [*filter(None, (_writable(place, resolved, here.fs) for place in places))]
    warnings = [*filter(None, map(_others_could_change, places))]
    if (of_paths or warnings) and any(resolved.session_hooks):
        raise ConfigError(
            f"the profile has session_hooks, and {(*(each.text for each in of_paths), *warnings)[0]}",
            hint="what runs outside the sandbox must not be the command's to choose",
        )
    inert = without_effect(loaded.profile)
    return resolved._replace(
        warnings=(*inert, *resolved.warnings),
        insisted=(*resolved.insisted, *warnings),
        of_paths=tuple(of_paths),
        deprecations=loaded.warnings,
        added_profiles=tuple(added),
    )


def _refuse_beside_manifest(given: Given) -> None:
    both = [option for option in given.options if option.in_manifest]
    if both:
        origin = f" (or {both[0].env})" if both[0].env else ""
        raise UsageError(
            f"--config and {both[0].flags[0]}{origin} are contradictory: a manifest replaces all options.",
            hint="leave one of them out",
        )


def _of_manifest(file: str, request: RunRequest, here: _Here, *, long_lived: bool) -> Resolved:
    # Imported here, as below: few runs have a manifest.
    from nono.policy.export.manifest import MODES
    from nono.policy.export.no_effect import without_effect
    from nono.policy.profile.manifest_file import load_manifest

    manifest = load_manifest(file, long_lived=long_lived)
    mode, limits = manifest.beside
    request = request._replace(memory=_text(limits.memory_bytes), max_processes=_text(limits.max_processes))
    with ToldIfSlow(lambda: here.fs.looking_at):
        resolved = resolve(
            request, manifest.profile, environ=here.environ, cwd=here.cwd, fs=here.fs, uid=os.getuid()
        )
    if mode not in (None, resolved.capabilities.network):
        raise ConfigError(
            f"{file}: network.mode is '{MODES[mode]}', but the other fields make it "
            f"'{MODES[resolved.capabilities.network]}'.",
            hint="remove network.mode, or the fields that contradict it",
        )
    place = os.path.join(here.cwd, file)
    inert = without_effect(manifest.profile)
    return resolved._replace(
        warnings=(*inert, *resolved.warnings),
        insisted=(*resolved.insisted, *filter(None, (_others_could_change(place),))),
        of_paths=tuple(filter(None, (_writable(place, resolved, here.fs),))),
    )


def _text(limit: int | None) -> str | None:
    return None if limit is None else str(limit)


def command_of(invocation: Invocation, resolved: Resolved) -> tuple[tuple[str, ...], str | None]:
    """Return the program with its arguments, and a warning or None.

    Raises NonoError if there is no program.
    """
    typed, warning = invocation.command, None
    if resolved.binary is not None:
        if typed:
            warning = f"the profile's binary, {resolved.binary}, runs; the command typed is ignored."
        typed = (resolved.binary,)
    if not typed:
        raise no_command(RUN)
    return (*typed, *resolved.command_args), warning


def refuse_unrecorded(given: Given, resolved: Resolved) -> None:
    """Raise ConfigError for an option that leaves out the record the profile requires."""
    leaving_out = [flag for flag in ("no_audit", "no_audit_integrity") if given.flag(flag)]
    if resolved.audit_required and leaving_out:
        flag = f"--{leaving_out[0].replace('_', '-')}"
        raise ConfigError(
            f"{flag}: this profile requires an audit log that shows whether it is complete "
            "(security.audit_required).",
            hint=f"leave {flag} out",
        )


def refuse_turnable(option: str, path: str | None, resolved: Resolved) -> None:
    """Raise ConfigError if the command may write a link that leads to the file that an option names."""
    if path is None:
        return
    # Imported here: few runs write such a file.
    from nono.policy.files.grants import covering, leaving
    from nono.policy.host_filesystem import way_to

    *links, _ = way_to(path)
    if not links:
        return
    written = leaving(at_every_mount(resolved.capabilities.grants, HostFilesystem()))
    for link in links:
        for grant in covering(written, link):
            raise ConfigError(
                f"{option}: '{path}' is found by the link '{link}', in {grant.path}, which the command may "
                f"write (source: {grant.source}): it could have nono write to another of your files.",
                hint="name the place that it leads to",
            )


def _others_could_change(path: str) -> str | None:
    """Return a warning if another user could change a profile."""
    # Imported here: few runs have a profile in a file.
    from nono.cli.changed_by_others import changed_by_others

    reason = changed_by_others(path)
    if reason is None:
        return None
    return (
        f"somebody else could change the profile {path}, which decides what is granted and where keys go: "
        f"{reason}."
    )


def _writable(path: str, resolved: Resolved, fs: HostFilesystem) -> PathWarning | None:
    """Return a warning if the command may write a profile, or redirect a link that leads to it.

    The file decides about the next run.
    """
    grants = [*at_every_mount(resolved.capabilities.grants, fs)]
    for place in filter(None, (fs.canonical(path), *links_on_the_way(path, fs))):
        held = accesses(grants, place)
        if held is not None and held.writes:
            return PathWarning(
                place,
                f"the command may write its own profile, {place}: whatever it grants itself there holds from "
                "the next run on. Keep the profile outside the grants.",
            )
    return None


def _shared(request: RunRequest, profile: Profile | None, here: _Here, ask: Ask | None) -> Resolved:
    """Resolve the policy, including the working directory if it is offered and ask says yes."""
    try:
        with ToldIfSlow(lambda: here.fs.looking_at):
            asked = asked_for(
                request, profile, environ=here.environ, cwd=here.cwd, fs=here.fs, uid=os.getuid()
            )
            resolved = asked.policy(shares_workdir=request.allow_cwd)
    except MissingPathError as error:
        if error.is_to_be_made and is_read_only(error.path):
            error.hint = "its file system is read-only; --allow-missing goes on without it"
        raise
    if resolved.workdir_offer is None or ask is None:
        return resolved
    try:
        with_it = asked.policy(shares_workdir=True)  # first, so that nobody is asked about what must fail
    except NonoError as error:
        warning = f"the working directory cannot be shared: {error.message}"
        return resolved._replace(warnings=(*resolved.warnings, warning))
    if not ask(resolved.path_context.workdir, resolved.workdir_offer):
        return resolved
    return with_it._replace(is_workdir_agreed=True)
