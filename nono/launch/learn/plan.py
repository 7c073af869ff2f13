"""Draw up the policy of a watched run: its own grants, plus everything that holds nothing sensitive."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator

from nono.named_tuple import NamedTuple
from nono.policy.builtin import shipped
from nono.policy.capability import Access, Grant
from nono.policy.effective_policy import effective_policy_of
from nono.policy.environment.inheritance import child_environment, not_inherited
from nono.policy.files.denials import DenyRules, group_denials
from nono.policy.files.grants import united
from nono.policy.files.links import links_on_the_way
from nono.policy.files.own_state import own_state
from nono.policy.host_filesystem import HostFilesystem
from nono.policy.learning.generalise import Bounds, includable
from nono.policy.learning.keys import inherited_secrets, withheld_variables
from nono.policy.learning.observation import Observation
from nono.policy.learning.scope import (
    SOURCE,
    SYSTEM,
    home_roots,
    is_secret_name,
    too_wide,
    without_holes,
)
from nono.policy.path_expansion import Filesystem, PathContext, canonical_as_far, is_within
from nono.policy.resolve import Resolved
from nono.sandbox.plan.private_view import DIRECTORIES

SEARCHED_MAX = 100_000  # entries of the home directory whose names are checked
SEARCHED_DEPTH = 3  # directories below it
# Directories where services keep settings that only they and root may read, and the depth to search.
SETTINGS = (("/etc", 16), ("/usr/local/etc", 16), ("/opt", 3))
NO_SETTINGS = ("/sys/fs", "/sys/kernel")  # they hold state, not settings: control groups, traces
BY_NAME, BY_MODE = "by its name", "not everybody may read it"
READABLE_BY_ALL = {True: stat.S_IROTH | stat.S_IXOTH, False: stat.S_IROTH}  # directories, files


class LearnPlan(NamedTuple):
    """The plan of one watched run."""

    resolved: Resolved  # the policy of the run
    base: Resolved  # the policy of the starting profile alone
    observation: Observation
    bounds: Bounds
    groups: tuple[shipped.Group, ...]  # groups the learned profile may include
    watched: tuple[Grant, ...]  # file grants beyond those asked for
    kept_out: tuple[str, ...]  # paths the command may not use
    wide: frozenset[str]  # directories that no profile should grant
    inherited: tuple[str, ...]  # variables the command inherits that seem to hold secrets


def plan_learning(base: Resolved, asked: Resolved, fs: HostFilesystem) -> LearnPlan:
    """Plan a watched run.

    base: the policy of the profile alone.
    asked: the policy of profile and flags, resolved with RunRequest.learns.
    """
    path_context = asked.path_context
    rules = asked.deny_rules
    known = shipped.groups().values()
    # A group that the profile excludes is excluded from the profile's grants, not from what is tried here.
    sensitive = (
        *rules.denials,
        *group_denials((group for group in known if group.applies), path_context, fs),
    )
    private = dict(_private(path_context, fs))
    deny_rules = DenyRules(tuple(dict.fromkeys(sensitive)), rules.bypassed)
    roots = own_state(path_context.environ, fs).paths
    keys = [canonical_as_far(file, fs) for service in asked.services for file in service.source_files]
    wide = too_wide(path_context, fs)
    holes = [*NO_SETTINGS, *(denial.path for denial in deny_rules.denials), *private, *roots, *keys]
    system = [canonical for path in SYSTEM if (canonical := fs.canonical(path)) is not None]
    watched = without_holes([*home_roots(path_context, fs), *system], holes, wide, fs)
    temporary = canonical_as_far(path_context.tmpdir, fs)
    home = canonical_as_far(path_context.home, fs)
    # Behind links, only the grants decide.
    is_plain = fs.kind(temporary) == "dir" and not any(links_on_the_way(path_context.tmpdir, fs))
    if is_plain and not any(is_within(path, temporary) for path in (home, *holes)):
        watched = (*watched, Grant(temporary, Access.READWRITE, True, SOURCE, temporary))
    resolved = _watched_policy(asked, watched, deny_rules)
    workdir = canonical_as_far(path_context.workdir, fs)
    observation = Observation(
        granted=effective_policy_of(base, fs).files,
        in_workdir=(workdir, effective_policy_of(_without_private(base), fs).files),
        allowed=effective_policy_of(resolved, fs).files,
        whole=[path for path in (workdir, temporary) if _is_granted(path, resolved.capabilities.grants)],
        ports=asked.capabilities.ports,
        private=private,
    )
    directories = tuple(grant for grant in (*watched, *asked.capabilities.grants) if grant.is_dir)
    bounds = Bounds(directories, home, workdir, temporary, deny_rules)
    groups = includable(known, wide, deny_rules, path_context, fs)
    kept_out = tuple({*(denial.path for denial in deny_rules.denials), *private})
    inherited = inherited_secrets(child_environment(path_context.environ, resolved.environment))
    return LearnPlan(resolved, base, observation, bounds, groups, watched, kept_out, wide, inherited)


def _watched_policy(asked: Resolved, watched: Iterable[Grant], deny_rules: DenyRules) -> Resolved:
    """Return the policy of the run, which also grants what is `watched`, without variables that hold keys."""
    environment = asked.environment._replace(withheld=asked.environment.withheld | withheld_variables())
    grants = united((*asked.capabilities.grants, *watched))
    return asked._replace(
        capabilities=asked.capabilities._replace(grants=grants),
        deny_rules=deny_rules,
        environment=environment,
        withheld=not_inherited(asked.path_context.environ, environment),
        scopes=(),  # intercept every host, to learn paths outside the scopes
    )


def _without_private(base: Resolved) -> Resolved:
    """Return the policy without what groups grant of directories that a run has of its own, such as /tmp.

    A working directory below one shows through with its own grant alone.
    """
    grants = [each for each in base.capabilities.grants if each.is_users or each.path not in DIRECTORIES]
    return base._replace(capabilities=base.capabilities._replace(grants=tuple(grants)))


def _is_granted(path: str, grants: Iterable[Grant]) -> bool:
    return any(grant.path == path and grant.is_dir for grant in grants)


def _private(path_context: PathContext, fs: Filesystem) -> Iterator[tuple[str, str]]:
    """Yield secret-looking paths that no deny group names, each with its reason.

    In the home directory the name decides (BY_NAME), in SETTINGS the mode (BY_MODE).
    """
    left = SEARCHED_MAX
    for root in home_roots(path_context, fs):
        for entry in _entries(root, SEARCHED_DEPTH):
            left -= 1
            if is_secret_name(entry.name) and not entry.is_symlink():
                yield entry.path, BY_NAME
            if left == 0:
                return
        if is_secret_name(os.path.basename(root)):
            yield root, BY_NAME
    for directory, depth in SETTINGS:
        for entry in _entries(directory, depth):
            if not entry.is_symlink() and not _is_readable_by_all(entry):
                yield entry.path, BY_MODE


def _entries(directory: str, depth: int) -> Iterator[os.DirEntry[str]]:
    """Yield the entries of a directory, depth levels down. Skips unreadable ones and follows no links."""
    try:
        with os.scandir(directory) as entries:
            for entry in entries:
                yield entry
                if depth > 1 and entry.is_dir(follow_symlinks=False):
                    yield from _entries(entry.path, depth - 1)
    except OSError:
        return


def _is_readable_by_all(entry: os.DirEntry[str]) -> bool:
    try:
        found = entry.stat(follow_symlinks=False)
    except OSError:
        return False
    wanted = READABLE_BY_ALL[stat.S_ISDIR(found.st_mode)]
    return found.st_mode & wanted == wanted
