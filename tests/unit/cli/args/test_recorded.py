"""The options of a run are recorded so that it can be judged again, and without what may be secret."""

from __future__ import annotations

import json

import pytest

from nono.audit.redact import USUAL
from nono.cli.args.options import RUN, Kind, own_options_of
from nono.cli.args.parse import Given, parse
from nono.cli.args.recorded import from_record, laid_over, recordable

KEY = "sk-proj-0123456789abcdef"


def given(*argv: str) -> Given:
    return parse(RUN, "", [*argv, "--", "true"], {}).given


def read_back(*argv: str) -> dict[str, object]:
    found, _ = recordable(given(*argv), USUAL)
    return dict(from_record(json.loads(json.dumps(found))).values)


@pytest.mark.parametrize(
    "argv",
    [
        ("--profile=a,./b.json", "--extends=c", "--allow-cwd", "--allow=/p", "--read-file=ü"),
        ("--listen-port=3000-3010", "--open-port=80", "--allow-domain=a.example", "--credential=openai"),
        ("--block-net", "--workdir=sub"),
        (
            "--allow-domain=https://a.example/repos/an-ordinary-long-name/**",
            "--allow-domain=0123456789abcdefghij.a.example",
            "--read=/nix/0123456789abcdefghij",
        ),
        ("--ask", "--allow-endpoint=github:GET:/repos/**", "--upstream-proxy=proxy.example:3128"),
        (),
    ],
    ids=str,
)
def test_options_are_read_back_as_they_were_given(argv: tuple[str, ...]) -> None:
    assert read_back(*argv) == given(*argv).values


@pytest.mark.parametrize(
    ("argv", "flag"),
    [
        (f"--allow-domain=https://u:{KEY}@a.example/", "--allow-domain"),
        (f"--allow-domain=https://a.example/?token={KEY}", "--allow-domain"),
        (f"--credential={KEY}", "--credential"),
        (f"--allow-endpoint=x:GET:/{KEY}", "--allow-endpoint"),
        (f"--allow=/p\udcff{KEY}", "--allow"),
        ("--allow-domain=https://hooks.example/services/T0/B0/0123456789abcdefXYZ_-", "--allow-domain"),
        ("--allow-domain=https://a.example/bot123:0123456789abcdefXYZ_-/send", "--allow-domain"),
        ("--allow-domain=https://a.example/hook.0123456789abcdefXYZ_-", "--allow-domain"),
        ("--allow-endpoint=x:POST:/u/0123abcd-0123-0123-0123@t/send", "--allow-endpoint"),
        ("--allow-domain=https://hooks.example/T0/abcdefGHIJKLmnopqrstUVWX", "--allow-domain"),
    ],
)
def test_an_option_whose_value_may_be_secret_is_named_without_it(argv: str, flag: str) -> None:
    found, left_out = recordable(given(argv, "--allow-cwd"), USUAL)
    assert (found, left_out) == ({"allow_cwd": True}, [flag])


def test_no_option_by_which_nothing_is_judged_is_recorded() -> None:
    values = {
        each.dest: KEY if each.kind is Kind.VALUE else [KEY]
        for each in own_options_of(RUN)
        if each.kind is not Kind.PORT_RANGES
    }
    found, left_out = recordable(Given({**values, "allow": ["/p"]}, ()), USUAL)
    assert KEY not in json.dumps([found, left_out])
    secret = {"env", "env_credential", "env_credential_map", "audit_sign_key", "audit_otlp", "audit_anchor"}
    assert not secret & {*found, *(each.removeprefix("--").replace("-", "_") for each in left_out)}


@pytest.mark.parametrize(
    "damaged", [None, 3, {"allow": "/p"}, {"allow": [1]}, {"unheard_of": ["x"]}, {"open_port": ["0-9"]}]
)
def test_what_is_not_understood_of_a_record_grants_nothing(damaged: object) -> None:
    assert not any(from_record(damaged).values.values())


@pytest.mark.parametrize(
    ("was", "now", "expected"),
    [
        (("--profile=a", "--extends=b", "--allow=/p"), ("--profile=c",), ("--profile=c", "--allow=/p")),
        (("--config=m.json",), ("--profile=c",), ("--profile=c",)),
        (("--profile=a", "--allow=/p"), ("--config=m.json",), ("--config=m.json",)),
        (("--allow=/p", "--read=/q"), ("--allow=/r",), ("--read=/q", "--allow=/r")),
        (("--network-profile=a", "--allow=/p"), ("--block-net",), ("--allow=/p", "--block-net")),
        (("--block-net",), ("--allow-domain=a.example",), ("--allow-domain=a.example",)),
    ],
    ids=str,
)
def test_an_option_takes_the_place_of_those_of_the_run_that_it_rules_out(
    was: tuple[str, ...], now: tuple[str, ...], expected: tuple[str, ...]
) -> None:
    assert laid_over(given(*was), given(*now)).values == given(*expected).values
