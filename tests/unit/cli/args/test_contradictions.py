"""Options that rule each other out, or need another one, are refused before anything is looked at."""

from __future__ import annotations

import pytest

from nono.cli.args.parse import Invocation, parse
from nono.errors import UsageError


def run(*flags: str, **environ: str) -> Invocation:
    return parse("run", "", [*flags, "--", "true"], environ)


@pytest.mark.parametrize(
    ("flags", "first", "second"),
    [
        (["--rollback", "--no-rollback"], "--rollback", "--no-rollback"),
        (["--no-audit", "--rollback"], "--rollback", "--no-audit"),
        (["--rollback-include=a", "--rollback-all"], "--rollback-all", "--rollback-include"),
        (["--no-audit", "--no-audit-integrity"], "--no-audit", "--no-audit-integrity"),
        (["--no-audit", "--audit-integrity"], "--no-audit", "--audit-integrity"),
        (["--no-audit", "--audit-sign-key=k"], "--no-audit", "--audit-sign-key"),
        (["--no-audit-integrity", "--audit-integrity"], "--no-audit-integrity", "--audit-integrity"),
        (["--no-audit-integrity", "--audit-sign-key=k"], "--no-audit-integrity", "--audit-sign-key"),
        (["--no-audit", "--audit-anchor=key:x"], "--audit-anchor", "--no-audit"),
        (["--no-audit", "--audit-otlp=http://localhost"], "--audit-otlp", "--no-audit"),
        (["--lsp", "--acp"], "--acp", "--lsp"),
        (["--allow-net", "--block-net"], "--allow-net", "--block-net"),
        (["--allow-net", "--proxy-port=8080"], "--allow-net", "--proxy-port"),
        (["--allow-net", "--allow-domain=a.example"], "--allow-net", "--allow-domain"),
    ],
    ids=repr,
)
@pytest.mark.parametrize("is_dry", [False, True])
def test_two_options_that_contradict_each_other_are_a_usage_error(
    flags: list[str], first: str, second: str, is_dry: bool
) -> None:
    with pytest.raises(UsageError) as refused:
        run(*flags, *(["--dry-run"] if is_dry else []))
    assert refused.value.message == f"{first} and {second} contradict each other."
    assert refused.value.exit_code == 2
    for flag in flags:
        run(flag)


@pytest.mark.parametrize(
    ("flag", "needed"), [("--rollback-dest=d", "--rollback"), ("--detach-timeout=5", "--detached")]
)
def test_an_option_without_the_one_that_it_needs_is_a_usage_error(flag: str, needed: str) -> None:
    with pytest.raises(UsageError) as refused:
        run(flag)
    assert refused.value.message == f"{flag.partition('=')[0]} has no effect without {needed}."
    assert run(flag, needed).given.flag(needed.removeprefix("--"))


def test_a_variable_contradicts_like_its_option() -> None:
    with pytest.raises(UsageError, match="--allow-net and --credential contradict each other"):
        run("--allow-net", NONO_CREDENTIAL="openai")
    run("--allow-net", NONO_BLOCK_NET="0")


def test_a_variable_for_other_runs_needs_no_option_in_this_one() -> None:
    assert run(NONO_DETACH_STARTUP_TIMEOUT="5").given.value("detach_timeout") == "5"
