"""Options end where the command begins."""

from __future__ import annotations

import pytest

from nono.cli.parse import parse
from nono.errors import ConfigError, NonoError
from nono.policy.capability import SandboxPolicy
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


def test_no_command_is_said() -> None:
    with pytest.raises(NonoError, match="No command specified"):
        parse("run", "", ["--allow-cwd"], {})


def test_a_sandbox_policy_that_is_none_is_refused() -> None:
    with pytest.raises(ConfigError, match="expected auto, landlock, external or netns"):
        parse("run", "", ["--sandbox-policy", "bogus", "x"], {})


@pytest.mark.parametrize("policy", SandboxPolicy)
def test_a_sandbox_policy_reaches_the_request(policy: SandboxPolicy) -> None:
    assert parse("run", "", ["--sandbox-policy", policy, "x"], {}).request.sandbox_policy is policy
    assert parse("run", "", ["x"], {}).request.sandbox_policy is None


def test_a_sandbox_policy_is_for_run_only() -> None:
    for policy in SandboxPolicy:
        with pytest.raises(ConfigError, match="only supported by `nono run`"):
            parse("wrap", "", ["--sandbox-policy", policy, "x"], {})


def test_every_option_of_a_request_reaches_it() -> None:
    argv = [
        "--allow-endpoint",
        "s:GET:/",
        "--upstream-proxy",
        "a:1",
        "--upstream-bypass",
        "b",
        "--allow-http2",
    ]
    argv += ["--proxy-ca-validity", "3", "--record-flows", "f", "--env-credential", "c"]
    argv += ["--env-credential-map", "d", "E", "--allow-net", "x"]
    request = parse("run", "", argv, {}).request
    assert request.allow_endpoint == ("s:GET:/",)
    assert (request.upstream_proxy, request.upstream_bypass) == ("a:1", ("b",))
    assert (request.allow_http2, request.allow_net) == (True, True)
    assert (request.proxy_ca_validity, request.record_flows) == ("3", "f")
    assert (request.env_credential, request.env_credential_map) == ("c", (("d", "E"),))
    assert parse("run", "", ["x"], {}).request == RunRequest()
