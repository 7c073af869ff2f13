"""The check before a run, with a real project and a person who answers."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import pytest

from nono.audit.event import Event
from nono.cli.commands.trust import approving, signing
from nono.cli.instructions import before_run, wording
from nono.cli.instructions.before_run import BeforeRun
from nono.errors import NonoError
from nono.launch.around import slow_lookups
from nono.launch.session import Session
from nono.trust.disk.check import Checked, check
from nono.trust.disk.concern import user_policy
from nono.trust.disk.memory_file import MemoryFile
from nono.trust.policy import FILE, PREDICATE
from nono.trust.verdict import Status


class Stage:
    """A project with one instruction file; what was asked, warned of and recorded."""

    def __init__(self, home: Path) -> None:
        self.environ: Mapping[str, str] = {"HOME": str(home)}
        self.project = home / "project"
        self.project.mkdir()
        self.asked: list[str] = []
        self.warned: list[str] = []
        self.events: list[Event] = []
        self.write("CLAUDE.md", "be good\n")
        self.policy()

    def write(self, name: str, text: str) -> None:
        (self.project / name).write_text(text)

    def policy(self, **fields: object) -> None:
        self.write(FILE, json.dumps({"predicate": PREDICATE, "includes": ["CLAUDE.md"], **fields}))

    def approve(self, *names: str) -> None:
        memory = MemoryFile(str(self.project), self.environ)
        checked = {name: _digest(self.project / name) for name in names}
        memory.change(lambda before: before._replace(approved={**before.approved, **checked}))

    def check(self, answer: bool | None = None) -> Checked:
        """Check as a run does. answer: None if nobody can be asked."""

        def confirm(lines: Iterable[str], question: str) -> bool:
            self.asked += [*lines, question]
            return bool(answer)

        self.asked, self.warned, self.events = [], [], []
        before = BeforeRun(str(self.project), self.environ, (), None if answer is None else confirm)
        session = Session(self.environ, None, self.events.append, self.warned.append, lambda lines: None)
        return before(session)


def _digest(file: Path) -> str:
    from nono.digests import sha256

    return sha256(file.read_bytes()).hexdigest()


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    return Stage(tmp_path)


def _refused(stage: Stage, match: str, answer: bool | None = None) -> None:
    with pytest.raises(NonoError, match=match):
        stage.check(answer)
    assert [event["refused"] for event in stage.events] == [True]


def test_what_nobody_approved_is_refused(stage: Stage) -> None:
    _refused(stage, "1 of 1")
    stage.approve("CLAUDE.md")
    assert stage.check().verdicts[0].status is Status.APPROVED
    assert stage.events[0]["refused"] is False


def test_a_person_sees_the_change_they_approve(stage: Stage) -> None:
    stage.check(answer=True)
    stage.write("CLAUDE.md", "be evil\n")
    _refused(stage, "1 of 1", answer=False)
    assert {"    -be good", "    +be evil"} <= {*stage.asked}
    assert stage.check(answer=True).verdicts[0].is_trusted
    stage.check()
    assert stage.asked == []


@pytest.mark.parametrize(("enforcement", "warns"), [("warn", True), ("audit", False)])
def test_a_policy_that_does_not_deny_lets_the_run_start(stage: Stage, enforcement: str, warns: bool) -> None:
    stage.policy(enforcement=enforcement)
    stage.check()
    assert any("CLAUDE.md: nobody has signed" in each for each in stage.warned) is warns
    assert stage.events[0]["files"][0]["status"] == "unsigned"  # type: ignore[index]  # an event of our own


def test_what_is_blocked_is_refused_under_every_policy_and_asked_about_under_none(stage: Stage) -> None:
    digests = [{"sha256": _digest(stage.project / "CLAUDE.md"), "description": "planted"}]
    stage.policy(enforcement="audit", blocklist={"digests": digests})
    stage.approve("CLAUDE.md")
    _refused(stage, "1 of 1", answer=True)
    assert stage.asked == []


def test_a_policy_seen_first_is_called_the_projects_own(stage: Stage) -> None:
    stage.approve("CLAUDE.md")
    stage.check()
    assert [each for each in stage.warned if "you have not approved the project's" in each]
    stage.check()
    assert stage.warned == []


def test_a_policy_that_changed_is_approved_with_its_difference(stage: Stage) -> None:
    stage.approve("CLAUDE.md")
    stage.check()
    stage.policy(enforcement="warn")
    _refused(stage, "has changed since the last run", answer=False)
    assert any("+++ trust-policy.json" in line for line in stage.asked)
    stage.check(answer=True)
    stage.check()


def test_a_policy_that_is_gone_is_missed_until_a_person_says_so(stage: Stage) -> None:
    stage.approve("CLAUDE.md")
    stage.check()
    (stage.project / FILE).unlink()
    _refused(stage, "is gone", answer=False)
    stage.check(answer=True)
    assert MemoryFile(str(stage.project), stage.environ).read() is None


@pytest.mark.parametrize(
    "approves",
    [
        lambda environ: approving.approve([FILE], environ, is_sure=True),
        lambda environ: signing.init([], None, environ, is_user=False, replaces=True),
    ],
    ids=["approve", "init"],
)
def test_a_policy_that_was_approved_since_the_last_run_is_missed_too(
    approves: Callable[[Mapping[str, str]], int], stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(stage.project)
    assert approves(stage.environ) == 0
    (stage.project / FILE).unlink()
    _refused(stage, "is gone")


def test_a_policy_that_only_warned_is_missed_with_a_warning(stage: Stage) -> None:
    stage.policy(enforcement="warn")
    stage.check()
    (stage.project / FILE).unlink()
    stage.check()
    assert any("is gone" in each for each in stage.warned)


def test_the_policy_of_the_user_holds_in_a_project_without_one(stage: Stage) -> None:
    (stage.project / FILE).rename(stage.project / "elsewhere")
    user = Path(user_policy(stage.environ))
    user.parent.mkdir(parents=True)
    (stage.project / "elsewhere").rename(user)
    _refused(stage, "1 of 1")


@pytest.mark.parametrize(("enforcement", "is_opened"), [("deny", True), ("warn", False)])
def test_a_dry_run_says_what_would_be_checked(stage: Stage, enforcement: str, is_opened: bool) -> None:
    stage.policy(enforcement=enforcement)
    said = BeforeRun(str(stage.project), stage.environ, (), None).announced
    assert (f"({enforcement})" in said, "opened" in said) == (True, is_opened)


def test_a_damaged_memory_keeps_the_run_from_starting(stage: Stage) -> None:
    stage.approve("CLAUDE.md")
    Path(MemoryFile(str(stage.project), stage.environ).path).write_text("{}")
    with pytest.raises(NonoError, match="cannot be read"):
        stage.check()


def test_a_name_forges_no_line_of_a_warning(stage: Stage) -> None:
    name = "a\n  [nono] all is well\x1b[2K"
    (stage.project / name).symlink_to("/usr")
    (stage.project / "sub" / name).mkdir(parents=True)
    stage.write(f"sub/{name}/CLAUDE.md", "be bad")
    stage.policy(enforcement="warn")
    stage.check()
    assert sum(r"a\n  [nono] all is well\x1b[2K" in each for each in stage.warned) == 2
    assert all(each.isprintable() for each in stage.warned)


def test_what_was_never_approved_is_shown_whole(stage: Stage) -> None:
    _refused(stage, "1 of 1", answer=False)
    assert "    --- (nothing approved)" in stage.asked
    assert "    +be good" in stage.asked


def test_no_number_of_files_and_no_line_of_any_length_hides_the_rest(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wording, "SHOWN_MAX", 1)
    stage.write("CLAUDE.md", "x" * 3000)
    _refused(stage, "1 of 1", answer=False)
    assert max(map(len, stage.asked)) < 2200
    assert any(
        "1,001 more characters not shown" in line for line in stage.asked
    )  # one is the "+" of an added line
    (stage.project / "below").mkdir()
    stage.write("below/CLAUDE.md", "be good\n")
    stage.policy(enforcement="warn")
    stage.check()
    about = [each for each in stage.warned if "CLAUDE.md" in each or "nono trust list" in each]
    assert about == [
        "CLAUDE.md: nobody has signed or approved it",
        "nono trust list names 1 more such file",
    ]


@pytest.mark.parametrize("patience_s", [0.01, 60.0])
def test_a_start_that_waits_for_the_project_says_so(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], patience_s: float
) -> None:
    """A file system in the project whose server is gone held it up in silence, as signatures may."""
    said = ""

    def waiting(*arguments: Any) -> Checked:
        nonlocal said
        ends = time.monotonic() + 10
        while not said and patience_s < 1 and time.monotonic() < ends:
            said = capfd.readouterr().err
        return check(*arguments)

    monkeypatch.setattr(slow_lookups, "PATIENCE_S", patience_s)
    monkeypatch.setattr(before_run, "check", waiting)
    stage.approve("CLAUDE.md")
    stage.check()
    why = "there is much to check, or its file system does not answer"
    text = f"nono: still looking at {stage.project}: {why}\n"
    assert said + capfd.readouterr().err == (text if patience_s < 1 else "")
