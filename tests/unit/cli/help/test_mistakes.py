"""Whoever mistypes is told in one sentence what is wrong, and what helps; a suggestion never opens more."""

from __future__ import annotations

import re

import pytest

from nono.cli.args.near_options import SYNONYMS, near
from nono.cli.args.options import OPTIONS
from support.help.mistakes import answers, mistakes

TABLE = mistakes()


def test_a_mistake_is_answered_as_the_table_says() -> None:
    """`make golden` writes the answers anew; read the difference."""
    assert answers() == {each.typed: each.answer for each in TABLE}


def test_no_answer_repeats_a_secret() -> None:
    assert [each.typed for each in TABLE if "sk-secret" in each.answer] == []


def test_a_mistake_is_never_a_success() -> None:
    answered = {each.typed: each.answer.split()[0] for each in TABLE}
    assert [typed for typed, status in answered.items() if status not in ("1", "2")] == []


@pytest.mark.parametrize(
    "word", ["--no-prompt", "--allow-networks", "--bypass", "--deny-al", "--block-all", "--nett"]
)
def test_no_option_that_grants_is_offered_for_another_word(word: str) -> None:
    grants = {
        flag
        for option in OPTIONS
        for flag in option.flags
        if flag.startswith(("--allow", "--bypass", "--open"))
    }
    shown = [flag for option in OPTIONS if option.is_shown for flag in option.flags]
    offered = re.findall(r"'(--[\w-]+)'", near(word, shown, "run") or "")
    assert not grants & {*offered}


def test_an_option_that_grants_is_offered_with_what_it_grants() -> None:
    hint = near("--alow", ["--allow", "--read"], "run")
    assert hint == (
        "did you mean '--allow'? It would grant a directory, with all below it, for reading and writing."
    )


def test_an_option_that_help_hides_is_never_offered() -> None:
    for word in ("--allow-nets", "--allow-network", "--net-alow"):
        assert "--allow-net'" not in (near(word, ["--allow-domain"], "run") or "")


def test_every_synonym_leads_to_an_option_there_is() -> None:
    flags = {flag for option in OPTIONS for flag in option.flags} | {"--silent", "--path", "--all"}
    named = {meant for meant in SYNONYMS.values() if meant.startswith("--") and " " not in meant}
    assert named - flags == set()
    assert flags & {*SYNONYMS} == set()
