"""What the child inherits."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nono.policy.environment import EnvironmentRules, check_fixed_name, check_pattern, child_environment

KEPT = {"PATH": "/bin", "LANG": "C"}


@pytest.mark.parametrize(
    "name",
    [
        *(
            "LD_PRELOAD",
            "ld_preload",
            "DYLD_X",
            "BASH_FUNC_x%%",
            "BASH_ENV",
            "PYTHONPATH",
            "NODE_OPTIONS",
            "IFS",
        ),
        *("GIT_SSH_COMMAND", "GIT_CONFIG_COUNT", "SHELLOPTS", "OP_SESSION_x", "NONO_CAP_FILE", "GCONV_PATH"),
    ],
)
def test_what_steers_programs_is_dropped_even_when_it_is_allowed(name: str) -> None:
    rules = EnvironmentRules(allow=("*", name))
    assert child_environment({**KEPT, name: "x"}, rules) == KEPT


@pytest.mark.parametrize("name", ["AWS_SECRET_ACCESS_KEY", "SSH_AUTH_SOCK", "EDITOR", "NODE_EXTRA_CA_CERTS"])
def test_secrets_and_agents_of_the_host_pass_by_exact_name_only(name: str) -> None:
    inherited = {name: "x"}
    assert child_environment(inherited, EnvironmentRules()) == {}
    assert child_environment(inherited, EnvironmentRules(allow=("*",))) == {}
    assert child_environment(inherited, EnvironmentRules(allow=(name,))) == inherited


def test_a_key_with_a_phantom_is_withheld_even_when_it_is_allowed() -> None:
    inherited = {"OPENAI_API_KEY": "real", "OPENAI_ORG": "x"}
    rules = EnvironmentRules(allow=("OPENAI*",), withheld=frozenset({"OPENAI_API_KEY"}))
    assert child_environment(inherited, rules) == {"OPENAI_ORG": "x"}


@pytest.mark.parametrize(
    ("allow", "deny", "kept"),
    [
        pytest.param(None, (), {"A", "AB", "B"}, id="absent allows all"),
        pytest.param((), (), set(), id="empty allows none"),
        pytest.param(("A",), (), {"A"}, id="exact"),
        pytest.param(("A*",), (), {"A", "AB"}, id="prefix"),
        pytest.param(("*",), (), {"A", "AB", "B"}, id="star"),
        pytest.param(("A*",), ("AB",), {"A"}, id="deny beats allow"),
        pytest.param(None, ("A*",), {"B"}, id="deny prefix"),
    ],
)
def test_patterns_decide_what_passes(
    allow: tuple[str, ...] | None, deny: tuple[str, ...], kept: set[str]
) -> None:
    inherited = {"A": "1", "AB": "2", "B": "3"}
    assert set(child_environment(inherited, EnvironmentRules(allow, deny))) == kept


def test_what_is_not_utf8_is_dropped() -> None:
    assert child_environment({"A": "\udcff", "\udcff": "b", "C": "\u00e9"}, EnvironmentRules()) == {
        "C": "\u00e9"
    }


def test_fixed_values_win_over_inherited_ones() -> None:
    assert child_environment({"A": "1"}, EnvironmentRules(fixed=(("A", "2"),))) == {"A": "2"}


@pytest.mark.parametrize("pattern", ["A*B", "*X", "A**", "", "A=B"])
def test_a_bad_pattern_is_an_error(pattern: str) -> None:
    with pytest.raises(ValueError, match="Invalid pattern"):
        check_pattern(pattern)


@pytest.mark.parametrize("pattern", ["A", "A*", "*"])
def test_a_good_pattern_passes(pattern: str) -> None:
    check_pattern(pattern)


@pytest.mark.parametrize("name", ["PATH", "NONO_X", "1A", "A-B", "", "A=B", "A\n"])
def test_set_vars_refuses_a_reserved_or_malformed_name(name: str) -> None:
    with pytest.raises(ValueError, match="Invalid set_vars key"):
        check_fixed_name(name)


def test_set_vars_may_set_what_is_never_inherited() -> None:
    check_fixed_name("LD_PRELOAD")


VARIABLES = st.dictionaries(st.sampled_from(["A", "AB", "B", "LD_X"]), st.just("v"))
PATTERNS = st.lists(st.sampled_from(["A", "A*", "B", "*"]), max_size=3).map(tuple)


@given(VARIABLES, PATTERNS, PATTERNS, PATTERNS)
def test_adding_a_deny_pattern_never_lets_more_through(
    inherited: dict[str, str], allow: tuple[str, ...], deny: tuple[str, ...], more: tuple[str, ...]
) -> None:
    before = child_environment(inherited, EnvironmentRules(allow, deny))
    after = child_environment(inherited, EnvironmentRules(allow, deny + more))
    assert after.items() <= before.items() <= inherited.items()
