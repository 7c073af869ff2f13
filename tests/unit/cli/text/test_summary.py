"""What a person reads before a run starts."""

from __future__ import annotations

from pathlib import Path

import pytest

from nono.cli.args.parse import parse
from nono.cli.resolution import resolve_given
from nono.cli.text import summary
from nono.policy.environment.inheritance import Withheld
from nono.sandbox.plan.enforcement import OTHER_SOCKETS_GAP, UNIX_SOCKET_GAP, Enforcement
from nono.sandbox.plan.facts import HostFacts, Listener


@pytest.mark.parametrize(
    ("argv", "lines"),
    [
        ([], []),
        (["--deny-domain", "x.example"], []),
        (["--allow-domain", "x.example"], ["    to   1 host"]),
        (["--allow-domain", "*.com"], ["    to   any host of *.com"]),
        (
            ["--allow-domain", "x.example", "--allow-domain", "*.org:8443", "--allow-domain", "*.com"],
            ["    to   1 host, any host of *.com, *.org:8443"],
        ),
        (
            [f"--allow-domain=*.{name}.example" for name in "abcd"],
            ["    to   any host of 4 patterns"],
        ),
        (["--allow-domain", "*"], ["    to   any host"]),
        (["--network-profile", "minimal", "--allow-domain", "*"], ["    to   any host"]),
        (["--network-profile", "minimal"], ["    to   16 hosts (nono profile hosts minimal)"]),
        (
            ["--network-profile=minimal", "--allow-domain=x.example", "--allow-domain=*.org"],
            ["    to   16 hosts (nono profile hosts minimal), x.example, any host of *.org"],
        ),
        (
            ["--network-profile=minimal", "--allow-domain=https://x.example/a"],
            ["    to   16 hosts (nono profile hosts minimal)", "    path https://x.example * /a"],
        ),
        (
            ["--allow-domain=x.example", "--allow-domain=y.example", "--deny-domain=y.example"],
            ["    to   1 host"],
        ),
        (["--allow-domain=x.example", "--deny-domain=x.example:80"], ["    to   1 host"]),
        (["--allow-domain=a.x.example", "--deny-domain=*.x.example"], ["    to   0 hosts"]),
        (["--allow-domain=*.a.example", "--deny-domain=*.example"], ["    to   0 hosts"]),
        (["--allow-domain=*.example", "--deny-domain=*.a.example"], ["    to   any host of *.example"]),
        (["--allow-domain=*", "--deny-domain=x.example"], ["    to   any host"]),
        (["--allow-domain=169.254.169.254", "--allow-domain=10.0.0.1"], ["    to   1 host"]),
        (["--allow-domain=metadata.google.internal:80"], ["    to   0 hosts"]),
        (
            ["--network-profile=minimal", "--deny-domain=api.openai.com"],
            ["    to   15 of 16 hosts (nono profile hosts minimal)"],
        ),
        (
            ["--network-profile=minimal", *(f"--allow-domain={name}.example" for name in "abcd")],
            ["    to   16 hosts (nono profile hosts minimal), 4 more hosts"],
        ),
        (
            ["--allow-domain", "https://x.example:8443/a/**", "--upstream-proxy", "Corp:3128"],
            ["    to   1 host", "    path https://x.example:8443 * /a/**", "    via  corp:3128"],
        ),
        (["--upstream-proxy", "[::1]:3128"], ["    via  [::1]:3128"]),
    ],
)
def test_hosts_paths_and_the_way_out_are_shown(argv: list[str], lines: list[str], tmp_path: Path) -> None:
    resolved = resolve_given(parse("run", "", [*argv, "true"], {}), {"HOME": str(tmp_path)})
    assert summary.routes(resolved) == lines


