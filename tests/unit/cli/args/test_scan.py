"""nono.cli.args.scan: what it reads means what argparse would have read."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nono.cli.args.options import OPTIONS, options_of
from nono.cli.args.parse import _with_argparse
from nono.cli.args.scan import scan
from nono.errors import UsageError

FLAGS = sorted({flag for option in OPTIONS for flag in (*option.flags, *option.deprecated)})
VALUES = ["", "/tmp", "a b", "x=y", "443", "0", "-", "--", "-1", "-x y", "-vv", "-a/tmp", "--=", "ls"]
WORDS = st.one_of(
    st.sampled_from([*FLAGS, "-s", "--silent"]),
    st.sampled_from(VALUES),
    st.tuples(st.sampled_from(FLAGS), st.sampled_from(VALUES)).map("=".join),
)


def known(values: dict[str, object]) -> dict[str, object]:
    """Drop argparse's entries for itself and for options that were not given."""
    dests = {option.dest for option in OPTIONS}
    return {name: value for name, value in values.items() if name in dests and value is not None}


@given(command=st.sampled_from(["run", "wrap"]), argv=st.lists(WORDS, max_size=7))
def test_what_is_read_is_what_argparse_reads(command: str, argv: list[str]) -> None:
    scanned = scan(command, argv)
    if scanned is None:
        return
    parsed = _with_argparse(command, "", argv)
    assert scanned.values == known(parsed.values)
    assert scanned.silent is parsed.silent
    without_dashes = [each.rest[1:] if each.rest[:1] == ["--"] else each.rest for each in (scanned, parsed)]
    assert without_dashes[0] == without_dashes[1]


@pytest.mark.parametrize("flag", [option.flags[0] for option in OPTIONS if not option.available])
def test_an_option_that_is_not_there_yet_is_left_to_argparse(flag: str) -> None:
    for command in ("run", "wrap"):
        if not any(flag in option.flags and option.available for option in options_of(command)):
            assert scan(command, [flag, "443", "--", "ls"]) is None


@pytest.mark.parametrize(
    "argv",
    [
        ["--help"],
        ["--no-such-option"],
        ["--allow"],
        ["--allow", "--read", "/x", "ls"],
        ["--allow=", "ls"],
        ["--name", "", "ls"],
        ["--allow-cwd=yes", "ls"],
        ["--listen-port", "65536", "ls"],
        ["-vv", "ls"],
        ["--env-credential-map", "env://A", "B", "ls"],
        ["--name", "a", "--name", "b", "ls"],
    ],
)
def test_a_mistake_and_a_rare_spelling_are_left_to_argparse(argv: list[str]) -> None:
    assert scan("run", argv) is None


def test_a_mistake_is_still_complained_about() -> None:
    with pytest.raises(UsageError, match="--no-such-option"):
        _with_argparse("run", "", ["--no-such-option", "--", "ls"])
