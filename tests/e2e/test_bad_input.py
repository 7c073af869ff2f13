"""What a person hears of a mistake: one clear sentence, the documented exit code, and nothing was started."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa

import nono as nono_package
from nono.cli.args.options import OPTIONS, RUN, WRAP, Kind, Option
from nono.cli.command_table import LATER
from support.ladder.launch import INTERPRETER, NONO, PYTHON, Place, place
from support.ladder.stage import REAL_KEY, Stage, audited

ECHO = ("--", "sh", "-c", "echo started")
STARTED = "started\n"


@pytest.fixture(scope="module")
def somewhere() -> Iterator[Place]:
    """Yield one stage for the many cases that leave nothing behind: the module's end checks that."""
    with place() as prepared:
        yield prepared


def nono(place: Place, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return place.user.run([NONO, *arguments], environment=environment, cwd=place.project)


def assert_refused(result: subprocess.CompletedProcess[str], message: str, code: int = 1) -> None:
    """message is how the only sentence of stderr begins; a hint may follow."""
    assert result.stdout == ""
    assert result.returncode == code, result.stderr
    lines = result.stderr.strip("\n").splitlines()
    assert lines[0].startswith(f"nono: {message}"), result.stderr
    assert all(line.startswith("hint: ") for line in lines[1:]), result.stderr


def usage_error(result: subprocess.CompletedProcess[str], sentence: str) -> None:
    """Check what argparse finds wrong with a command line: the whole first line, and a hint."""
    assert_refused(result, sentence, 2)
    assert result.stderr.splitlines()[0] == f"nono: {sentence}"


# The command line


@pytest.mark.parametrize("command", [RUN, WRAP])
@pytest.mark.parametrize("arguments", [[], ["--"], ["--allow-cwd"], ["--silent", "--"]], ids=repr)
def test_a_missing_command_is_refused(somewhere: Place, command: str, arguments: list[str]) -> None:
    assert_refused(nono(somewhere, command, *arguments), "No command specified")


@pytest.mark.parametrize(
    "arguments",
    [
        ["--allow", "/none/a\nb"],
        ["--read-file=/none/a\nb"],
        ["--allow", "/none/a\nb,/none/x"],
        ["--bypass-protection", "https://none/a\nb"],
        ["--workdir", "a\nb"],
        ["--network-profile", "a\nb"],
        ["--credential", "a\nb"],
        ["-p", "a\nb"],
    ],
    ids=repr,
)
def test_a_value_with_a_line_end_does_not_look_like_a_line_of_nono(
    somewhere: Place, arguments: list[str]
) -> None:
    result = nono(somewhere, "run", *arguments, *ECHO)
    assert (result.returncode > 0, result.stdout) == (True, "")
    assert "a\\nb" in result.stderr
    assert [line for line in result.stderr.splitlines() if not line.startswith(("nono: ", "hint: "))] == []


def test_a_message_keeps_lines_of_its_own(somewhere: Place) -> None:
    """Each mistake of a file has one, whatever the command's words are."""
    with tempfile.NamedTemporaryFile("w", suffix=".json", dir=somewhere.user.home) as file:
        file.write('{"netwrk": {}, "hosts": []}')
        file.flush()
        Path(file.name).chmod(0o644)
        for words in (["true"], ["sh", "-c", "\n", "a\nb"]):
            result = nono(somewhere, "run", "-p", file.name, "--", *words)
            assert (result.returncode > 0, len(result.stderr.splitlines())) == (True, 2), result.stderr


def by_sudo(here: Place, command: list[str]) -> subprocess.CompletedProcess[str]:
    """Run nono as root, with the HOME of the place."""
    environment = {"HOME": str(here.user.home), "SUDO_UID": str(here.user.uid), "PATH": "/usr/bin:/bin"}
    return subprocess.run(
        [NONO, *command], env=environment, cwd=here.project, capture_output=True, text=True, check=False
    )


@pytest.mark.root
@pytest.mark.parametrize(
    "command",
    [["run", *ECHO], ["wrap", *ECHO], ["ps"], ["credential", "list"], ["run", *ECHO, "--help"]],
    ids=" ".join,
)
@pytest.mark.parametrize("is_kept", [True, False], ids=["sudo -E", "sudo -H"])
def test_root_leaves_nothing_in_a_home_that_sudo_has_kept(
    here: Place, command: list[str], is_kept: bool
) -> None:
    home = here.user.home
    if not is_kept:
        os.chown(home, 0, 0)
    before = sorted(home.rglob("*"))
    result = by_sudo(here, command)
    if is_kept:
        said = f"this is root, and HOME is still {home}, which belongs to uid {here.user.uid}."
        assert_refused(result, said)
        assert sorted(home.rglob("*")) == before
    else:
        assert result.returncode == 0, result.stderr


@pytest.mark.root
@pytest.mark.parametrize(
    "command",
    [["run", "--help"], ["ps", "-h"], ["profile", "show", "--help"], ["version"], ["help", "run"]],
    ids=" ".join,
)
def test_help_and_version_are_printed_in_a_home_that_sudo_has_kept(here: Place, command: list[str]) -> None:
    before = sorted(here.user.home.rglob("*"))
    result = by_sudo(here, command)
    assert (result.returncode, result.stderr) == (0, "")
    assert command[-1] == "version" or "Usage: nono" in result.stdout
    assert sorted(here.user.home.rglob("*")) == before


def test_no_subcommand_is_an_error_with_the_help(somewhere: Place) -> None:
    result = nono(somewhere)
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr.count("Usage: nono ") == 1


@pytest.mark.parametrize(
    ("word", "sentence"),
    [
        ("frobnicate", "no such command: 'frobnicate'"),
        ("rnu", "no such command: 'rnu'"),
        ("--nope", "no such option: '--nope'"),
        ("", "no such command: ''"),
    ],
)
def test_an_unknown_command_is_a_usage_error(somewhere: Place, word: str, sentence: str) -> None:
    result = nono(somewhere, word, *ECHO)
    assert_refused(result, sentence.strip(), 2)


@pytest.mark.parametrize("command", sorted(LATER))
def test_a_command_that_is_not_there_yet_says_so(somewhere: Place, command: str) -> None:
    result = nono(somewhere, command, "--json")
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr == f"nono: `nono {command}` is not available yet.\nhint: {LATER[command]}\n"


@pytest.mark.parametrize("command", [RUN, WRAP])
@pytest.mark.parametrize("flag", ["--nope", "--allow-cw", "-z", "--silentt"])
def test_an_unknown_option_is_a_usage_error(somewhere: Place, command: str, flag: str) -> None:
    usage_error(nono(somewhere, command, flag, *ECHO), f"no such option: {flag}")


ARGUMENTS: dict[Kind, list[str]] = {
    Kind.FLAG: [],
    Kind.COUNT: [],
    Kind.VALUE: ["value"],
    Kind.LIST: ["value"],
    Kind.PORTS: ["8080"],
    Kind.PORT_RANGES: ["8080-8081"],
    Kind.PAIRS: ["env://A", "A"],
}
NOT_THERE = [
    (command, option, flag)
    for command in (RUN, WRAP)
    for option in OPTIONS
    if not option.available and command in option.commands
    for flag in option.flags
]


@pytest.mark.parametrize(
    ("command", "option", "flag"), NOT_THERE, ids=[f"{command} {flag}" for command, _, flag in NOT_THERE]
)
def test_an_option_that_is_not_there_says_why(
    somewhere: Place, command: str, option: Option, flag: str
) -> None:
    result = nono(somewhere, command, flag, *ARGUMENTS[option.kind], *ECHO)
    assert_refused(result, f"{option.flags[0]}: {option.help}.", 2)


NOT_THERE_VARIABLES = [option for option in OPTIONS if option.env and not option.available]


@pytest.mark.parametrize("option", NOT_THERE_VARIABLES, ids=[option.env for option in NOT_THERE_VARIABLES])
def test_a_variable_whose_option_is_not_there_says_why(somewhere: Place, option: Option) -> None:
    command = option.commands[0]
    result = nono(somewhere, command, *ECHO, **{option.env: "yes"})
    assert_refused(result, f"{option.flags[0]}: {option.help}.", 2)
    assert nono(somewhere, command, *ECHO, **{option.env: ""}).stdout == STARTED


VALUES = [
    option
    for option in OPTIONS
    if option.available and RUN in option.commands and option.kind in (Kind.VALUE, Kind.LIST)
]


@pytest.mark.parametrize("option", VALUES, ids=[option.flags[0] for option in VALUES])
def test_an_empty_value_is_not_the_working_directory_or_anything_else(
    somewhere: Place, option: Option
) -> None:
    """As a shell makes of --read "$UNSET"."""
    result = nono(somewhere, "run", option.flags[0], "", *ECHO)
    assert_refused(result, f"{option.flags[0]}: its value is empty.", 2)


@pytest.mark.parametrize("flag", ["--proxy-port", "--listen-port"])
@pytest.mark.parametrize("port", ["0", "65536", "-1", "abc", "", "1.5", " 80", "١٢", "9" * 5000])
def test_a_port_is_a_number_from_1_to_65535(somewhere: Place, flag: str, port: str) -> None:
    result = nono(somewhere, "run", "--deny-domain", "x.example", f"{flag}={port}", *ECHO)
    usage_error(result, f"{flag}: {no_port(port, is_range=flag != '--proxy-port')}")


@pytest.mark.parametrize("ports", ["0-1", "2-1", "1-65536", "1-", "-1", "1-2-3", "a-b", "1 -2"])
def test_a_range_of_ports_has_a_first_and_a_last(somewhere: Place, ports: str) -> None:
    result = nono(somewhere, "run", "--deny-domain", "x.example", f"--open-port={ports}", *ECHO)
    usage_error(result, f"--open-port: {no_port(ports, is_range=True)}")


def no_port(text: str, *, is_range: bool) -> str:
    expected = "is expected, or a range such as 3000-3010" if is_range else "is expected"
    return f"'{text}' is not a port: a number from 1 to 65535 {expected}"


CONTRADICTIONS = {
    "block-net and allow-domain": (
        ["--block-net", "--allow-domain", "x.example"],
        "--block-net and --allow-domain are contradictory",
    ),
    "block-net and credential": (
        ["--block-net", "--credential", "openai"],
        "--block-net and --credential are contradictory",
    ),
    "block-net and network-profile": (
        ["--block-net", "--network-profile", "developer"],
        "--block-net and --network-profile are contradictory",
    ),
    "proxy-port without a proxy": (["--proxy-port", "8080"], "--proxy-port is for a run with a proxy"),
    "allow-http2 without a proxy": (["--allow-http2"], "--allow-http2 is for a run with a proxy"),
    "proxy-port and block-net": (
        ["--proxy-port", "8080", "--block-net"],
        "--proxy-port is for a run with a proxy",
    ),
    "unknown service": (
        ["--credential", "opnai"],
        "no credential service is called 'opnai'; there are anthropic, ",
    ),
    "unknown network profile": (
        ["--network-profile", "develper"],
        "Network profile 'develper' not found in policy",
    ),
    "not a directory": (["--workdir", "nope"], "--workdir 'nope' is not a directory."),
    "file for a directory": (
        ["--allow", "/etc/passwd"],
        "'/etc/passwd' is a file, and this option takes a directory.",
    ),
    "netns without a proxy": (
        ["--sandbox-policy", "netns"],
        "--sandbox-policy netns is for a run with a proxy, and nothing asks for one.",
    ),
    "netns and block-net": (
        ["--sandbox-policy", "netns", "--block-net"],
        "--sandbox-policy netns is for a run with a proxy, and nothing asks for one.",
    ),
}


@pytest.mark.parametrize(("arguments", "message"), CONTRADICTIONS.values(), ids=CONTRADICTIONS)
def test_what_does_not_fit_together_is_refused(somewhere: Place, arguments: list[str], message: str) -> None:
    assert_refused(nono(somewhere, "run", *arguments, *ECHO), message)
    assert_refused(nono(somewhere, "run", "--dry-run", *arguments, *ECHO), message)


UNFIT = {
    "anchor": (["--audit-anchor", "foo"], 2, "--audit-anchor 'foo': not an anchor."),
    "collector": (["--audit-otlp", "x.example"], 2, "--audit-otlp 'x.example': expected a URL"),
    "anchor of no log": (
        ["--no-audit", "--audit-anchor", "key:x"],
        2,
        "--audit-anchor and --no-audit contradict",
    ),
    "name": (["--name", "latest"], 2, "--name 'latest': that means the session started last."),
    "place of snapshots": (
        ["--allow", ".", "--rollback", "--rollback-dest", "kept"],
        1,
        "so it could change what undo restores.",
    ),
    "signing key": (["--audit-sign-key", "/nope"], 1, "'/nope' is a path"),
    "file of exchanges": (
        ["--deny-domain", "x.example", "--record-flows", "/usr"],
        1,
        "--record-flows: '/usr' cannot be made: File exists",
    ),
    "place of exchanges": (
        ["--deny-domain", "x.example", "--record-flows", "/nonexistent/x"],
        1,
        "--record-flows: '/nonexistent/x' cannot be made: No such file or directory",
    ),
    "granted signing key": (
        ["--audit-sign-key", "file:///usr/share/signing-key"],
        1,
        "--audit-sign-key: the key lies in a granted directory",
    ),
}


@pytest.mark.parametrize(("arguments", "code", "message"), UNFIT.values(), ids=UNFIT)
def test_a_dry_run_refuses_what_a_run_does_beside_the_sandbox(
    somewhere: Place, arguments: list[str], code: int, message: str
) -> None:
    for dry in ([], ["--dry-run"]):
        refused = nono(somewhere, "run", *dry, *arguments, *ECHO)
        assert (refused.returncode, refused.stdout) == (code, "")
        assert message in refused.stderr
        assert "dry-run sandbox would be applied" not in refused.stderr


MALFORMED = {
    "unknown sandbox policy": (
        ["--sandbox-policy", "vm"],
        "--sandbox-policy 'vm': expected auto, landlock, external or netns.",
    ),
    "unknown word for namespaces": (
        ["--namespaces", "no"],
        "--namespaces 'no': expected auto, off or require.",
    ),
    "a size with decimals": (["--memory", "1.5G"], "--memory '1.5G' is not a size"),
    "a size without a unit": (["--memory", "512"], "--memory '512' is less than 1 MiB"),
    "no processes": (["--max-processes", "0"], "--max-processes '0' is not a number from 1 to 4194304."),
    "no seconds": (["--startup-timeout", "soon"], "--startup-timeout 'soon': expected seconds, up to 3600."),
    "too many seconds": (
        ["--detached", "--detach-timeout", "3601"],
        "--detach-timeout '3601': expected seconds, up to 3600.",
    ),
    "no day": (
        ["--allow-domain=x.example", "--proxy-ca-validity", "0"],
        "--proxy-ca-validity '0': expected a number of days, 1 to 365.",
    ),
    "another scheme than http for a host": (
        ["--allow-domain=ftp://x.example/"],
        "--allow-domain: 'ftp://x.example/': only http and https URLs name a host.",
    ),
    "a path that is refused": (
        ["--deny-domain=https://x.example/a"],
        "--deny-domain: 'https://x.example/a': a path can be allowed, and not refused here.",
    ),
    "an upstream proxy without a port": (
        ["--allow-domain=x.example", "--upstream-proxy=corp"],
        "--upstream-proxy: 'corp': expected host:port: the port is missing.",
    ),
    "an upstream proxy by https": (
        ["--allow-domain=x.example", "--upstream-proxy=https://corp:443"],
        "--upstream-proxy: 'https://': an upstream proxy is reached by http://, as HOST:PORT.",
    ),
    "no host to bypass it for": (
        ["--allow-domain=x.example", "--upstream-proxy=corp:1", "--upstream-bypass=two words"],
        "--upstream-bypass: 'two words' is not a host: ",
    ),
    "an endpoint without a method": (
        ["--credential=openai", "--allow-endpoint=openai:/v1"],
        "--allow-endpoint 'openai:/v1': expected SERVICE:METHOD:/path, three parts that are not empty.",
    ),
    "no name of a variable": (["--env==x"], "--env '': a variable of that name may not be set."),
    "a reference without its variable": (
        ["--env-credential=op://a/b/c"],
        "--env-credential: a reference by op:// needs its variable.",
    ),
    "a variable that steers programs": (
        ["--env-credential-map", "env://A", "PATH"],
        "--env-credential-map: 'PATH' may not hold a credential.",
    ),
}


@pytest.mark.parametrize(("arguments", "message"), MALFORMED.values(), ids=MALFORMED)
def test_a_malformed_value_of_an_option_is_a_usage_error(
    somewhere: Place, arguments: list[str], message: str
) -> None:
    assert_refused(nono(somewhere, "run", *arguments, *ECHO), message, 2)


@pytest.mark.parametrize(
    "arguments",
    [
        ["--block-net"],
        ["--block-net", "--deny-domain", "x.example"],
        *(["--sandbox-policy", policy] for policy in ("auto", "landlock", "external")),
    ],
    ids=repr,
)
def test_what_fits_together_starts(somewhere: Place, arguments: list[str]) -> None:
    assert nono(somewhere, "run", *arguments, *ECHO).stdout == STARTED


@pytest.mark.parametrize("flag", ["--allow-domain", "--deny-domain"])
@pytest.mark.parametrize(
    "host",
    [
        "two words",
        "1.2.3",
        "0x7f.1",
        "a*b",
        "x.example:0",
        "x.example:99999",
        "[::1",
        "-",
        "a..b",
        "*.1.2.3.4",
    ],
)
def test_what_is_no_host_is_refused(somewhere: Place, flag: str, host: str) -> None:
    result = nono(somewhere, "run", f"{flag}={host}", *ECHO)
    assert_refused(result, f"{flag}: '{host}' is not a host: ", 2)


@pytest.mark.parametrize("words", [("why", "--host"), ("proxy", "--listen")])
def test_what_is_no_host_is_shown_on_one_line(somewhere: Place, words: tuple[str, str]) -> None:
    assert_refused(nono(somewhere, *words, "a\nb"), f"{words[1]} 'a\\nb': 'a\\nb' is not a label", 2)


@pytest.mark.parametrize("host", ["x.example", "*.example", "x.example:8443", "127.0.0.1:9", "[::1]:9"])
def test_what_is_a_host_is_accepted(somewhere: Place, host: str) -> None:
    assert nono(somewhere, "run", f"--allow-domain={host}", *ECHO).stdout == STARTED


def test_a_yes_or_no_of_the_environment_is_one_of_the_known_words(somewhere: Place) -> None:
    maybe = nono(somewhere, "run", *ECHO, NONO_BLOCK_NET="maybe")
    assert_refused(maybe, "environment variable NONO_BLOCK_NET='maybe' is not a yes or a no.")
    assert nono(somewhere, "run", *ECHO, NONO_BLOCK_NET="off").stdout == STARTED


def test_a_profile_that_needs_the_proxy_is_refused_by_wrap(here: Place) -> None:
    profile = write(here, {"network": {"allow_domain": ["x.example"]}})
    wrapped = nono(here, "wrap", "-p", profile, *ECHO)
    supervised = nono(here, "run", "-p", profile, *ECHO)
    Path(profile).unlink()
    assert_refused(wrapped, "this profile needs the credential proxy")
    assert supervised.stdout == STARTED


@pytest.mark.parametrize("command", [["stop", "web"], ["ps"], ["credential", "list"]])
def test_nono_inside_wrap_is_told_of_the_sandbox_and_not_to_change_modes(
    here: Place, command: list[str]
) -> None:
    nono(here, "run", *ECHO)  # so that there is a state
    code = (str(Path(nono_package.__file__).parent.parent), sys.prefix, sys.base_prefix)
    inside = nono(here, "wrap", "-s", *(f"--read={each}" for each in code), "--", NONO, *command)
    assert inside.returncode == 1
    assert "a sandbox around this nono" in inside.stderr, inside.stderr
    assert "chmod" not in inside.stderr


def test_sessions_that_their_mode_closes_are_told_the_mode(here: Place) -> None:
    nono(here, "run", *ECHO)
    directory = here.user.home / ".local/state/nono/sessions"
    here.user.run(["chmod", "0", str(directory)])
    closed = nono(here, "ps")
    here.user.run(["chmod", "700", str(directory)])
    assert f"hint: chmod 700 {directory}" in closed.stderr


@pytest.mark.parametrize("limit", ["--memory=1G", "--max-processes=9"])
def test_limits_are_refused_by_wrap(somewhere: Place, limit: str) -> None:
    wrapped = nono(somewhere, "wrap", limit, *ECHO)
    assert_refused(wrapped, "--memory and --max-processes need a supervisor")
    assert "\nhint: nono run, " in wrapped.stderr
    assert limit.partition("=")[0] not in nono(somewhere, "wrap", "--help").stdout
    assert limit.partition("=")[0] in nono(somewhere, "run", "--help").stdout


@pytest.mark.parametrize("command", [RUN, WRAP])
@pytest.mark.parametrize(
    ("flag", "path", "hint"),
    [
        ("--read", "/nonexistent", "mkdir -p /nonexistent, or --allow-missing to go on without it"),
        ("--read-file", "/nonexistent", "a file that is not there cannot be granted; grant its directory"),
        ("--allow-file", "/nonexistent", "touch /nonexistent, or --allow-missing to go on without it"),
        (
            "--write-file",
            "/nonexistent/a b",
            "mkdir -p /nonexistent && touch '/nonexistent/a b', or --allow-missing to go on without it",
        ),
        (
            "--allow",
            "/x/$HOME",
            "the shell did not replace a variable: use double quotes, or none",
        ),
        (
            "--allow-unix-socket",
            "/nonexistent",
            "start what listens there first, or --allow-missing to go on without it",
        ),
    ],
)
def test_a_missing_path_is_refused(somewhere: Place, command: str, flag: str, path: str, hint: str) -> None:
    result = nono(somewhere, command, flag, path, *ECHO)
    assert_refused(result, f"'{path}' does not exist, so it cannot be granted.")
    assert result.stderr.endswith(f"\nhint: {hint}\n")


@pytest.mark.parametrize("flag", ["--allow", "--read-file"])
def test_a_link_that_leads_nowhere_is_named_where_it_is_to_be_granted(here: Place, flag: str) -> None:
    """`mkdir -p`, which was the hint, fails on it."""
    link = here.project / "link"
    link.symlink_to("nowhere")
    result = nono(here, "run", flag, str(link), *ECHO)
    link.unlink()
    assert_refused(result, f"'{link}' is a link that leads nowhere, to 'nowhere', so it cannot be granted.")
    assert result.stderr.endswith("\nhint: make what it leads to, or remove the link\n")


@pytest.mark.parametrize("target", ["link", "./link", "../{}/other"], ids=["itself", "dotted", "another"])
@pytest.mark.parametrize("below", ["", "below"], ids=["here", "elsewhere"])
def test_a_link_that_leads_back_to_itself_is_named_as_that(here: Place, below: str, target: str) -> None:
    directory = here.project / below
    directory.mkdir(exist_ok=True)
    link, other = directory / "link", directory / "other"
    link.symlink_to(target.format(directory.name))
    other.symlink_to(link)
    result = nono(here, "run", "--allow", str(link), *ECHO)
    link.unlink()
    other.unlink()
    if below:
        directory.rmdir()
    assert_refused(result, f"'{link}' is a link that leads back to itself, so it cannot be granted.")
    assert result.stderr.endswith("\nhint: remove the link, or change what it leads to\n")


@pytest.mark.parametrize("command", [("doctor", "--project"), ("trust", "list"), ("learn", "--", "true")])
def test_where_the_current_directory_was_removed_it_says_so(here: Place, command: tuple[str, ...]) -> None:
    script = 'mkdir gone && cd gone && rmdir ../gone && exec "$@"'
    result = here.user.run(["sh", "-c", script, "sh", NONO, *command], cwd=here.project)
    assert result.returncode == 1
    assert result.stderr.endswith("hint: the current directory was removed: cd to one that exists\n")


def test_a_missing_path_is_skipped_where_that_is_allowed(somewhere: Place) -> None:
    result = nono(somewhere, "run", "--allow-missing", "--read", "/nonexistent", *ECHO)
    assert result.stdout == STARTED
    assert "skipped because the path does not exist:\n    /nonexistent\n" in result.stderr


# Profiles


def write(place: Place, content: object) -> str:
    path = place.user.home / "profile.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    path.chmod(0o644)
    return str(path)


@dataclass(frozen=True, slots=True)
class Mistake:
    content: object
    said: str
    place: str = r"1:\d+"


PROFILES = {
    "unknown key": Mistake(
        {"network": {"allow_domian": []}},
        "network.allow_domian: no such field (did you mean 'allow_domain'?)",
    ),
    "unknown section": Mistake({"netwrok": {}}, "netwrok: no such field (did you mean 'network'?)"),
    "text for a list": Mistake(
        {"network": {"allow_domain": "x.example"}}, "network.allow_domain: expected a list"
    ),
    "number for a text": Mistake(
        {"network": {"credentials": ["openai", 1]}}, "network.credentials.1: expected a string"
    ),
    "text for a truth value": Mistake({"network": {"block": "yes"}}, "network.block: expected true or false"),
    "list for an object": Mistake({"network": []}, "network: expected an object"),
    "unknown word": Mistake(
        {"security": {"wsl2_proxy_policy": "insecure"}},
        "security.wsl2_proxy_policy: expected 'error', 'insecure_proxy' or 'netns'",
    ),
    "field of later": Mistake({"packs": ["a/b"]}, "packs.0: not available yet"),
    "not JSON": Mistake('{\n  "network": {,}\n}', "network: expected a key in double quotes", "2:15"),
    "comment without end": Mistake("{\n/* no\n}", "a comment has no end: expected '*/'", "2:1"),
    "empty": Mistake("", "the file is empty", "1:1"),
    "cut off": Mistake('{"network": {', "network: expected '}' for what begins in line 1, column 13", "1:14"),
    "key twice": Mistake('{"network": {},\n"network": {}}', "network: duplicate field 'network'", "2:1"),
    "not an object": Mistake("[]", "expected an object"),
    "malformed host": Mistake({"network": {"deny_domain": ["a b"]}}, "network.deny_domain.0: 'a b': "),
    "malformed reference": Mistake(
        {
            "network": {
                "custom_credentials": {
                    "x": {"upstream": "https://x.example", "credential_key": "env:/X", "env_var": "X"}
                }
            }
        },
        "network.custom_credentials.x.credential_key: expected an account name",
    ),
    "upstream in the clear": Mistake(
        {"network": {"custom_credentials": {"x": {"upstream": "http://x.example", "credential_key": "x"}}}},
        "network.custom_credentials.x.upstream: http is for loopback only",
    ),
}


@pytest.mark.parametrize("command", ["run", "wrap"])
@pytest.mark.parametrize("mistake", PROFILES.values(), ids=PROFILES)
def test_a_mistake_in_a_profile_is_named_with_its_place(here: Place, command: str, mistake: Mistake) -> None:
    profile = write(here, mistake.content)
    result = nono(here, command, "-p", profile, *ECHO)
    Path(profile).unlink()
    place = re.search(rf"{re.escape(profile)}:({mistake.place}): ", result.stderr)
    assert place is not None, result.stderr
    assert_refused(result, f"Profile parse error: {profile}:{place[1]}: {mistake.said}")


def test_every_mistake_of_a_profile_is_named_at_once(here: Place) -> None:
    profile = write(here, {"netwrok": {}, "workdir": {"access": "rw"}, "network": {"block": 1}})
    result = nono(here, "run", "-p", profile, *ECHO)
    Path(profile).unlink()
    assert result.returncode == 1
    assert len(result.stderr.strip().splitlines()) == 3
    for path in ("netwrok", "workdir.access", "network.block"):
        assert re.search(rf"{re.escape(profile)}:1:\d+: {path}: ", result.stderr)


@pytest.mark.parametrize(
    ("name", "message", "hint"),
    [
        ("no-such-one", "Profile not found: no-such-one", "hint: nono profile list names those there are"),
        ("defualt", "Profile not found: defualt", "hint: did you mean 'default'?"),
        ("./no.json", "Profile read error at ./no.json: profile file not found", None),
        ("two words", "Profile not found: 'two words'", None),
        ("../up", "Profile read error at ../up: profile file not found", None),
        ("/dev/null", "Profile read error at /dev/null: not a regular file", None),
        ("/etc/", "Profile read error at /etc/: ", None),
    ],
)
def test_a_profile_that_is_not_there_is_refused(
    somewhere: Place, name: str, message: str, hint: str | None
) -> None:
    result = nono(somewhere, "run", "-p", name, *ECHO)
    assert_refused(result, message)
    assert result.stderr.splitlines()[1:] == ([hint] if hint else [])


def test_a_base_that_is_not_there_is_refused(here: Place) -> None:
    profile = write(here, {"extends": "defualt"})
    result = nono(here, "run", "-p", profile, *ECHO)
    Path(profile).unlink()
    assert_refused(result, "Profile inheritance error: base profile 'defualt' not found")
    assert "did you mean 'default'?" in result.stderr


# Credentials and the proxy


def service(**changes: str) -> dict[str, object]:
    return custom(
        {"upstream": "https://localhost:9/v1", "credential_key": "env://DEMO_KEY", "env_var": "DEMO_KEY"}
        | changes
    )


def custom(entry: Mapping[str, object]) -> dict[str, object]:
    return {"network": {"credentials": ["demo"], "custom_credentials": {"demo": entry}}}


# Asks its service with whatever phantom there is; prints status, body and the phantom.
ASK = """
import http.client, os, urllib.parse
base = urllib.parse.urlsplit(os.environ["DEMO_BASE_URL"])
phantom = os.environ.get("DEMO_KEY")
connection = http.client.HTTPConnection(base.hostname, base.port, timeout=20)
headers = {"Authorization": f"Bearer {phantom}"} if phantom else {}
connection.request("GET", base.path + "/models", headers=headers)
response = connection.getresponse()
print(response.status, response.getheader("Content-Type"))
print(response.read().decode().replace(chr(10), " "))
print("no phantom" if phantom is None else "phantom")
"""
PYTHON_GRANT = ("--read", str(Path(INTERPRETER).parent.parent))


@pytest.mark.parametrize(
    ("key", "message"),
    [
        ("nope://x", "credential reference: unknown scheme 'nope'"),
        ("env://", "env:// reference: "),
        ("env://A B", "env:// reference: "),
        ("file://relative", "file:// reference: the path must be absolute"),
        ("keyring://only-a-service", "keyring:// reference: "),
    ],
)
def test_a_malformed_reference_starts_nothing(here: Place, key: str, message: str) -> None:
    profile = write(here, service(credential_key=key))
    result = nono(here, "run", "-s", "-p", profile, *ECHO)
    Path(profile).unlink()
    assert_refused(result, f"credential 'demo': credential_key: {message}")


UNREADABLE = "op://vault/item"  # without its field
UNSCOPED = "https://s3.amazonaws.com"  # without its region
MENDED = {UNREADABLE: f"{UNREADABLE}/field", UNSCOPED: "https://s3.eu-west-1.amazonaws.com"}


def mend(profile: str) -> None:
    text = Path(profile).read_text()
    for wrong, right in MENDED.items():
        text = text.replace(wrong, right)
    Path(profile).write_text(text)


@pytest.mark.parametrize(
    ("document", "flags", "message"),
    [
        (service(credential_key=UNREADABLE), [], "credential 'demo': credential_key: op:// reference: "),
        (
            {"network": {"upstream_proxy": {"address": "corp.example:3128", "auth": UNREADABLE}}},
            ["--allow-domain", "x.example"],
            "the password of the upstream proxy corp.example:3128: op:// reference: ",
        ),
        ({"env_credentials": {UNREADABLE: "DEMO_KEY"}}, [], "op:// reference: "),
        (
            custom({"upstream": UNSCOPED, "aws_auth": {}}),
            [],
            "credential 'demo': the host s3.amazonaws.com names no AWS region\n",
        ),
    ],
    ids=["service", "upstream proxy", "variable", "keys of AWS"],
)
def test_a_credential_that_starts_nothing_is_found_without_a_run(
    here: Place, document: dict[str, object], flags: list[str], message: str
) -> None:
    profile = write(here, document)
    for dry in ([], ["--dry-run"]):
        refused = nono(here, "run", *dry, "-p", profile, *flags, *ECHO)
        assert refused.returncode == 1
        assert f"\nnono: {message}" in refused.stderr
        assert "sandbox would be applied" not in refused.stderr
    mend(profile)
    well_formed = nono(here, "run", "--dry-run", "-p", profile, *flags, *ECHO)
    Path(profile).unlink()
    assert well_formed.returncode == 0
    assert "sandbox would be applied" in well_formed.stderr


def test_a_malformed_reference_makes_a_profile_invalid(here: Place) -> None:
    profile = write(here, service(credential_key=UNREADABLE))
    found = nono(here, "profile", "validate", profile)
    mend(profile)
    well_formed = nono(here, "profile", "validate", profile)
    Path(profile).unlink()
    assert found.returncode == 1
    refused = "a run with it is refused here: credential 'demo': credential_key: op:// reference: "
    assert refused in " ".join(found.stdout.split())
    assert well_formed.returncode == 0


def test_what_helps_with_a_key_that_cannot_be_fetched_is_a_line_of_its_own(here: Place) -> None:
    capture = {"credential_capture": {"broken": {"command": ["/bin/false"]}}}
    profile = write(here, capture | service(credential_key="cmd://broken", env_var="DEMO_KEY"))
    result = nono(here, "run", "-p", profile, *PYTHON_GRANT, "--", INTERPRETER, "-c", ASK)
    Path(profile).unlink()
    warning = "  [nono] WARNING: cmd://broken: it failed (exit status 1); requests to 'demo' answer 503\n"
    assert f"{warning}    hint: run it in a terminal: /bin/false\n" in result.stderr
    assert "fix: --allow-domain" not in result.stderr


@pytest.mark.parametrize("content", [None, "not a certificate"], ids=["missing", "not-pem"])
def test_certificates_that_cannot_be_used_start_nothing(here: Place, content: str | None) -> None:
    ca_file = here.user.home / "ca.pem"
    if content is not None:
        ca_file.write_text(content)
        ca_file.chmod(0o644)
    profile = write(here, service(tls_ca=str(ca_file)))
    result = nono(here, "run", "-s", "-p", profile, *ECHO, DEMO_KEY=REAL_KEY)
    Path(profile).unlink()
    ca_file.unlink(missing_ok=True)
    why = "No such file or directory" if content is None else "it holds no certificate in PEM"
    assert_refused(result, f"credential 'demo': tls_ca '{ca_file}' cannot be used: {why}")


def test_a_dry_run_and_a_validation_refuse_the_certificates_that_a_run_refuses(here: Place) -> None:
    ca_file = here.user.home / "ca.pem"
    profile = write(here, service(tls_ca=str(ca_file)))
    dry_run = nono(here, "run", "-p", profile, "--dry-run", *ECHO)
    found = nono(here, "profile", "validate", profile)
    ca_file.write_bytes(trustme.CA().cert_pem.bytes())
    ca_file.chmod(0o644)
    usable = nono(here, "run", "-p", profile, "--dry-run", *ECHO)
    valid = nono(here, "profile", "validate", profile)
    for file in (Path(profile), ca_file):
        file.unlink()
    why = f"credential 'demo': tls_ca '{ca_file}' cannot be used: No such file or directory"
    assert dry_run.returncode == 1
    assert dry_run.stderr.splitlines()[-1] == f"nono: {why}"
    assert found.returncode == 1
    assert f"a run with it is refused here: {why}" in " ".join(found.stdout.split())
    assert (usable.returncode, valid.returncode) == (0, 0), usable.stderr


def test_nobody_waits_for_a_fifo_in_place_of_a_certificate(here: Place) -> None:
    fifo = here.user.home / "ca.pem"
    os.mkfifo(fifo)
    fifo.chmod(0o644)
    profile = write(here, service(tls_ca=str(fifo)))
    found = nono(here, "profile", "validate", profile)
    result = nono(here, "run", "-s", "-p", profile, *ECHO, DEMO_KEY=REAL_KEY)
    for file in (Path(profile), fifo):
        file.unlink()
    why = f"credential 'demo': tls_ca '{fifo}' cannot be used: it is no regular file"
    assert f"a run with it is refused here: {why}" in " ".join(found.stdout.split())
    assert_refused(result, why)


def weak_pair() -> tuple[bytes, bytes]:
    """Return a certificate with a key that OpenSSL finds too short, and that key."""
    key = rsa.generate_private_key(65537, 1024)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "client.test")])
    begin = datetime(2020, 1, 1, tzinfo=UTC)
    unsigned = x509.CertificateBuilder(name, name, key.public_key(), 1, begin, begin + timedelta(days=9999))
    form = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    certificate = unsigned.sign(key, hashes.SHA256())
    return certificate.public_bytes(serialization.Encoding.PEM), key.private_bytes(*form)


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        ("cert", "tls_client_cert '{cert}' cannot be used: it holds no certificate in PEM"),
        ("key", "tls_client_key '{key}' cannot be used: it holds no key in PEM, or one with a"),
        ("pair", "tls_client_cert '{cert}' and tls_client_key '{key}' do not belong together"),
        ("kinds", "tls_client_cert '{cert}' and tls_client_key '{key}' do not belong together"),
        ("weak", "tls_client_cert '{cert}' cannot be used: ee key too small"),
        (
            "passphrase",
            "tls_client_key '{key}' cannot be used: it holds no key in PEM, or one with a passphrase",
        ),
        ("missing", "tls_client_key '{key}' cannot be used: No such file or directory"),
    ],
)
def test_an_unusable_client_certificate_prevents_the_start(here: Place, broken: str, message: str) -> None:
    files = {name: here.user.home / f"client.{name}" for name in ("cert", "key")}
    issue = trustme.CA().issue_cert
    one, other = (issue("client.test", key_type=trustme.KeyType.ECDSA) for _ in range(2))
    if broken == "kinds":
        other = issue("client.test", key_type=trustme.KeyType.RSA)
    pem = {
        "cert": one.cert_chain_pems[0].bytes(),
        "key": (other if broken in ("pair", "kinds") else one).private_key_pem.bytes(),
    }
    if broken == "weak":
        pem["cert"], pem["key"] = weak_pair()
    if broken in pem:
        pem[broken] = b"no PEM"
    if broken == "passphrase":
        key = serialization.load_pem_private_key(pem["key"], None)
        encryption = serialization.BestAvailableEncryption(b"open sesame")
        form = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8)
        pem["key"] = key.private_bytes(*form, encryption)
    for name, content in pem.items():
        files[name].write_bytes(content)
        os.chown(files[name], here.user.home.stat().st_uid, -1)
        files[name].chmod(0o600)
    if broken == "missing":
        files["key"].unlink()
    profile = write(here, service(tls_client_cert=str(files["cert"]), tls_client_key=str(files["key"])))
    result = nono(here, "run", "-s", "-p", profile, *ECHO, DEMO_KEY=REAL_KEY)
    for path in (Path(profile), *files.values()):
        path.unlink(missing_ok=True)
    assert_refused(result, f"credential 'demo': {message.format(**files)}")


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ("--name=latest", "--name 'latest': that means the session started last."),
        ("--audit-anchor=x", "--audit-anchor 'x': not an anchor."),
        ("--audit-otlp=x", "--audit-otlp 'x': expected a URL that begins with http:// or https://."),
    ],
)
def test_what_is_refused_before_the_start_is_not_shown_as_granted(
    here: Place, option: str, message: str
) -> None:
    refused = nono(here, "run", option, *ECHO)
    assert_refused(refused, message, 2)
    assert "Capabilities:" in nono(here, "run", "--name=other", *ECHO).stderr