@pytest.mark.parametrize(
    ("host", "why"),
    [
        ("metadata.google.internal", "it is the metadata service of a cloud"),
        ("169.254.169.254:80", "it is the metadata service of a cloud"),
        ("100.100.100.200", "resolved IP 100.100.100.200 belongs to a cloud metadata service"),
        ("[fe80::1]", "resolved IP fe80::1 is in the link-local range"),
        ("224.0.0.1", "resolved IP 224.0.0.1 is an unspecified, multicast or reserved address"),
        ("10.0.0.1", None),
        ("127.0.0.1:8080", None),
        ("localhost", None),
        ("*.google.internal", None),
    ],
)
def test_a_granted_host_that_no_run_reaches_is_warned_about(
    host: str, why: str | None, tmp_path: Path
) -> None:
    resolved = resolve_given(parse("run", "", ["--allow-domain", host, "true"], {}), {"HOME": str(tmp_path)})
    said = [warning for warning in resolved.warnings if "--allow-domain" in warning]
    assert [warning.partition(why or ".")[0] for warning in said] == (
        [] if why is None else [f"--allow-domain: {host} is not reached in any run: "]
    )


@pytest.mark.parametrize(
    ("argv", "net"),
    [
        ([], "outbound allowed"),
        (["--open-port", "3000"], "outbound allowed"),
        (["--block-net"], "outbound blocked"),
        (
            ["--block-net", "--open-port", "3000", "--open-port", "3001"],
            "outbound blocked, connects to and listens on localhost at 3000-3001",
        ),
        (
            ["--allow-connect-port", "22"],
            "outbound by port, connects to any host on 22, no DNS (UDP is closed)",
        ),
        (["--allow-domain", "x.example", "--listen-port", "80"], "proxy, listens on 80"),
    ],
)
def test_the_summary_says_how_far_the_network_reaches(argv: list[str], net: str, tmp_path: Path) -> None:
    resolved = resolve_given(parse("run", "", [*argv, "true"], {}), {"HOME": str(tmp_path)})
    lines = summary.summary(resolved.capabilities, (), (), verbose=False)
    assert f"    net  {net}" in lines


@pytest.mark.parametrize(
    ("argv", "lines"),
    [
        ([], []),
        (["--memory", "1536M"], ["    resources memory=1.5 GiB"]),
        (["--max-processes", "9"], ["    resources processes=9 (threads count as well)"]),
        (
            ["--memory", "64M", "--max-processes", "9"],
            ["    resources memory=64 MiB, processes=9 (threads count as well)"],
        ),
    ],
)
def test_the_summary_names_limits(argv: list[str], lines: list[str], tmp_path: Path) -> None:
    resolved = resolve_given(parse("run", "", [*argv, "true"], {}), {"HOME": str(tmp_path)})
    shown = summary.summary(resolved.capabilities, (), (), verbose=False)
    assert [line for line in shown if line.startswith("    resources")] == lines
    assert ("for the command and all it starts, together" in "".join(shown)) == (lines != [])


def test_the_summary_says_what_each_socket_is_for(tmp_path: Path) -> None:
    argv = ["--allow-unix-socket-dir", str(tmp_path), "--allow-unix-socket-bind", str(tmp_path / "s"), "true"]
    resolved = resolve_given(parse("run", "", argv, {}), {"HOME": "/home/of-nobody"})
    lines = summary.summary(resolved.capabilities, (), (), verbose=True)
    assert f"    sock  {tmp_path} (sockets in it) [user]" in lines
    assert f"    sock+ {tmp_path}/s (socket) [user]" in lines


@pytest.mark.parametrize(
    ("bypass", "lines"), [([], []), (["--bypass-protection", "KEY"], ["  protection lifted: KEY"])]
)
def test_the_summary_names_what_a_run_leaves_unprotected(
    bypass: list[str], lines: list[str], tmp_path: Path
) -> None:
    key = tmp_path / ".ssh/id"
    key.parent.mkdir()
    key.touch()
    argv = [
        word.replace("KEY", str(key)) for word in [*bypass, "--read-file", "KEY" if bypass else "/etc/hosts"]
    ]
    resolved = resolve_given(parse("run", "", [*argv, "true"], {}), {"HOME": str(tmp_path)})
    assert summary.lifted(resolved) == [line.replace("KEY", str(key)) for line in lines]


