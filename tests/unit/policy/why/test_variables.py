"""What `nono why --env` answers, and that it is what happens."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nono.policy.environment.inheritance import EnvironmentRules, Withheld, child_environment
from nono.policy.why.variables import why_variable, why_variable_inside

NAMES = st.sampled_from(["PATH", "NPM_TOKEN", "OPENAI_API_KEY", "LD_X", "SSH_AUTH_SOCK", "URL", "PAGER"])
PATTERNS = st.lists(st.sampled_from(["*", "N*", "NPM_TOKEN", "URL", "PAGER"]), max_size=2).map(tuple)
RULES = st.builds(
    EnvironmentRules,
    allow=st.none() | PATTERNS,
    deny=PATTERNS,
    fixed=st.lists(st.tuples(NAMES, st.just("set")), max_size=1).map(tuple),
    withheld=st.frozensets(NAMES, max_size=1),
    granted=st.frozensets(NAMES, max_size=1),
    passed=st.frozensets(NAMES, max_size=1),
    services=st.just({"OPENAI_API_KEY": "openai"}),
)
VALUES = st.sampled_from(["x", "", "1", "/run/canary", "postgres://me:canary@db"])


@given(st.dictionaries(NAMES, VALUES, min_size=1), RULES, st.booleans())
def test_the_answer_is_what_the_command_gets(
    environ: dict[str, str], rules: EnvironmentRules, loads_keys: bool
) -> None:
    inside = child_environment(environ, rules)
    for name in {*environ, *inside}:
        answer = why_variable(name, environ, rules, loads_keys=loads_keys)
        assert (answer.status == "allowed") == (name in inside)
        assert "canary" not in json.dumps(answer.as_json())


@pytest.mark.parametrize(
    ("name", "rule", "fix"),
    [
        ("NPM_TOKEN", "secret_name", "--env NPM_TOKEN"),
        ("OPENAI_API_KEY", "service_key", "--credential openai"),
        ("SSH_AUTH_SOCK", "points_to_authority", '--allow-unix-socket "$SSH_AUTH_SOCK"'),
        ("LD_X", "steers_programs", None),
    ],
)
def test_a_refusal_comes_with_its_fix(name: str, rule: str, fix: str | None) -> None:
    rules = EnvironmentRules(services={"OPENAI_API_KEY": "openai"})
    answer = why_variable(name, {name: "value"}, rules, loads_keys=False)
    assert (answer.status, answer.reason, answer.suggested_flag) == ("denied", rule, fix)


def test_a_variable_that_is_not_set_is_judged_by_its_name() -> None:
    answers = [why_variable(name, {}, EnvironmentRules(), loads_keys=False) for name in ("X_TOKEN", "PLAIN")]
    assert [answer.status for answer in answers] == ["denied", "allowed"]
    assert all("not set here" in (answer.details or "") for answer in answers)


@pytest.mark.parametrize(
    ("name", "status", "reason"),
    [
        ("COPY", "denied", "loaded_key"),
        ("OPENAI_API_KEY", "allowed", "inherited"),
        ("NOWHERE", "denied", "not_set"),
    ],
)
def test_a_running_command_is_told_by_what_its_run_left_out(name: str, status: str, reason: str) -> None:
    withheld = [Withheld("COPY", "loaded_key", "it holds the key of 'svc'")]
    answer = why_variable_inside(name, {"OPENAI_API_KEY"}, withheld)
    assert (answer.status, answer.reason) == (status, reason)
