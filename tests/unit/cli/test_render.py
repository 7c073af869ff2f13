"""What a person reads before a run starts."""

from __future__ import annotations

from pathlib import Path

import pytest

from nono.cli import render
from nono.cli.parse import parse
from nono.cli.resolution import resolve_given


@pytest.mark.parametrize(
    ("argv", "lines"),
    [
        ([], []),
        (["--allow-domain", "x.example"], []),
        (
            ["--allow-domain", "https://x.example:8443/a/**", "--upstream-proxy", "Corp:3128"],
            ["    path https://x.example:8443 * /a/**", "    via  corp:3128"],
        ),
    ],
)
def test_paths_and_the_proxy_behind_are_shown(argv: list[str], lines: list[str], tmp_path: Path) -> None:
    resolved = resolve_given(parse("run", "", [*argv, "true"], {}), {"HOME": str(tmp_path)})
    assert render.routes(resolved) == lines
