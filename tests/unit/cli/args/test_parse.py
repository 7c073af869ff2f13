"""Options end where the command begins."""

from __future__ import annotations

import pytest

from nono.cli.args.options import OPTIONS, Kind, Option
from nono.cli.args.parse import parse
from nono.cli.commands import why
from nono.cli.commands.audit import command as audit
from nono.errors import ConfigError, NonoError, UsageError
from nono.policy.capability import Namespaces, SandboxPolicy
from nono.policy.request import RunRequest


@pytest.mark.parametrize(
    ("argv", "command"),
    [
        (["--allow-cwd", "--", "ls", "-l"], ("ls", "-l")),
        (["--allow-cwd", "ls", "-l"], ("ls", "-l")),
        (["ls", "--allow-cwd"], ("ls", "--allow-cwd")),
        (["--", "ls", "--", "x"], ("ls", "--", "x")),
        (["ls", "--", "x"], ("ls", "--", "x")),
        (["-v", "-r", "/a", "--", "--odd-name"], ("--odd-name",)),
        (["--", ""], ("",)),
    ],
)
def test_the_command_keeps_every_word_of_its_own(argv: list[str], command: tuple[str, ...]) -> None:
    assert parse("run", "", argv, {}).command == command


def test_an_option_of_the_command_is_not_nonos() -> None:
    assert not parse("run", "", ["ls", "--allow-cwd"], {}).request.allow_cwd
    assert parse("run", "", ["--allow-cwd", "ls"], {}).request.allow_cwd


def test_an_old_flag_among_the_commands_arguments_is_not_warned_about() -> None:
    assert parse("run", "", ["--", "x", "--net-block"], {}).given.warnings == ()
    assert parse("run", "", ["--net-block", "--", "x"], {}).given.warnings != ()


@pytest.mark.parametrize(
    "argv", [["ls", "--allow", "."], ["--silent", "ls", "-l", "--allow=key", "--allow-cwd"]]
)
def test_an_option_that_only_nono_has_behind_the_command_is_warned_about(argv: list[str]) -> None:
    """The command gets it, and may take it for a file, or answer what only nono can explain."""
    assert parse("run", "", argv, {}).given.warnings == (
        "--allow stands behind ls, which gets it; nono's options stand before: nono run [options] -- ls",
    )


@pytest.mark.parametrize(
    "argv",
    [
        ["--", "ls", "--allow", "."],
        ["cargo", "run", "--", "--allow-cwd"],
        ["timeout", "9", "/usr/bin/nono", "run", "--allow", ".", "ls"],
        ["cargo", "build", "--profile", "release", "--verbose"],
        ["deno", "run", "--allow-net", "--allow-read", "a.ts"],
    ],
)
def test_an_option_that_is_the_commands_own_is_not_warned_about(argv: list[str]) -> None:
    assert parse("run", "", argv, {}).given.warnings == ()


def test_no_command_is_said() -> None:
    with pytest.raises(NonoError, match="No command specified"):
        parse("run", "", ["--allow-cwd"], {})


def test_a_sandbox_policy_that_is_none_is_refused() -> None:
    with pytest.raises(UsageError, match="expected auto, landlock, external or netns"):
        parse("run", "", ["--sandbox-policy", "bogus", "x"], {})


@pytest.mark.parametrize("policy", SandboxPolicy)
def test_a_sandbox_policy_reaches_the_request(policy: SandboxPolicy) -> None:
    assert parse("run", "", ["--sandbox-policy", policy, "x"], {}).request.sandbox_policy is policy
    assert parse("run", "", ["x"], {}).request.sandbox_policy is None


def test_a_sandbox_policy_is_for_run_only() -> None:
    for policy in SandboxPolicy:
        with pytest.raises(ConfigError, match="only supported by `nono run`"):
            parse("wrap", "", ["--sandbox-policy", policy, "x"], {})


def test_namespaces_that_are_none_are_refused() -> None:
    with pytest.raises(UsageError, match="expected auto, off or require"):
        parse("run", "", ["--namespaces", "bogus", "x"], {})


