"""What is offered for an unknown option is like it, and not by its dashes alone."""

from __future__ import annotations

import pytest

from nono.cli.args.near_options import OF_COMMANDS, OF_RUNS, near

SHOWN = ("--ask", "--theme", "--read", "--silent", "--block-net", "-v")


@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        ("--macos", None),
        ("--asc", "--ask"),
        ("--remote", None),
        ("--them", "--theme"),
        ("--reed", "--read"),
        ("--ready-made", None),
        ("--silnt=1", "--silent"),
        ("--bloc-net", "--block-net"),
        ("--readonly", "--read"),
        ("-x", None),
    ],
)
def test_an_option_is_offered_for_its_letters(typed: str, offered: str | None) -> None:
    hint = near(typed, SHOWN, "top")
    assert (hint is None) == (offered is None)
    assert offered is None or f"did you mean '{offered}'?" in (hint or "")


@pytest.mark.parametrize("typed", sorted(OF_RUNS))
def test_what_has_two_meanings_in_a_run_is_answered_with_both(typed: str) -> None:
    """By its letters `--domain` is like --deny-domain, and `--port` is an option of nono proxy."""
    assert near(f"{typed}=a.example", ["--deny-domain", "--detach-timeout"], "run") == OF_RUNS[typed]
    assert near(typed, ["--verbose"], "why") is None


@pytest.mark.parametrize(("command", "typed"), sorted(OF_COMMANDS))
def test_what_a_command_does_without_an_option_is_said_for_that_command_only(
    command: str, typed: str
) -> None:
    assert near(typed, ["--verbose"], command) == OF_COMMANDS[command, typed]
    assert near(typed, ["--verbose"], "setup") is None
