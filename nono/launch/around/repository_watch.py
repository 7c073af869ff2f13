"""Report changes by a run in a git repository that change which programs git runs outside the sandbox."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from posixpath import basename, dirname, join, normpath

from nono.audit import event
from nono.audit.event import Event, RepositoryChange
from nono.launch.around.repository_state import Hook, Seen
from nono.named_tuple import NamedTuple
from nono.policy.git.repository import Repository, led_to
from nono.printable import enumerated, shell_word

NAMES_MAX = 50  # a command can create any number of hooks
ALIKE_MAX = 20  # changes of one kind that are told; a command can have settings include 100 000 files

_SENTENCES: dict[RepositoryChange, str] = {
    "hooks": "this run changed hooks in {path}, which git runs outside as well: {names}",
    "settings": "this run set {names} in {path}: git outside runs what it names",
    "removed_hooks": "this run removed or disabled hooks in {path}; git outside no longer runs {names}",
    "removed_settings": "this run removed {names} from {path}: git outside no longer runs what it named",
    "steps": "this run left a rebase or cherry-pick in {path} that runs these commands outside: {names}",
    "exposed": "this run set {names} in {path}: by it git outside may trust another machine"
    " or give away a password",
    "rerouted": "this run set or removed {names} in {path}: git outside may push to another place than before"
    ", or fetch from one",
    "worktree": "by what this run set in {path}, git outside writes files of the repository to {names}",
    "redirected": "this run made {path} lead git to another repository, whose hooks git runs outside",
    "unreadable": "after this run nono cannot tell what git outside runs by {path}: look at it",
}


class Change(NamedTuple):
    """A file of a repository, or a directory of hooks, by which git now runs something else."""

    path: str
    what: RepositoryChange
    names: tuple[str, ...] = ()  # of settings or hooks

    @property
    def sentence(self) -> str:
        shown = enumerated(self.names, NAMES_MAX, shell_word)
        return _SENTENCES[self.what].format(path=shell_word(self.path), names=shown)

    @property
    def event(self) -> Event:
        return event.repository_changed(self.path, self.what, self.names[:NAMES_MAX], len(self.names))


def changes(repository: Repository, before: Seen, after: Seen) -> Iterator[Change]:
    """Yield each file and directory that makes git run something else than before.

    after: Looked at with `before`.
    """
    unread = [path for path, inode in after.unread.items() if before.unread.get(path) != inode]
    yield from (Change(path, "unreadable") for path in unread)
    for path, text in after.pointers.items():
        if before.pointers.get(path) != text and led_to(path, text) not in after.places:
            yield Change(path, "redirected")
    for path, commands in after.steps.items():
        if new := Counter(commands) - Counter(before.steps.get(path, ())):
            yield Change(path, "steps", tuple(new))
    for path, text in after.settings.items():
        was = before.settings.get(path, "")
        if was != text:
            away = _led_away(path, text, repository, after) - _led_away(path, was, repository, before)
            if away:
                yield Change(path, "worktree", tuple(sorted(away)))
    # Where something was not read, what is missing may only be out of sight.
    for path in after.settings if unread else dict.fromkeys((*before.settings, *after.settings)):
        # A repository has settings of its own; what is included, or belongs to a worktree, adds to others.
        is_own = basename(path) == "config" and dirname(path) in after.places
        around = () if is_own else before.settings.values()
        yield from _of_settings(path, before.settings.get(path, ""), after.settings.get(path, ""), around)
    for path in after.hooks if unread else dict.fromkeys((*before.hooks, *after.hooks)):
        yield from _of_hooks(path, before.hooks.get(path, {}), after.hooks.get(path, {}))


def cut(found: Iterable[Change], place: str) -> Iterator[Change]:
    """Yield the first changes of each kind, and one of `place` for the rest. No number hides another kind."""
    counts = Counter[RepositoryChange]()
    for change in found:
        counts[change.what] += 1
        if counts[change.what] <= ALIKE_MAX:
            yield change
    if any(count > ALIKE_MAX for count in counts.values()):
        yield Change(place, "unreadable")


def _led_away(path: str, text: str, repository: Repository, seen: Seen) -> set[str]:
    """Return the directories to which git writes what the repository holds, by a file of settings.

    They are working trees, but for those that name the repository too: a checkout outside writes there, over
    ~/.bashrc for one. A submodule's tree has a pointer back. `git format-patch` writes to the others: a shell
    that reads every file in ~/.bashrc.d runs the message of a commit, if its author is called `#`.
    """
    lower = text.lower()
    if "worktree" not in lower and "outputdirectory" not in lower:
        return set()
    # Imported here, as below: most runs change nothing.
    from nono.policy.git.settings import paths_of

    directory = dirname(path)
    places = {normpath(join(directory, each)) for each in paths_of(text, "core", "worktree")}
    trees = {
        place
        for place in places - {repository.top}
        if led_to(own := join(place, ".git"), seen.pointers.get(own, "")) != directory
    }
    patches = filter(None, paths_of(text, "format", "outputdirectory"))
    return trees | {normpath(join(repository.top, each)) for each in patches}


def _of_settings(path: str, before: str, after: str, around: Iterable[str]) -> Iterator[Change]:
    if before == after:
        return
    from nono.policy.git.addresses import rerouted
    from nono.policy.git.settings import newly_exposing, newly_run, no_longer_run

    if runs := newly_run(before, after):
        yield Change(path, "settings", runs)
    if names := tuple(each for each in rerouted(before, after, around) if each not in runs):
        yield Change(path, "rerouted", names)
    if names := newly_exposing(before, after):
        yield Change(path, "exposed", names)
    if names := no_longer_run(before, after):
        yield Change(path, "removed_settings", names)


def _of_hooks(path: str, before: dict[str, Hook], after: dict[str, Hook]) -> Iterator[Change]:
    gone = {name for name, hook in before.items() if hook.does_something and not _does(after.get(name))}
    if changed := {name for name, hook in after.items() if before.get(name) != hook} - gone:
        yield Change(path, "hooks", tuple(sorted(changed)))
    if gone:
        yield Change(path, "removed_hooks", tuple(sorted(gone)))


def _does(hook: Hook | None) -> bool:
    return hook is not None and hook.does_something
