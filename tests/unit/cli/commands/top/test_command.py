"""Which ports `nono top --web` and `nono flows` take for their page."""

from __future__ import annotations

from argparse import ArgumentParser

import pytest

from nono.cli.commands.report import flows
from nono.cli.commands.top import command as top
from nono.errors import UsageError


@pytest.mark.parametrize("parser", [top.parser(), flows.parser()], ids=["top", "flows"])
@pytest.mark.parametrize("text", ["65536", "0080811", "00000070000", "-1", "8081x", "٨", ""])
def test_what_is_no_port_is_refused(parser: ArgumentParser, text: str) -> None:
    with pytest.raises(UsageError, match="is not a port: a number from 1 to 65535"):
        parser.parse_args(["--port", text, *_session(parser)])


@pytest.mark.parametrize("parser", [top.parser(), flows.parser()], ids=["top", "flows"])
@pytest.mark.parametrize(("text", "port"), [("1", 1), ("08081", 8081), ("65535", 65535)])
def test_a_port_is_taken_as_it_is(parser: ArgumentParser, text: str, port: int) -> None:
    assert parser.parse_args(["--port", text, *_session(parser)]).port == port


def test_only_top_takes_any_free_port() -> None:
    assert top.parser().parse_args(["--port", "0"]).port == 0
    with pytest.raises(UsageError, match="is not a port"):
        flows.parser().parse_args(["--port", "0", "latest"])


def _session(parser: ArgumentParser) -> list[str]:
    return ["latest"] if parser.prog == "nono flows" else []
