"""Grant what git needs: the repository of the working directory, and what the person's settings name."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from nono.policy.capability import Access, Grant
from nono.policy.files.denials import DenyRules
from nono.policy.files.grants import accesses
from nono.policy.files.links import flag_for, links_on_the_way
from nono.policy.git.person_settings import named_by
from nono.policy.git.repository import Repository
from nono.policy.git.settings_keys import line_with_key
from nono.policy.git.settings_reach import SettingsReach
from nono.policy.path_expansion import Filesystem, PathContext, is_within

_SETTINGS = "group:git_config"


def named_by_settings(
    grants: Sequence[Grant],
    rules: DenyRules,
    path_context: PathContext,
    fs: Filesystem,
    warnings: list[str],
) -> Iterator[Grant]:
    """Yield grants to read what the granted settings of the person name, and is not denied.

    What the command may write is not read: it would choose what the next run reads. What another run may have
    written names nothing far from where it lies; a warning says so.
    """
    writing = [grant for grant in grants if grant.access.writes]

    def is_trusted(path: str) -> bool:
        return accesses(writing, path) is None and rules.covering(path) is None

    settings = [grant.original for grant in grants if grant.source == _SETTINGS]
    doubt = SettingsReach(path_context.home, fs, lambda path: links_on_the_way(path, fs)).doubt
    for named in named_by(settings, path_context.home, fs, is_trusted, doubt):
        grant = Grant(named.path, Access.READ, named.is_dir, _SETTINGS, named.original)
        if named.doubt is None:
            yield grant
        elif accesses(grants, named.path) is None:
            warnings.append(
                f"'{named.original}' is not granted ({_SETTINGS}): '{named.doubt}' leads to it, and a "
                f"command could have written that in another run. If it is yours: {flag_for(grant)}"
            )


def keys_in_settings(grants: Sequence[Grant], fs: Filesystem) -> Iterator[str]:
    """Yield a warning for each granted file of the person's settings that seems to hold a key."""
    for grant in grants:
        text = fs.text(grant.path) if grant.source == _SETTINGS and not grant.is_dir else None
        line = line_with_key(text) if text else None
        if line is not None:
            yield (
                f"Line {line} of {grant.original} seems to hold a key, and the command can read it: git does "
                "not run without its settings. Keep the key in a credential helper (gitcredentials(7))."
            )


def repository_grants(
    repository: Repository, workdir: str, grants: Sequence[Grant], rules: DenyRules
) -> Iterator[Grant]:
    """Yield the working directory's access to its repository, if that lies outside and nothing denies it."""
    held, path = accesses(grants, workdir), repository.directory
    if held is None:
        return
    known = accesses(grants, path)
    if known is not None and known.covers(held):
        return
    if rules.covering(path) is None and not any(is_within(each.path, path) for each in rules.denials):
        yield Grant(path, held, True, "user", path)


def changeable(repository: Repository | None, grants: Sequence[Grant]) -> Repository | None:
    """Return the repository if its settings can be changed."""
    writing = [grant for grant in grants if grant.access.writes]
    return repository if repository and accesses(writing, repository.directory) is not None else None


def kept_hooks(
    repository: Repository | None, grants: Sequence[Grant], rules: DenyRules, fs: Filesystem
) -> str | None:
    """Return the hooks directory that a grant covers incidentally; None if a grant names it or its contents.

    git runs hooks outside the sandbox too. Denied hooks have a mask.
    """
    if repository is None:
        return None
    hooks = repository.hooks
    entry, writing = fs.entry(hooks), [grant for grant in grants if grant.access.writes]
    if entry is None or entry.kind != "dir" or accesses(writing, hooks) is None:
        return None
    is_named = any(grant.is_users and is_within(grant.path, hooks) for grant in writing)
    is_denied = rules.covering(hooks) or any(is_within(each.path, hooks) for each in rules.denials)
    return None if is_named or is_denied else hooks