def test_a_path_in_place_of_a_signing_key_is_told_how_it_is_written(here: Place) -> None:
    refused = nono(here, "run", "-s", "--audit-sign-key=/nope", *ECHO)
    assert_refused(refused, "'/nope' is a path: the signing key of a file is written file:///PATH")


def test_a_port_that_is_taken_starts_nothing(here: Place) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        arguments = ("run", "-s", "--deny-domain", "x.example", "--proxy-port", port, *ECHO)
        refused = nono(here, *arguments)
    free = nono(here, *arguments)
    assert_refused(refused, f"Proxy bind failed on 127.0.0.1:{port}: Address already in use")
    assert free.stdout == STARTED


def test_a_run_without_its_credential_does_not_start(ladder_stage: Stage) -> None:
    profile = ladder_stage.profile(None)
    arguments = ["--profile", profile, *PYTHON_GRANT, "--", *PYTHON, ASK]
    before = len(ladder_stage.upstream.requests)
    without = ladder_stage.nono("run", *arguments, environment={"DEMO_KEY": ""})
    assert len(ladder_stage.upstream.requests) == before
    assert (without.returncode, without.stdout) == (1, "")
    told = [line for line in without.stderr.splitlines() if "there is no key for 'demo'" in line]
    assert ["env://DEMO_KEY" in line for line in told] == [True]
    assert [event for event in map(network_event, audited(ladder_stage)) if event] == []

    with_it = ladder_stage.nono("run", *arguments)
    assert with_it.stdout.splitlines() == ["200 None", "ok", "phantom"]
    assert "no key" not in with_it.stderr


