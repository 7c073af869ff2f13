"""Check the instruction files of a project before a run: ask about changes, refuse, remember."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

from nono import paths
from nono.amounts import several
from nono.audit import event
from nono.cli.instructions import wording
from nono.cli.instructions.loaded import Loaded, load
from nono.cli.text.session_text import one_line
from nono.errors import NonoError, in_words
from nono.launch.around.slow_lookups import ToldIfSlow
from nono.launch.session import Session
from nono.policy.files.grants import covering
from nono.policy.host_filesystem import way_to
from nono.policy.path_expansion import is_within
from nono.policy.resolve import Resolved
from nono.printable import shell_word
from nono.trust.authority import Standing
from nono.trust.disk.check import Checked, check
from nono.trust.memory import Memory
from nono.trust.policy import FILE, Enforcement
from nono.trust.verdict import Status, Verdict

Confirm = Callable[[Iterable[str], str], bool]  # shows lines, asks, and returns True only for a yes
_APPROVES = f"nono trust approve {FILE} shows it, and makes it yours"
_CHANGED_HINT = f"nono trust approve {FILE} shows what changed, and approves it"
_SLOW = "there is much to check, or its file system does not answer"


def confirm(lines: Iterable[str], question: str) -> bool:
    """Ask at the terminal before the command has it. Anything but yes means no."""
    from nono.approval import ask  # imported here: most runs ask nothing

    return ask.confirm(lines, question, is_pristine=True)


class BeforeRun:
    """The check of one run. Policies are read when it is created, the files when it is called."""

    def __init__(
        self, root: str, environ: Mapping[str, str], skipped: Sequence[str], confirm: Confirm | None
    ) -> None:
        """confirm: None if nobody can be asked. Raises NonoError for a policy that cannot be read."""
        self._environ = environ
        self._skipped = skipped
        self._confirm = confirm
        self._loaded = load(root, environ)

    @property
    def _enforcement(self) -> Enforcement:
        return self._loaded.trust.policy.enforcement

    @property
    def announced(self) -> str:
        """Say in one line what a run would check."""
        opened = ", and each time one is opened" if self._enforcement is Enforcement.DENY else ""
        return f"  instruction files: checked by trust policy ({self._enforcement}) before the run{opened}"

    def applied(self, resolved: Resolved) -> Resolved:
        """Return the run's policy, extended to check each open of a file that the trust policy denies.

        Raises NonoError if the command could write a file that decides about it.
        """
        capabilities = resolved.capabilities
        written = [grant for grant in capabilities.grants if grant.access.writes]
        for place in way_to(paths.config_dir(self._environ)):
            if any(is_within(place, denial.path) for denial in capabilities.denials):
                continue  # unless the denial was lifted
            for grant in covering(written, place):
                raise NonoError(
                    f"the command may write {grant.path}, and so nono's trust policy and keys, in {place}.",
                    hint="grant less of it; --trust-override starts without checking instruction files",
                )
        checks = self._enforcement is Enforcement.DENY and not self._is_without_policy
        return resolved._replace(capabilities=capabilities._replace(checks_instructions=checks))

    def __call__(self, session: Session) -> Checked:
        """Check the files. Raises NonoError if the run may not start, after recording why."""
        loaded = self._loaded
        for note in loaded.policies.notes:
            session.warn(one_line(note))
        self._judge_policy(session)
        for name in loaded.unknown:
            session.warn(
                one_line(f"the trust policy's publisher '{name}' has no key here; give it a public_key")
            )
        with ToldIfSlow(lambda: loaded.root, why=_SLOW):
            checked = check(loaded.root, loaded.trust, self._skipped, loaded.verify, loaded.memory.packages)
        for sentence in checked.unsearched:
            session.warn(one_line(f"instruction files: {sentence}"))
        checked = self._asked(checked)
        refused = checked.refused
        session.record(
            event.instruction_files(
                loaded.root, self._enforcement.value, loaded.standing.value, [*map(_row, checked.verdicts)],
                bool(refused),
            )
        )  # fmt: skip
        if self._enforcement is Enforcement.WARN:
            for verdict in checked.untrusted[: wording.SHOWN_MAX]:
                session.warn(one_line(f"{verdict.path}: {verdict.reason}"))
            if (more := len(checked.untrusted) - wording.SHOWN_MAX) > 0:
                session.warn(f"nono trust list names {several(more, 'more such file')}")
        if refused:
            lines = [wording.line(each, self._enforcement) for each in refused[: wording.SHOWN_MAX]]
            more = len(refused) - wording.SHOWN_MAX
            session.say([*lines, *([f"  ... and {several(more, 'more file')}"] if more > 0 else [])])
            raise NonoError(
                f"instruction files failed trust verification: {len(refused)} of {len(checked.verdicts)}.",
                hint=_approve_hint(refused),
            )
        self._remember(checked)
        session.say([f"  Instruction files: {len(checked.verdicts)} checked ({self._enforcement.value})."])
        return checked

    @property
    def _is_without_policy(self) -> bool:
        policies = self._loaded.policies
        return policies.project is None and policies.user is None

    def _judge_policy(self, session: Session) -> None:
        loaded = self._loaded
        match loaded.standing:
            case Standing.SIGNED | Standing.APPROVED | Standing.ABSENT:
                pass
            case Standing.NEW | Standing.SEEN if loaded.policies.user is not None:
                session.warn(f"the publishers in {FILE} count for nothing: {loaded.problem}; {_APPROVES}")
            case Standing.NEW:
                session.warn(f"you have not approved the project's {FILE}: {loaded.problem}; {_APPROVES}")
            case Standing.SEEN:
                pass
            case Standing.CHANGED:
                self._policy_changed(session)
            case Standing.GONE:
                self._policy_gone(session)

    def _policy_changed(self, session: Session) -> None:
        loaded, project = self._loaded, self._loaded.policies.project
        assert project is not None  # otherwise it would be gone
        if self._is_confirmed(
            [
                "",
                f"  {FILE} has changed since the last run or approval:",
                *loaded.difference(FILE, project.content),
            ],
            "  Approve it? [y/N] ",
        ):
            self._loaded = _approved(
                loaded, {FILE: project.sha256}, {project.sha256: project.content}, self._environ
            )
            return
        sentence = f"{FILE} has changed since the last run or approval, and nobody has approved that"
        if Enforcement.DENY in (loaded.memory.enforcement, self._enforcement):
            self._refuse(session, f"{sentence}.", _CHANGED_HINT)
        session.warn(f"{sentence}; {_CHANGED_HINT}")

    def _policy_gone(self, session: Session) -> None:
        loaded = self._loaded
        sentence = f"{FILE} was in {loaded.root}, and is gone."
        if self._is_confirmed(["", f"  {sentence}"], "  Go on without it? [y/N] "):
            loaded.memory_file.forget()
            return
        if loaded.memory.enforcement is Enforcement.DENY:
            self._refuse(
                session, sentence, f"put it back, or run: nono trust forget {shell_word(loaded.root)}"
            )
        session.warn(sentence)

    def _refuse(self, session: Session, message: str, hint: str) -> None:
        loaded = self._loaded
        session.record(
            event.instruction_files(loaded.root, self._enforcement.value, loaded.standing.value, [], True)
        )
        raise NonoError(message, hint=hint)

    def _is_confirmed(self, lines: Iterable[str], question: str) -> bool:
        return self._confirm is not None and self._confirm(lines, question)

    def _asked(self, checked: Checked) -> Checked:
        """Ask a person to approve what is not trusted. Returns the verdicts after that."""
        approvable = [
            each for each in checked.untrusted if each.sha256 in checked.contents and _may_approve(each)
        ]
        if not approvable or self._confirm is None or self._enforcement is Enforcement.AUDIT:
            return checked
        lines = ["", "  Instruction files that nobody has signed or approved as they are:"]
        for each in approvable:
            content = checked.contents[each.sha256 or ""]
            lines += [one_line(f"  {each.path}: {each.reason}"), *self._loaded.difference(each.path, content)]
        if not self._confirm(lines, f"  Approve {_count(len(approvable))}? [y/N] "):
            return checked
        approved = {each.path: each.sha256 or "" for each in approvable}
        contents = {digest: checked.contents[digest] for digest in approved.values()}
        self._loaded = _approved(self._loaded, approved, contents, self._environ)
        verdicts = tuple(
            each._replace(status=Status.APPROVED, reason="") if each.path in approved else each
            for each in checked.verdicts
        )
        return checked._replace(trust=self._loaded.trust, verdicts=verdicts)

    def _remember(self, checked: Checked) -> None:
        """Remember what existed, so that it cannot be removed unnoticed before the next run."""
        project = self._loaded.policies.project
        verified = {each.path for each in checked.verdicts if each.status is Status.VERIFIED}
        # A changed policy that was not approved must not become the one that the next is compared with.
        keeps = self._loaded.standing is Standing.CHANGED

        def change(memory: Memory) -> Memory:
            if project is None or keeps:
                return memory._replace(signed=memory.signed | verified)
            return memory._replace(
                policy=project.sha256, enforcement=self._enforcement, signed=memory.signed | verified
            )

        try:
            seen = {} if project is None or keeps else {project.sha256: project.content}
            self._loaded.memory_file.change(change, seen)
        except (OSError, ValueError) as error:
            raise NonoError(f"what was verified cannot be remembered: {in_words(error)}") from error


def _may_approve(verdict: Verdict) -> bool:
    return verdict.status not in (Status.BLOCKED, Status.UNREADABLE)


def _approved(
    loaded: Loaded, approved: Mapping[str, str], contents: Mapping[str, bytes], environ: Mapping[str, str]
) -> Loaded:
    """Store approvals, and return what is trusted including them."""
    try:
        loaded.memory_file.change(lambda memory: memory.approving(approved, contents), contents)
    except (OSError, ValueError) as error:
        raise NonoError(f"the approval cannot be stored: {in_words(error)}") from error
    return load(loaded.root, environ)


def _approve_hint(refused: Sequence[Verdict]) -> str:
    names = " ".join(shell_word(each.path) for each in refused if _may_approve(each))
    if not names or len(names) > 200:
        return "nono trust list says what is wrong with each"
    return f"look at them and run: nono trust approve {names}"


def _count(number: int) -> str:
    return "it" if number == 1 else f"these {number}"


def _row(verdict: Verdict) -> dict[str, str | None]:
    return {
        "path": verdict.path,
        "status": verdict.status.value,
        "sha256": verdict.sha256,
        "signer": verdict.signer,
        "reason": verdict.reason or None,
    }
