"""`make demo`: it shows what it claims, narrow and plain, and says so when it cannot."""

from __future__ import annotations

import html
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import demo
from support.demo import stage as demo_stage
from support.demo.report import Report, short
from support.kernelsim.kernel import Kernel
from support.ordinary_user import ordinary_user

CHECKOUT = Path(demo.__file__).parents[1]
DEMO = (sys.executable, "-m", "tests.demo")
PICTURE = CHECKOUT / "docs/demo.svg"
DEMO_S = 100.0


Shown = subprocess.CompletedProcess[str]


def run_demo(directory: Path, *prefix: str) -> Shown:
    """Run the demo as whoever runs the suite; temporary files go into `directory`."""
    path = os.environ.get("PATH", os.defpath)
    return subprocess.run(
        (*prefix, *DEMO),
        env={"PATH": path, "TMPDIR": str(directory), "HOME": str(directory)},
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
        timeout=DEMO_S,
        check=False,
    )


@pytest.fixture(scope="module")
def shown() -> Shown:
    """Return the output of the demo for an ordinary user; its temporary files are gone already."""
    with ordinary_user() as user:
        shown = user.run(DEMO, cwd=CHECKOUT, timeout_s=DEMO_S)
        assert list((user.home / "tmp").iterdir()) == []
    return shown


def simulating(kernel: Kernel) -> tuple[str, ...]:
    simulator = Path(demo.__file__).with_name("support") / "kernelsim"
    return (sys.executable, str(simulator), *kernel.flags(), "--")


def test_every_claim_holds_for_an_ordinary_user(shown: Shown) -> None:
    assert shown.returncode == 0, shown.stdout + shown.stderr
    assert "claims held, 0 did not" in shown.stdout
    assert "FALSE" not in shown.stdout


def test_the_picture_in_the_readme_shows_what_it_prints(shown: Shown) -> None:
    """`make picture` renews it. Phantoms and ports are others each time."""
    drawn: dict[str, str] = {}
    for height, text in re.findall(r'<text [^>]*y="([\d.]+)"[^>]*>([^<]*)</text>', PICTURE.read_text()):
        drawn[height] = drawn.get(height, "") + html.unescape(text).replace("\xa0", " ").rstrip("\n")
    lines = {line.strip() for line in drawn.values()}
    lasting = {line for line in lines if re.match(r"\d\. |ok:|you run|nono why", line)}
    assert len(lasting) > 10
    assert lasting <= {line.strip() for line in shown.stdout.splitlines()}


def test_what_it_prints_is_narrow_and_plain(shown: Shown) -> None:
    assert [line for line in shown.stdout.splitlines() if len(line) > 80] == []
    assert shown.stdout.isascii()
    assert "\x1b" not in shown.stdout
    assert shown.stderr == ""


def test_every_claim_holds_for_whoever_runs_the_suite_where_landlock_alone_decides(tmp_path: Path) -> None:
    shown = run_demo(tmp_path, *simulating(Kernel(notify_busy=True)))
    assert shown.returncode == 0, shown.stdout + shown.stderr
    assert "refused by Landlock" in shown.stdout
    assert "ok: the kernel showed it an empty directory" in shown.stdout
    assert "claims held, 0 did not" in shown.stdout
    assert list(tmp_path.iterdir()) == []


def test_on_a_kernel_without_landlock_it_fails_with_the_reason(tmp_path: Path) -> None:
    shown = run_demo(tmp_path, *simulating(Kernel(landlock_abi=0, notify_busy=True)))
    assert shown.returncode == 1
    assert "Landlock is not available" in shown.stdout
    assert "you store" not in shown.stdout


def test_it_notices_a_nono_that_holds_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    fake = tmp_path / "nono"
    to_the_command = 'while [ $# -gt 0 ] && [ "$1" != -- ]; do shift; done'
    fake.write_text(f'#!/bin/sh\n{to_the_command}\n[ $# = 0 ] || {{ shift; "$@"; }}\n')
    fake.chmod(0o755)
    monkeypatch.setattr(demo_stage, "NONO", fake)
    assert demo.main() == 1
    shown = capsys.readouterr().out
    assert "FALSE: the kernel refused to open it" in shown
    assert "FALSE: the provider saw nothing" in shown
    assert "FALSE: the real key arrived, once" in shown


@pytest.mark.parametrize(
    ("claims", "status"),
    [([True], 0), ([True, True], 0), ([True, False], 1), ([], 1)],
    ids=["one that holds", "two that hold", "one of two that does not", "none at all"],
)
def test_only_claims_that_hold_give_status_0(claims: list[bool], status: int) -> None:
    report = Report()
    for holds in claims:
        report.claim("it does", holds)
    assert report.conclude() == status


@pytest.mark.parametrize(
    ("key", "shown"),
    [("k" * 28, "k" * 28), ("k" * 29, "k" * 28 + "... (29 characters)")],
    ids=["fits", "too long"],
)
def test_a_long_key_is_shown_short(key: str, shown: str) -> None:
    assert short(key) == shown
