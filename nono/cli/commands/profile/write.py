"""Write a user's profile, either a new one or a promoted draft, for `nono profile`."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping, Sequence
from hashlib import sha256
from posixpath import exists, join
from secrets import token_hex

from nono import paths
from nono.cli import atomic_write
from nono.cli.console import agrees
from nono.cli.text import profile_text
from nono.errors import NonoError, ProfileError
from nono.named_tuple import NamedTuple
from nono.policy.builtin import shipped
from nono.policy.export.diff import difference
from nono.policy.export.skeleton import skeleton
from nono.policy.files.active_groups import group_names, groups_in_force
from nono.policy.profile.catalog import file_of
from nono.policy.profile.files import check_name, check_new_name, read_file, user_directory
from nono.policy.profile.store import load_profile
from nono.policy.suggestions import did_you_mean
from nono.printable import printable, shell_word


class Wish(NamedTuple):
    """A request for a new profile."""

    name: str
    extends: Sequence[str]
    description: str | None
    groups: Sequence[str]
    full: bool
    output: str | None  # None: the user's directory
    force: bool
    silent: bool


def init(wish: Wish, environ: Mapping[str, str]) -> int:
    _check_wish(wish, environ)
    path = wish.output or join(user_directory(environ), f"{wish.name}.json")
    taken = path if wish.output else file_of(wish.name, environ)
    if taken is not None and exists(taken) and not wish.force:
        raise NonoError(f"Profile file already exists: {taken}", hint="Use --force to overwrite")
    if wish.force and taken is not None:
        path = taken  # NAME.jsonc would be read before NAME.json
    document = skeleton(wish.name, wish.extends, wish.description, wish.groups, full=wish.full)
    content = (json.dumps(document, indent=2) + "\n").encode()
    try:
        if wish.force and wish.output:
            atomic_write.replace_name(path, content, mode=None)
        elif wish.force:
            atomic_write.replace(path, content)
        else:
            atomic_write.create(path, content)
    except OSError as error:
        raise NonoError(f"Failed to write config to {path}: {error.strerror}") from error
    reference = wish.name if wish.output is None else path
    for line in (
        ()
        if wish.silent
        else (
            f"Created {path}",
            f"Validate with: nono profile validate {shell_word(reference)}",
            "For completion in an editor: nono profile schema -o FILE, and FILE as",
            'the "$schema" of the profile.',
        )
    ):
        print(printable(line), file=sys.stderr)
    return 0


def _check_wish(wish: Wish, environ: Mapping[str, str]) -> None:
    if wish.name in shipped.profile_names():
        raise ProfileError(
            f"'{wish.name}' is a built-in profile; yours needs a name of its own.",
            hint=f"Try: nono profile init {wish.name}-local --extends {wish.name}",
        )
    if "/" in wish.name:
        raise ProfileError(
            f"'{wish.name}' refers to the registry; a profile of yours has a name without a slash.",
            hint=f"Try: nono profile init {wish.name.partition('@')[0].rpartition('/')[2]}-local",
        )
    check_new_name(wish.name)
    for base in wish.extends:
        check_name(base)
        load_profile(base, environ)
    known = shipped.groups()
    for group in wish.groups:
        if group not in known:
            raise NonoError(
                f"Unknown security group '{group}'. Use `nono profile groups` to list them.",
                hint=did_you_mean(group, known),
            )


def promote(name: str, environ: Mapping[str, str], *, only_diff: bool, yes: bool, silent: bool) -> int:
    """Replace the user's profile of that name with its draft."""
    check_name(name)
    if name in shipped.profile_names():
        raise ProfileError(f"'{name}' is a built-in profile; a draft may not take its place.")
    draft = join(paths.config_dir(environ), "profile-drafts", f"{name}.json")
    target = file_of(name, environ) or join(user_directory(environ), f"{name}.json")
    if not exists(draft):
        raise ProfileError(f"Profile not found: there is no draft {draft}")
    content = read_file(draft)
    _check_base(name, target, f"{draft.removesuffix('.json')}.base")
    # A copy of the content is judged and then written from memory, so later changes to the draft have no
    # effect.
    judged = f"{target}.{token_hex(8)}.json"
    try:
        atomic_write.create(judged, content)
        lines = _judge(name, judged, exists(target), environ)
    except ProfileError as error:
        raise ProfileError(error.message.replace(judged, draft), hint=error.hint) from error
    except OSError as error:
        raise NonoError(f"Failed to write config to {target}: {error.strerror}") from error
    finally:
        _remove(judged)
    for line in lines:
        print(line)
    if only_diff:
        return 0
    if not yes and not _confirmed():
        return 1
    _check_base(name, target, f"{draft.removesuffix('.json')}.base")
    atomic_write.replace(target, content)
    for path in (draft, f"{draft.removesuffix('.json')}.base"):
        _remove(path)
    if not silent:
        print(printable(f"Promoted to {target}"), file=sys.stderr)
    return 0


def _judge(name: str, file: str, has_old: bool, environ: Mapping[str, str]) -> list[str]:
    """Return the changes as lines. Raises ProfileError if the draft is not a valid profile of that name."""
    new = load_profile(file, environ)
    if new.meta.name != name:
        raise ProfileError(f"the draft says that its meta.name is '{new.meta.name}', not '{name}'.")
    groups_in_force(new)
    old = load_profile(name if has_old else "default", environ)
    title = f"Changes to {name}:" if has_old else f"{name}, compared with default:"
    return [title, *profile_text.difference_lines(difference(old, new, group_names(old), group_names(new)))]


def _check_base(name: str, target: str, base: str) -> None:
    """Raise ProfileError if the user's profile has changed since the draft was made from it."""
    if not exists(target):
        return
    current, hashed = read_file(target), read_file(base) if exists(base) else b""
    if hashed.strip().lower() != sha256(current).hexdigest().encode():
        raise ProfileError(
            f"the profile '{name}' has changed since its draft was made.",
            hint=f"look at both, and remove {base.removesuffix('.base')}.json or make the draft anew",
        )


def _confirmed() -> bool:
    if not sys.stdin.isatty():
        raise NonoError(
            "nobody can be asked here, so nothing was promoted.", hint="--yes promotes it; --diff shows it"
        )
    return agrees("Promote this draft?")


def _remove(path: str) -> None:
    try:
        os.unlink(path)
    except FileNotFoundError:
        return
