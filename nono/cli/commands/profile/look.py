"""Print profiles, groups, the schema and the guide: the actions of `nono profile` that only read."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable, Mapping

from nono import paths
from nono.cli import atomic_write
from nono.cli.shapes.printed import printed, printed_list
from nono.cli.text import profile_text
from nono.errors import ConfigError, NonoError
from nono.policy.builtin import shipped
from nono.policy.export.diff import difference
from nono.policy.export.dump import as_document
from nono.policy.files.active_groups import group_names
from nono.policy.path_expansion import PathContext
from nono.policy.profile.catalog import catalog, extends_of
from nono.policy.profile.files import user_directory
from nono.policy.profile.store import Loaded, load, own_document
from nono.policy.schema.profile import Profile
from nono.policy.suggestions import did_you_mean
from nono.printable import printable


def list_profiles(environ: Mapping[str, str], *, as_json: bool) -> int:
    listed = catalog(environ)
    if as_json:
        print(printed_list(map(profile_text.listed_json, listed)))
    else:
        print_lines(profile_text.catalog_lines(listed, user_directory(environ)))
    return 0


def show(reference: str, environ: Mapping[str, str], *, as_json: bool, raw: bool) -> int:
    if raw:
        print_json(own_document(reference, environ))
        return 0
    profile = _loaded(reference, environ)
    document = as_document(profile, extends_of(reference, environ), group_names(profile))
    if as_json:
        print(printed(document))
    else:
        print_lines(profile_text.profile_lines(document))
    return 0


def show_manifest(reference: str, environ: Mapping[str, str]) -> int:
    """Print the profile as a manifest with its paths expanded here: $WORKDIR is the current directory."""
    # Imported here: nothing else needs it.
    from nono.policy.export.manifest import manifest_of

    cwd = os.getcwd()
    print_json(
        manifest_of(
            _loaded(reference, environ), PathContext(paths.home(environ), cwd, cwd, environ, os.getuid())
        )
    )
    return 0


def diff(old: str, new: str, environ: Mapping[str, str], *, as_json: bool) -> int:
    before, after = _loaded(old, environ), _loaded(new, environ)
    compared = difference(before, after, group_names(before), group_names(after))
    if as_json:
        print(printed(compared))
    else:
        print_lines(profile_text.difference_lines(compared))
    return 0


def groups(name: str | None, environ: Mapping[str, str], *, as_json: bool, all_platforms: bool) -> int:
    known = shipped.groups()
    if name is None:
        shown = [group for group in known.values() if all_platforms or group.applies]
        if as_json:
            print(printed_list(map(profile_text.group_json, shown)))
        else:
            print_lines(profile_text.group_list_lines(shown))
        return 0
    if name not in known:
        policy = shipped.network_policy()
        elsewhere = f"nono profile hosts {name}" if name in {*policy.profiles, *policy.groups} else None
        hint = elsewhere or did_you_mean(name, known) or "nono profile groups"
        raise ConfigError(f"Unknown policy group: '{name}'", hint=hint)
    cwd = os.getcwd()
    path_context = PathContext(paths.home(environ), cwd, cwd, environ, os.getuid())
    detail = profile_text.group_detail(known[name], path_context)
    if as_json:
        print(printed(detail))
    else:
        print_lines(profile_text.group_lines(known[name], detail))
    return 0


def _loaded(reference: str, environ: Mapping[str, str]) -> Profile:
    loaded = load(reference, environ)
    warn_of_old_names(loaded)
    return loaded.profile


def warn_of_old_names(loaded: Loaded) -> None:
    """Print the warnings even with --silent: one day the profile will stop working."""
    for warning in loaded.warnings:
        print(printable(warning), file=sys.stderr)


def print_schema(output: str | None, *, silent: bool) -> int:
    # Imported here: nothing else needs it.
    from nono.policy.export.json_schema import schema

    if output is None:
        print_json(schema())
        return 0
    try:
        content = (json.dumps(schema(), indent=2) + "\n").encode()
        atomic_write.replace_name(output, content, mode=None)
    except OSError as error:
        raise NonoError(f"{output} cannot be written: {error.strerror}") from error
    if not silent:
        print(printable(f"Wrote {output}"), file=sys.stderr)
    return 0


def print_guide() -> int:
    print(shipped.profile_guide(), end="")
    return 0


def print_json(value: object) -> None:
    print(json.dumps(value, indent=2))


def print_lines(lines: Iterable[str]) -> None:
    print("\n".join(lines))