@pytest.mark.parametrize("wanted", Namespaces)
def test_a_wish_for_namespaces_reaches_the_request(wanted: Namespaces) -> None:
    assert parse("run", "", ["--namespaces", wanted, "x"], {}).request.namespaces is wanted
    assert parse("run", "", ["x"], {}).request.namespaces is None


CHOICES = {"sandbox_policy", "namespaces"}
IN_REQUEST = [option for option in OPTIONS if option.in_request]
# What is typed for an option of a kind, and the field that a request then has.
TYPED = {
    Kind.FLAG: ([], True, bool),
    Kind.VALUE: (["a"], "a", str | None),
    Kind.LIST: (["a"], ("a",), tuple[str, ...]),
    Kind.PORTS: (["80"], (80,), tuple[int, ...]),
    Kind.PORT_RANGES: (["80-81"], (80, 81), tuple[int, ...]),
    Kind.PAIRS: (["a", "B"], (("a", "B"),), tuple[tuple[str, str], ...]),
}


def test_a_request_has_exactly_the_fields_of_its_options() -> None:
    by_the_command = {"standalone_proxy", "learns", "refuses_missing"}
    assert {option.dest for option in IN_REQUEST} == set(RunRequest._fields) - by_the_command


@pytest.mark.parametrize("option", [o for o in IN_REQUEST if o.dest not in CHOICES], ids=lambda o: o.flags[0])
def test_an_option_of_a_request_reaches_its_field(option: Option) -> None:
    words, value, annotation = TYPED[option.kind]
    request = parse(option.commands[0], "", [option.flags[0], *words, "x"], {}).request
    assert request._asdict() == RunRequest(refuses_missing=True)._asdict() | {option.dest: value}
    assert RunRequest.__annotations__[option.dest] == annotation


def test_what_is_left_out_is_not_in_the_request() -> None:
    assert parse("run", "", ["x"], {}).request == RunRequest(refuses_missing=True)


@pytest.mark.parametrize(
    "argv",
    [
        ["--name", "a", "--name", "b"],
        ["--profile", "a", "-p", "b"],
        ["--log-file", "/a", "--log-file", "/b"],
        ["--proxy-port", "8001", "--proxy-port", "8002"],
        ["--env", "A=1", "--env", "A=2"],
        ["--max-cost", "openai=1", "--max-cost", "openai=2"],
        ["--credential", "openai=http://localhost:1", "--credential", "openai=http://localhost:2"],
        ["--env-credential-map", "env://X", "A", "--env-credential-map", "env://Y", "A"],
    ],
)
def test_two_values_of_which_one_would_be_ignored_are_a_mistake(argv: list[str]) -> None:
    with pytest.raises(UsageError, match=r"two different values|given twice"):
        parse("run", "", [*argv, "x"], {})
    half = len(argv) // 2
    parse("run", "", [*argv[:half], *argv[:half], "x"], {})  # a script may say the same twice


@pytest.mark.parametrize("first", ["read", "write"])
def test_two_values_are_a_mistake_though_the_first_is_the_default(first: str) -> None:
    second = "write" if first == "read" else "read"
    parser = why.parser([])
    with pytest.raises(UsageError, match="given twice"):
        parser.parse_args(["--op", first, "--op", second])
    assert [parser.parse_args(["--op", each]).op for each in (first, second)] == [first, second]


@pytest.mark.parametrize("after", ["/a", "/b"])
def test_an_option_before_an_action_and_after_it_has_one_value(after: str) -> None:
    argv = ["--log-file", "/a", "list", "--log-file", after]
    if after == "/a":
        assert audit.parser().parse_args(argv).log_file == after
    else:
        with pytest.raises(UsageError, match="--log-file: given twice"):
            audit.parser().parse_args(argv)
    assert audit.parser().parse_args(argv[:3]).log_file == "/a"
    assert audit.parser().parse_args(argv[2:]).log_file == after
