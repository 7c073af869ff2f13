"""The program beside the sandbox gets the rules that the launcher applies."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from benchmarks.landlocked import FILTER, lines, plan_of, rules_of_run
from benchmarks.machine import compiled
from benchmarks.samples import CannotRunError
from nono.kernel import landlock
from nono.launch.start import own_grants
from nono.launch.state.capability_state import state_of
from nono.policy.capability import Access, Grant
from nono.policy.effective_policy import EffectivePolicy
from nono.sandbox import apply
from nono.sandbox.plan.enforcement import Enforcement, Rung
from nono.sandbox.plan.plan import SandboxPlan, draw
from support.host_facts import NATIVE, PROXIED

PORT = 4000


def plan_with(*paths: Path) -> SandboxPlan:
    grants = tuple(Grant(str(path), Access.READ, path.is_dir(), "user", str(path)) for path in paths)
    return draw(PROXIED._replace(grants=grants), NATIVE, Enforcement(Rung.NOTIFY), proxy_port=PORT)


def test_each_rule_is_one_that_the_launcher_adds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    plan = plan_with(tmp_path, tmp_path / "file", Path("/dev/null"))
    added = [f"handled {plan.handled_fs:x} {plan.handled_net:x} {plan.scoped:x} 0"]

    def add_path(_: landlock.PathRules, descriptor: int, rights: int) -> None:
        added.append(f"path {rights:x} {os.readlink(f'/proc/self/fd/{descriptor}')}")

    monkeypatch.setattr(landlock, "create_ruleset", lambda *_: os.open("/dev/null", os.O_PATH))
    monkeypatch.setattr(landlock, "restrict_self", lambda *_: None)
    monkeypatch.setattr(landlock.PathRules, "add", add_path)
    monkeypatch.setattr(
        landlock, "add_net_port", lambda _, port, right: added.append(f"port {right:x} {port}")
    )
    apply._apply_landlock(plan)
    assert [*lines(plan)] == added


def test_a_path_that_does_not_exist_has_no_rule(tmp_path: Path) -> None:
    before = [*lines(plan_with(tmp_path))]
    assert [*lines(plan_with(tmp_path, tmp_path / "missing"))] == before


def test_the_plan_of_a_run_has_the_files_that_the_run_made(tmp_path: Path) -> None:
    made, enforcement = own_grants([str(tmp_path)]), Enforcement(Rung.NOTIFY)
    rules = EffectivePolicy(PROXIED, (), (), handed_out=made)
    drawn = draw(PROXIED._replace(grants=(*PROXIED.grants, *made)), NATIVE, enforcement, proxy_port=PORT)
    assert plan_of(state_of(rules, enforcement, NATIVE.landlock_abi, lambda _: None), PORT) == drawn


def test_without_a_run_there_are_no_rules(tmp_path: Path) -> None:
    with pytest.raises(CannotRunError, match="0 runs"):
        rules_of_run({"XDG_STATE_HOME": str(tmp_path), "HOME": str(tmp_path)}, PORT)


@pytest.mark.skipif(shutil.which("cc") is None, reason="no C compiler")
@pytest.mark.skipif(landlock.abi_version() < NATIVE.landlock_abi, reason="this kernel has an older Landlock")
def test_the_program_beside_reads_what_is_granted_and_nothing_else(tmp_path: Path) -> None:
    for name in ("granted", "other"):
        (tmp_path / name).write_text(name)
    program = compiled(tmp_path / "landlock", "landlock.c")
    assert program is not None
    (tmp_path / "rules").write_text("\n".join(lines(plan_with(Path("/usr"), tmp_path / "granted"))))

    def said(name: str) -> tuple[int, str]:
        argv = [program, str(tmp_path / "rules"), "cat", str(tmp_path / name)]
        ended = subprocess.run(argv, capture_output=True, text=True, timeout=20, check=False)
        return ended.returncode, ended.stdout + ended.stderr.rpartition(": ")[2]

    assert said("granted") == (0, "granted")
    assert said("other") == (1, "Permission denied\n")


@pytest.mark.skipif(shutil.which("cc") is None, reason="no C compiler")
@pytest.mark.skipif(landlock.abi_version() < NATIVE.landlock_abi, reason="this kernel has an older Landlock")
@pytest.mark.parametrize(("more", "added"), [("", 0), (FILTER, 1)], ids=["bare", "and a filter"])
def test_the_program_beside_has_a_filter_only_where_one_is_asked_for(
    tmp_path: Path, more: str, added: int
) -> None:
    program = compiled(tmp_path / "landlock", "landlock.c")
    assert program is not None
    rules = "".join(f"{line}\n" for line in lines(plan_with(Path("/usr"), Path("/proc"))))
    (tmp_path / "rules").write_text(rules + more)
    argv = [program, str(tmp_path / "rules"), "cat", "/proc/self/status"]
    status = subprocess.run(argv, capture_output=True, text=True, timeout=20, check=True).stdout
    assert _filters(status) == _filters(Path("/proc/self/status").read_text()) + added


def _filters(status: str) -> int:
    (line,) = (line for line in status.splitlines() if line.startswith("Seccomp_filters:"))
    return int(line.split()[1])
