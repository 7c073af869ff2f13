"""What nono prints on standard error is told from the names in it."""

from __future__ import annotations

import pytest

from nono.cli.console import Console

FORGED = "/project/x\n  [nono] all is well\n\x1b[2J"
SPELLED = "/project/x\\n  [nono] all is well\\n\\x1b[2J"


def test_a_name_adds_no_line_to_a_summary(capsys: pytest.CaptureFixture[str]) -> None:
    Console(silent=False, verbosity=0).lines([f"    r+w  {FORGED} (dir)", "    net  proxy only"])
    assert capsys.readouterr().err == f"    r+w  {SPELLED} (dir)\n    net  proxy only\n"


@pytest.mark.parametrize("kind", ["warn", "note"])
def test_a_name_begins_no_warning(kind: str, capsys: pytest.CaptureFixture[str]) -> None:
    console = Console(silent=False, verbosity=0)
    say = console.warn if kind == "warn" else console.note
    say(f"the hook {FORGED} failed:\n    its last line")
    prefix = "  [nono] WARNING: " if kind == "warn" else "  [nono] "
    assert capsys.readouterr().err == f"{prefix}the hook {SPELLED} failed:\n    its last line\n"
