"""nono.policy.why.lacking.search_paths: variables that a failed command would have read."""

from __future__ import annotations

import pytest

from nono.policy.why.lacking.search_paths import withheld_search_paths

SET = {"PYTHONPATH": "/p", "PERL5LIB": "/l", "RUBYLIB": "", "LD_LIBRARY_PATH": "/x", "NODE_OPTIONS": "-r /x"}


@pytest.mark.parametrize(
    ("command", "exit_code", "named"),
    [
        pytest.param(["python3", "-m", "app"], 1, ["PYTHONPATH"], id="of its program"),
        pytest.param(["sh", "-c", "perl a.pl && pytest"], 2, ["PYTHONPATH", "PERL5LIB"], id="in a script"),
        pytest.param(["make"], 2, [], id="of no program that is named"),
        pytest.param(["ruby", "a.rb"], 1, [], id="empty"),
        pytest.param(["node", "a.js"], 1, [], id="no search path"),
        pytest.param(["env", "PYTHONPATH=/q", "python3"], 1, [], id="set in the command"),
        pytest.param(["tool"], 127, ["LD_LIBRARY_PATH"], id="a library is not found"),
        pytest.param(["tool"], 126, [], id="the library is found"),
    ],
)
def test_a_search_path_is_named_where_a_program_would_read_it(
    command: list[str], exit_code: int, named: list[str]
) -> None:
    assert withheld_search_paths(command, exit_code, SET, ()) == named


def test_a_search_path_that_the_run_sets_is_not_named() -> None:
    assert withheld_search_paths(["python3"], 1, SET, ["PYTHONPATH"]) == []