def test_a_dead_upstream_answers_502_with_the_reason_as_json(here: Place) -> None:
    with socket.socket() as closed:  # bound, never listening: nobody else gets the port meanwhile
        closed.bind(("127.0.0.1", 0))
        profile = write(here, service(upstream=f"https://localhost:{closed.getsockname()[1]}/v1"))
        result = nono(here, "run", "-p", profile, *PYTHON_GRANT, "--", *PYTHON, ASK, DEMO_KEY=REAL_KEY)
    Path(profile).unlink()
    assert result.returncode == 0, result.stderr
    first, body, phantom = result.stdout.splitlines()
    assert first == "502 application/json"
    answer = json.loads(body)
    assert {"error", "host"} <= set(answer)
    assert answer["host"] == "localhost"
    assert phantom == "phantom"
    assert REAL_KEY not in result.stdout + result.stderr


def network_event(event: dict[str, object]) -> dict[str, object] | None:
    inner = event.get("event")
    return inner if event["type"] == "network" and isinstance(inner, dict) else None


# Other commands


@pytest.mark.parametrize(
    ("arguments", "message", "code"),
    [
        (["why"], "a question is missing: a path, a host or a variable", 2),
        (["run", "--name", "a\nb", *ECHO], "--name 'a\\nb': expected up to 64 printable characters", 2),
        (["run", "--name", " a", *ECHO], "--name ' a': expected up to 64 printable characters", 2),
        (["prune", "--older-than", "-1"], "--older-than: '-1' is not a whole number from 0 to 999999999", 2),
        (["prune", "--keep", "1.5"], "--keep: '1.5' is not a whole number from 0 to 999999999", 2),
        (["why", "--host", "x.example:0"], "--host 'x.example:0': ", 2),
        (["allow", "x.example/a"], "'x.example/a' is neither a host nor a path: ", 2),
        (["setup", "--profiles", "--check-only"], "--check-only changes nothing", 2),
        (["credential", "set", "a/b"], "a credential's name has 1 to 64 letters", 1),
        (["credential", "test", "absent"], "credential 'absent' is not in the embedded store", 1),
        (["credential", "remove", "absent"], "credential 'absent'", 1),
        (["credential", "set", "empty"], "the value of 'empty' is empty; nothing was stored", 1),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_the_other_commands_say_what_is_wrong(
    somewhere: Place, arguments: list[str], message: str, code: int
) -> None:
    assert_refused(nono(somewhere, *arguments), message, code)


@pytest.mark.parametrize(
    "arguments",
    [["credential"], ["credential", "fetch", "x"], ["why", "--op", "execute", "--path", "/"]],
    ids=repr,
)
def test_the_other_commands_have_usage_errors(somewhere: Place, arguments: list[str]) -> None:
    result = nono(somewhere, *arguments)
    assert_refused(result, "", 2)
    assert "\nhint: " in result.stderr
