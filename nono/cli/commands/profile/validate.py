"""`nono profile validate`: report everything wrong with a profile, without starting a run."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from posixpath import isfile, join

from nono import paths
from nono.cli.commands.profile.look import print_lines, warn_of_old_names
from nono.cli.shapes.printed import printed
from nono.cli.text.profile_report import Report, deprecations_line, labelled
from nono.credentials.run_references import check_references
from nono.errors import NonoError, ProfileError, UsageError
from nono.launch.proxy.tls_files import check_tls_files
from nono.policy.builtin import shipped
from nono.policy.capability import NetworkMode
from nono.policy.export.no_effect import without_effect
from nono.policy.host_filesystem import HostFilesystem
from nono.policy.profile.files import check_name, find, is_path
from nono.policy.profile.store import load
from nono.policy.resolve import Resolved, RunRequest, resolve
from nono.policy.schema.profile import Profile

DEPRECATED_STATUS = 2  # with --strict


def validate(
    names: Sequence[str], environ: Mapping[str, str], *, is_draft: bool, as_json: bool, strict: bool
) -> int:
    if as_json and len(names) > 1:
        raise UsageError("--json takes one profile.", hint="nono profile validate --json PROFILE, for each")
    reports = []
    for name in names:
        report = _report(_reference(name, environ, is_draft=is_draft), environ)
        reports.append(report)
        if as_json:
            print(printed(report.as_json()))
        else:
            print_lines([*([f"{name}:"] if len(names) > 1 else ()), *report.lines()])
        sys.stdout.flush()
    deprecated = sum(report.deprecated_keys for report in reports)
    if deprecated:
        print(deprecations_line(deprecated), file=sys.stderr)
    if not all(report.is_valid for report in reports):
        raise NonoError("validation failed")
    return DEPRECATED_STATUS if strict and deprecated else 0


def _reference(name: str, environ: Mapping[str, str], *, is_draft: bool) -> str:
    """Return the path of the draft, or of a file called name; otherwise name itself, to be looked up."""
    if is_draft:
        check_name(name)
        return join(paths.config_dir(environ), "profile-drafts", f"{name}.json")
    return f"./{name}" if not is_path(name) and isfile(name) else name


def _report(reference: str, environ: Mapping[str, str]) -> Report:
    raw, file = None, reference
    try:
        found = find(reference, environ)
        raw, file = found.raw, found.file or f"built-in {reference}"
        loaded = load(reference, environ)
    except ProfileError as error:
        return Report(file, errors=labelled(error, raw, file))
    warn_of_old_names(loaded)
    profile = loaded.profile
    known = shipped.groups()
    good = ["the file, and what it extends, have no mistake"]
    warnings = [
        f"groups.exclude: no group is called '{name}'" for name in profile.groups.exclude if name not in known
    ]
    errors = []
    try:
        resolved = _checked(RunRequest(), profile, environ)
    except NonoError as error:
        errors.append(f"a run with it is refused here: {error.message}")
    else:
        good.append("its paths, hosts and credentials fit together")
        warnings += (f"{path}: not there, so nothing is granted" for path in resolved.skipped)
        warnings += (*resolved.warnings, *resolved.insisted)
        warnings += _about_others(profile, resolved, environ)
    warnings += without_effect(profile)
    return Report(file, tuple(good), tuple(dict.fromkeys(warnings)), tuple(errors), len(loaded.warnings))


def _checked(request: RunRequest, profile: Profile, environ: Mapping[str, str]) -> Resolved:
    """Resolve a run, as far as it goes without reading a credential. Raises NonoError, as the run would."""
    resolved = resolve(request, profile, environ=environ, cwd=os.getcwd(), fs=HostFilesystem())
    check_references(resolved)
    for service in resolved.services:
        check_tls_files(service)
    if resolved.mcp_servers:
        # Imported here: few profiles have one.
        from nono.launch.mcp.check import beside_servers

        beside_servers(resolved, environ)
    return resolved


def _about_others(profile: Profile, resolved: Resolved, environ: Mapping[str, str]) -> Iterator[str]:
    """Yield what is wrong with services that the profile describes, and that --credential alone asks for."""
    if resolved.capabilities.network is NetworkMode.BLOCKED:
        return
    asked = {service.name for service in resolved.services}
    for name in profile.network.custom_credentials:
        if name not in asked:
            try:
                _checked(RunRequest(credential=(name,)), profile, environ)
            except NonoError as error:
                yield f"a run with --credential {name} is refused here: {error.message}"
