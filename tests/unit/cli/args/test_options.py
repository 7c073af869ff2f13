"""Flags, environment variables and old spellings become one set of given values."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence

import pytest

from nono.cli.args import argparse_parser, options
from nono.cli.args.options import OPTIONS, Kind
from nono.cli.args.parse import Given, collect, parse
from nono.errors import ConfigError, UsageError


def given(argv: Sequence[str], environ: Mapping[str, str] | None = None, command: str = "run") -> Given:
    parser = argparse_parser.new_parser("nono run", "")
    argparse_parser.add_options(parser, command, argv)
    return collect(command, vars(parser.parse_args(list(argv))), argv, environ or {})


def test_an_option_left_out_is_not_given() -> None:
    assert given([]).values == {}


def test_only_options_that_say_so_split_at_commas() -> None:
    assert given(["--allow", "a,b", "--allow", "c"]).list("allow") == ("a", "b", "c")
    assert given(["--read", "a,b"]).list("read") == ("a,b",)


def test_an_environment_variable_is_used_only_without_the_flag() -> None:
    environ = {"NONO_CREDENTIAL": "openai"}
    assert given([], environ).list("credential") == ("openai",)
    assert given(["--credential", "github"], environ).list("credential") == ("github",)


@pytest.mark.parametrize(
    ("variable", "dest"),
    [
        ("NONO_ALLOW_DOMAIN", "allow_domain"),
        ("NONO_DENY_DOMAIN", "deny_domain"),
        ("NONO_CREDENTIAL", "credential"),
        ("NONO_ALLOW_PROXY", "allow_domain"),
    ],
)
def test_a_variable_holds_several_values_between_commas(variable: str, dest: str) -> None:
    assert given([], {variable: "a, b.c,"}).list(dest) == ("a", "b.c")


@pytest.mark.parametrize("text", [",", " , "])
def test_a_variable_with_commas_alone_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="--allow-domain: its value is empty"):
        given([], {"NONO_ALLOW_DOMAIN": text})


@pytest.mark.parametrize("text", [" ", ",", " , "])
def test_blanks_and_commas_alone_grant_no_path(text: str) -> None:
    with pytest.raises(UsageError, match="--allow: its value is empty"):
        given(["--allow", "a", "--allow", text])


@pytest.mark.parametrize("text", ["a, b ", "/work/a,b"])
def test_a_path_that_is_there_is_not_split(text: str) -> None:
    exists = ["a, b ", "/work/a,b"].__contains__
    for argv, environ in ((["--allow", text], {}), ([], {"NONO_ALLOW": text})):
        parsed = parse("run", "", [*argv, "--", "ls"], environ, exists)
        assert parsed.given.list("allow") == parsed.request.allow == (text,)
    assert parse("run", "", ["--allow", "a, c ", "ls"], {}, exists).request.allow == ("a", "c")


@pytest.mark.parametrize("text", ["a ", " a", "a b"])
def test_the_blanks_of_one_path_are_part_of_it(text: str) -> None:
    assert given(["--allow", text]).list("allow") == (text,)


def test_a_comma_of_an_option_is_part_of_its_value() -> None:
    assert given(["--allow-domain", "https://a.b/c,d"]).list("allow_domain") == ("https://a.b/c,d",)


@pytest.mark.parametrize("word", ["1", "true", "YES", "on"])
def test_a_yes_in_the_environment_sets_a_flag(word: str) -> None:
    assert given([], {"NONO_BLOCK_NET": word}).flag("block_net")


@pytest.mark.parametrize("word", ["0", "false", "No", "off", ""])
def test_a_no_in_the_environment_does_not(word: str) -> None:
    assert not given([], {"NONO_BLOCK_NET": word}).flag("block_net")


def test_a_word_that_is_neither_is_a_mistake() -> None:
    with pytest.raises(ConfigError, match="NONO_BLOCK_NET"):
        given([], {"NONO_BLOCK_NET": "perhaps"})


def test_an_old_flag_works_with_a_warning() -> None:
    old = given(["--net-block"])
    assert old.flag("block_net")
    assert "`--net-block` is deprecated; use `--block-net` instead" in old.warnings[0]
    assert given(["--block-net"]).warnings == ()


def test_an_old_variable_is_read_when_the_new_one_is_unset() -> None:
    old = given([], {"NONO_PROXY_CREDENTIAL": "openai"})
    assert old.list("credential") == ("openai",)
    assert "NONO_PROXY_CREDENTIAL" in old.warnings[0]
    both = given([], {"NONO_PROXY_CREDENTIAL": "openai", "NONO_CREDENTIAL": "github"})
    assert both.list("credential") == ("github",)
    assert both.warnings == ()


@pytest.mark.parametrize("option", [o for o in OPTIONS if not o.available], ids=lambda o: o.flags[0])
def test_an_unavailable_option_is_refused_by_name_with_the_reason(option: options.Option) -> None:
    values = {Kind.FLAG: [], Kind.PAIRS: ["A", "B"], Kind.PORTS: ["80"], Kind.PORT_RANGES: ["80"]}.get(
        option.kind, ["x"]
    )
    with pytest.raises(UsageError) as refused:
        given([option.flags[-1], *values], command=option.commands[0])
    assert refused.value.message == f"{option.flags[0]}: {option.help}."
    assert refused.value.exit_code == 2


@pytest.mark.parametrize("text", ["0", "65536", "-1", "+80", "8 0", "٨٠", "http", ""])
def test_what_is_no_port_is_refused(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError):
        argparse_parser.port(text)


@pytest.mark.parametrize("text", ["1", "80", "65535"])
def test_a_port_is_read(text: str) -> None:
    assert argparse_parser.port(text) == int(text)


def test_a_range_of_ports_is_read_with_both_ends() -> None:
    assert argparse_parser.ports("3000-3002") == [3000, 3001, 3002]
    assert argparse_parser.ports("80") == argparse_parser.ports("80-80") == [80]


@pytest.mark.parametrize("text", ["0-1", "2-1", "1-65536", "1-", "-1", "1-2-3", "1:2"])
def test_what_is_no_range_of_ports_is_refused(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError):
        argparse_parser.ports(text)


def test_no_two_options_share_a_flag() -> None:
    for command in (options.RUN, options.SHELL, options.WRAP, options.WHY):
        flags = [
            flag for option in options.options_of(command) for flag in (*option.flags, *option.deprecated)
        ]
        assert len(flags) == len(set(flags))


@pytest.mark.parametrize(
    ("argv", "environ", "dest", "value"),
    [
        (["--upstream-proxy", "a:1"], {}, "upstream_proxy", "a:1"),
        ([], {"NONO_UPSTREAM_PROXY": "a:1"}, "upstream_proxy", "a:1"),
        ([], {"NONO_EXTERNAL_PROXY": "a:1"}, "upstream_proxy", "a:1"),
        (["--external-proxy=a:1"], {}, "upstream_proxy", "a:1"),
        (["--upstream-bypass", "a,b", "--upstream-bypass", "c"], {}, "upstream_bypass", ["a", "b", "c"]),
        ([], {"NONO_UPSTREAM_BYPASS": "a, b"}, "upstream_bypass", ["a", "b"]),
        ([], {"NONO_EXTERNAL_PROXY_BYPASS": "a,b"}, "upstream_bypass", ["a", "b"]),
        (["--proxy-ca-validity", "3"], {}, "proxy_ca_validity", "3"),
        ([], {"NONO_PROXY_CA_VALIDITY": "3"}, "proxy_ca_validity", "3"),
        (["--allow-endpoint", "a:GET:/x,y"], {}, "allow_endpoint", ["a:GET:/x,y"]),
        (["--allow-http2"], {}, "allow_http2", True),
        (["--record-flows", "f"], {}, "record_flows", "f"),
        ([], {"NONO_ENV_CREDENTIAL": "a,b"}, "env_credential", "a,b"),
        (["--env-credential-map", "r", "V"], {}, "env_credential_map", [["r", "V"]]),
        ([], {"NONO_ALLOW_DOMAIN": "https://x.example/a"}, "allow_domain", ["https://x.example/a"]),
        ([], {"NONO_ALLOW_NET": "1"}, "allow_net", True),
        (["--net-allow"], {}, "allow_net", True),
    ],
)
def test_each_option_of_the_proxy_has_its_flag_and_its_variable(
    argv: list[str], environ: dict[str, str], dest: str, value: object
) -> None:
    assert given(argv, environ).values[dest] == value


def test_an_empty_half_of_a_pair_is_a_mistake() -> None:
    assert given(["--env-credential-map", "r", "V"]).pairs("env_credential_map") == (("r", "V"),)
    for pair in (["", "V"], ["r", ""]):
        with pytest.raises(UsageError, match="its value is empty"):
            given(["--env-credential-map", *pair])


def test_a_command_without_a_supervisor_has_none_of_the_proxys_options() -> None:
    for argv in (["--upstream-proxy", "a:1"], ["--allow-http2"], ["--record-flows", "f"]):
        with pytest.raises(UsageError):
            given(argv, command="wrap")
    with pytest.raises(UsageError, match="`nono wrap` reads no credentials"):
        given(["--env-credential", "a"], command="wrap")


@pytest.mark.parametrize("flag", ["--allow-launch-services", "--trust-proxy-ca"])
@pytest.mark.parametrize("command", options.SANDBOX)
def test_an_option_of_macos_is_said_to_be_one(flag: str, command: str) -> None:
    with pytest.raises(UsageError, match=f"{flag}: only supported on macOS"):
        given([flag], command=command)


def test_the_open_network_is_not_advertised() -> None:
    parser = argparse_parser.new_parser("nono run", "")
    argparse_parser.add_options(parser, "run", ["--allow-net"])
    assert "--allow-net" not in parser.format_help()
    assert "--allow-domain" in parser.format_help()


def test_silent_does_not_hide_an_old_spelling_that_lifts_a_protection() -> None:
    argv = ["--override-deny", "/x", "--net-block"]
    given = collect(options.RUN, {"bypass_protection": ["/x"], "block_net": True}, argv, {})
    assert [text.split("`")[1] for text in given.insisted] == ["--override-deny"]
    assert [text.split("`")[1] for text in given.warnings] == ["--net-block"]