FACTS = HostFacts("6.12.1", 6, Listener.AVAILABLE, "", network_namespace=True, is_wsl2=False)


@pytest.mark.parametrize(
    ("gaps", "warnings", "counted"),
    [
        ((), (), []),
        (("one.",), (), ["  not enforced: 1 thing (-v to show)"]),
        (("one.", "two."), (), ["  not enforced: 2 things (-v to show)"]),
        (("one.", "warned."), ("warned.",), ["  not enforced: 1 thing (-v to show)"]),
        (("warned.",), ("warned.",), []),
        (
            (UNIX_SOCKET_GAP,),
            (),
            ["  not enforced: Unix sockets, D-Bus and Docker among them (-v to show)"],
        ),
        (
            ("one.", OTHER_SOCKETS_GAP, "two."),
            (),
            ["  not enforced: Unix sockets of other programs and 2 other things (-v to show)"],
        ),
    ],
)
def test_what_is_not_enforced_is_counted_unless_verbose_names_it(
    gaps: tuple[str, ...], warnings: tuple[str, ...], counted: list[str]
) -> None:
    chosen = Enforcement(None, warnings=warnings, gaps=gaps)
    assert summary.enforcement(chosen, FACTS, verbose=False) == counted
    named = [f"  not enforced: {gap}" for gap in gaps if gap not in warnings]
    assert summary.enforcement(chosen, FACTS, verbose=True)[1:] == named


def test_one_line_says_what_a_choice_shares_with_the_host() -> None:
    chosen = Enforcement(None, gaps=("one.", "in full."), shares="in full.", shares_by="namespaces off")
    in_short = "  shared with this host: processes and /tmp (namespaces off)"
    counted = "  not enforced: 1 thing (-v to show)"
    assert summary.enforcement(chosen, FACTS, verbose=False) == [in_short, counted]
    assert "  not enforced: in full." in summary.enforcement(chosen, FACTS, verbose=True)


def test_what_a_host_shares_by_itself_is_left_to_the_warning() -> None:
    chosen = Enforcement(None, gaps=("in full.",), shares="in full.")
    assert summary.enforcement(chosen, FACTS, verbose=False) == []


KEPT_OUT = [
    Withheld("GITHUB_TOKEN", "service_key", "github reads its key from it", "--credential github"),
    Withheld("LD_X", "steers_programs", "it changes what programs load"),
    Withheld("NPM_TOKEN", "secret_name", "its name says that it is a secret", "--env NPM_TOKEN"),
]


def test_withheld_secrets_are_counted_in_one_line_beside_their_services() -> None:
    assert summary.not_inherited(KEPT_OUT, verbose=False) == [
        "    env  2 secrets of this environment withheld (-v to show)",
        "         with --credential github the command uses the key and never sees it",
    ]
    assert summary.not_inherited(KEPT_OUT[1:], verbose=False) == [
        "    env  1 secret of this environment withheld (-v to show)"
    ]
    assert summary.not_inherited(KEPT_OUT[1:2], verbose=False) == []


def test_no_service_is_offered_where_there_is_no_proxy() -> None:
    assert len(summary.not_inherited(KEPT_OUT, verbose=False, has_proxy=False)) == 1


def test_a_verbose_summary_names_every_variable_with_its_reason() -> None:
    text = "\n".join(summary.not_inherited(KEPT_OUT, verbose=True))
    assert "withheld (github reads its key from it): GITHUB_TOKEN" in text
    assert "not inherited (it changes what programs load): LD_X" in text
    assert "withheld (its name says that it is a secret): NPM_TOKEN" in text
    assert "--env NAME passes one of them on" in text
