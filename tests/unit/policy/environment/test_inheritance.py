"""What the child inherits."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nono.policy.environment.inheritance import (
    EnvironmentRules,
    check_fixed_name,
    check_pattern,
    child_environment,
    not_inherited,
    started_in,
)
from nono.policy.services.env_names import may_hold_credential

KEPT = {"PATH": "/bin", "LANG": "C"}


# The specification's list (policy-data.md 7.1), then what its section 10 and its siblings add.
STEERS = """
LD_PRELOAD LD_LIBRARY_PATH LD_AUDIT LD_X DYLD_INSERT_LIBRARIES DYLD_X BASH_FUNC_x%% OP_SESSION_x
BASH_ENV ENV CDPATH GLOBIGNORE PROMPT_COMMAND IFS PYTHONSTARTUP PYTHONPATH NODE_OPTIONS NODE_PATH
PERL5OPT PERL5LIB RUBYOPT RUBYLIB GEM_PATH GEM_HOME JAVA_TOOL_OPTIONS _JAVA_OPTIONS DOTNET_STARTUP_HOOKS
GOFLAGS OP_SERVICE_ACCOUNT_TOKEN OP_CONNECT_TOKEN OP_CONNECT_HOST
NONO_CAP_FILE NONO_SUPERVISOR_PATH NONO_DETACHED_LAUNCH NONO_DETACHED_SESSION_ID
NONO_DETACHED_CWD_PROMPT_RESPONSE NONO_PROXY_TOKEN NONO_PROXY_PASS
NONO_CREDENTIAL NONO_PROXY_CREDENTIAL NONO_ENV_CREDENTIAL
GIT_SSH_COMMAND GIT_EXTERNAL_DIFF GIT_CONFIG_COUNT GIT_CONFIG_GLOBAL PYTHONHOME PERL5DB JDK_JAVA_OPTIONS
SHELLOPTS BASHOPTS PS4 ZDOTDIR MALLOC_CHECK_ GCONV_PATH
GIT_SSH GIT_PROXY_COMMAND GIT_EXEC_PATH PYTHONUSERBASE PERLLIB GLIBC_TUNABLES
""".split()  # noqa: SIM905 - as in the module
BY_NAME_ONLY = """
SSH_AUTH_SOCK EDITOR VISUAL PAGER GIT_EDITOR GIT_PAGER GIT_ASKPASS SSH_ASKPASS NODE_EXTRA_CA_CERTS
AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY AWS_SESSION_TOKEN AZURE_CLIENT_SECRET GOOGLE_APPLICATION_CREDENTIALS
""".split()  # noqa: SIM905 - as in the module
NEIGHBOURS = [
    "LDFLAGS",
    "LD",
    "BASH",
    "GIT_AUTHOR_NAME",
    "GIT_DIR",
    "PYTHONUNBUFFERED",
    "NONO_PROFILE",
    "OPS",
]


@pytest.mark.parametrize("name", [*STEERS, "ld_preload", "Bash_Env", "git_config_count"])
def test_what_steers_programs_is_dropped_even_when_it_is_allowed(name: str) -> None:
    rules = EnvironmentRules(allow=("*", name))
    assert child_environment({**KEPT, name: "x"}, rules) == KEPT


@pytest.mark.parametrize("name", STEERS)
def test_what_steers_programs_holds_no_credential_either(name: str) -> None:
    assert not may_hold_credential(name)
    assert not may_hold_credential(name.lower())


def test_options_of_nono_that_name_a_credential_are_not_counted_as_secrets() -> None:
    left_out = not_inherited({"NONO_CREDENTIAL": "openai", "MY_CREDENTIAL": "openai"}, EnvironmentRules())
    assert {each.name for each in left_out if each.is_secret} == {"MY_CREDENTIAL"}


@pytest.mark.parametrize("name", NEIGHBOURS)
def test_a_name_that_only_looks_like_one_of_them_passes(name: str) -> None:
    assert child_environment({name: "x"}, EnvironmentRules()) == {name: "x"}


@pytest.mark.parametrize("name", BY_NAME_ONLY)
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


def test_what_is_left_out_is_named_with_the_rule() -> None:
    inherited = {"ld_x": "1", "IFS": " ", "KEY": "k", "B": "1", "C": "2", "D": "\udcff", "PAGER": "less"}
    rules = EnvironmentRules(("*",), ("B",), withheld=frozenset({"KEY"}))
    assert {each.name: each.rule for each in not_inherited(inherited, rules)} == {
        "IFS": "steers_programs",
        "ld_x": "steers_programs",
        "KEY": "phantom",
        "B": "deny_vars",
        "D": "not_utf8",
        "PAGER": "named_only",
    }
    assert child_environment(inherited, rules) == {"C": "2"}


@pytest.mark.parametrize(
    ("rules", "expected"),
    [
        pytest.param(EnvironmentRules(), {"PWD": "/new"}, id="stays"),
        pytest.param(EnvironmentRules(left_directory="/old"), {"PWD": "/new", "OLDPWD": "/old"}, id="leaves"),
        pytest.param(EnvironmentRules(allow=(), left_directory="/old"), {}, id="an empty allow list"),
        pytest.param(EnvironmentRules(deny=("PWD",), left_directory="/old"), {"OLDPWD": "/old"}, id="deny"),
        pytest.param(EnvironmentRules(allow=("PWD",), left_directory="/old"), {"PWD": "/new"}, id="allow"),
        pytest.param(
            EnvironmentRules(fixed=(("PWD", "/set"),), left_directory="/old"),
            {"PWD": "/set", "OLDPWD": "/old"},
            id="set_vars",
        ),
        pytest.param(EnvironmentRules(left_directory="/\udcff"), {"PWD": "/new"}, id="not UTF-8"),
    ],
)
def test_the_directory_is_said_unless_a_pattern_or_a_fixed_value_owns_it(
    rules: EnvironmentRules, expected: dict[str, str]
) -> None:
    assert started_in("/new", child_environment({"PWD": "/stale"}, rules), rules) == expected


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


SECRETS = {
    "NPM_TOKEN": "secret_name",
    "DATABASE_URL": "secret_value",
    "OPENAI_API_KEY": "service_key",
    "DOCKER_HOST": "points_to_authority",
}
HOLDING = dict.fromkeys(SECRETS, "postgres://me:canary@db")
SERVICES = EnvironmentRules(services={"OPENAI_API_KEY": "openai"})


@pytest.mark.parametrize("allow", [None, ("*",), ("*", "N*", "O*", "D*")], ids=repr)
def test_a_secret_stays_outside_unless_it_is_named(allow: tuple[str, ...] | None) -> None:
    rules = SERVICES._replace(allow=allow)
    assert child_environment({**HOLDING, "PLAIN": "x"}, rules) == {"PLAIN": "x"}
    assert {each.name: each.rule for each in not_inherited(HOLDING, rules)} == SECRETS


def test_the_socket_of_the_terminal_stays_outside_and_is_not_counted_as_a_secret() -> None:
    inherited = {"TMUX": "/tmp/tmux-1000/default,123,0"}
    (withheld,) = not_inherited(inherited, EnvironmentRules())
    assert (withheld.rule, withheld.is_secret) == ("terminal_socket", False)
    assert child_environment(inherited, EnvironmentRules(granted=frozenset({"TMUX"}))) == inherited


@pytest.mark.parametrize("name", SECRETS)
@pytest.mark.parametrize("how", ["--env", "allow_vars"])
def test_a_secret_that_is_named_passes(name: str, how: str) -> None:
    rules = (
        SERVICES._replace(passed=frozenset({name})) if how == "--env" else SERVICES._replace(allow=(name,))
    )
    assert child_environment(HOLDING, rules) == {name: HOLDING[name]}


def test_a_flag_passes_what_a_list_of_the_profile_leaves_out() -> None:
    rules = EnvironmentRules(allow=("A",), passed=frozenset({"B"}))
    assert child_environment({"A": "1", "B": "2", "C": "3"}, rules) == {"A": "1", "B": "2"}


@pytest.mark.parametrize(
    "rules",
    [
        EnvironmentRules(deny=("NPM_TOKEN",), passed=frozenset({"NPM_TOKEN"})),
        EnvironmentRules(withheld=frozenset({"NPM_TOKEN"}), passed=frozenset({"NPM_TOKEN"})),
    ],
    ids=["denied", "replaced by a phantom"],
)
def test_a_flag_lifts_no_denial(rules: EnvironmentRules) -> None:
    assert child_environment({"NPM_TOKEN": "x"}, rules) == {}


def test_a_pointer_passes_once_its_target_is_granted() -> None:
    inherited = {"DOCKER_HOST": "unix:///run/docker.sock"}
    assert child_environment(inherited, EnvironmentRules(granted=frozenset(inherited))) == inherited


@pytest.mark.parametrize("value", ["", "1", "false"])
def test_a_switch_passes_under_any_name(value: str) -> None:
    assert child_environment({"USE_API_KEY": value}, EnvironmentRules()) == {"USE_API_KEY": value}


@pytest.mark.parametrize(
    ("name", "fix"),
    [
        ("NPM_TOKEN", "--env NPM_TOKEN"),
        ("npm_config_//a.example/:_authToken", "--env 'npm_config_//a.example/:_authToken'"),
        ("A;id;'_TOKEN", None),
        ("A\n_TOKEN", None),
    ],
)
def test_the_fix_is_one_word_for_a_shell(name: str, fix: str | None) -> None:
    (withheld,) = not_inherited({name: "hunter two"}, EnvironmentRules())
    assert withheld.fix == fix


NAMES = st.sampled_from([*SECRETS, "PLAIN", "LD_X", "PAGER", "A"])
RULES = st.builds(
    EnvironmentRules,
    allow=st.none() | PATTERNS,
    deny=PATTERNS,
    fixed=st.just(()),
    withheld=st.frozensets(NAMES, max_size=2),
    granted=st.frozensets(NAMES, max_size=2),
    passed=st.frozensets(NAMES, max_size=2),
    services=st.just({"OPENAI_API_KEY": "openai"}),
)


@given(st.dictionaries(NAMES, st.sampled_from(["1", "plain", "postgres://me:canary@db"])), RULES)
def test_every_variable_is_inherited_or_named_with_a_reason(
    inherited: dict[str, str], rules: EnvironmentRules
) -> None:
    left_out = not_inherited(inherited, rules)
    assert sorted([*child_environment(inherited, rules), *(each.name for each in left_out)]) == sorted(
        inherited
    )
    assert not any("canary" in str(tuple(each)) for each in left_out)
