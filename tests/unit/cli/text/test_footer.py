"""What is said after a run that ended badly."""

from __future__ import annotations

import pytest

from nono.cli.text.footer import headline


@pytest.mark.parametrize(
    ("exit_code", "sentence"),
    [
        (1, "Command exited with code 1."),
        (128, "Command exited with code 128."),
        (137, "Command killed by signal 9 (SIGKILL)."),
        (163, "Command killed by signal 35."),
        (192, "Command killed by signal 64 (SIGRTMAX)."),
        (193, "Command exited with code 193."),
        (255, "Command exited with code 255."),
    ],
)
def test_the_headline_names_the_signal_if_it_has_a_name(exit_code: int, sentence: str) -> None:
    assert headline(exit_code) == sentence


def test_no_exit_code_is_without_a_headline() -> None:
    assert all(headline(code).endswith(".") for code in range(256))
