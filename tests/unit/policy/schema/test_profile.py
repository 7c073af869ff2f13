"""Profiles: what is accepted, where they are found, what inheritance makes of them."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

import pytest

from nono.errors import ProfileError
from nono.policy.document.merge import merge
from nono.policy.document.source import read_source
from nono.policy.document.validate import Checked, validate
from nono.policy.document.when import Host
from nono.policy.profile.store import load_profile
from nono.policy.schema.profile import Profile
from support.profiles.full import FULL

HOST = Host(id="ubuntu", id_like=("debian",), version="24.04")


def checked(document: object) -> Checked:
    return validate(read_source(json.dumps(document).encode(), "p.json"), HOST)


def mistakes(document: object) -> str:
    """Return the mistakes without lines and columns."""
    with pytest.raises(ProfileError) as error:
        checked(document)
    return re.sub(r"p\.json:\d+:\d+:", "p.json:", error.value.message)


def test_every_available_field_is_accepted() -> None:
    profile = checked(FULL).profile
    assert profile.network.custom_credentials["corp"].upstream == "https://api.corp.example/v2"
    assert profile.environment.allow_vars == ("A*",)


def test_an_empty_profile_has_the_defaults() -> None:
    assert checked({}).profile == Profile()


NOT_YET: list[tuple[dict[str, Any], str]] = [
    ({"command_policies": {"commands": {"git": {}}}}, "command_policies"),
    ({"packs": ["a/b"]}, "packs.0"),
    ({"network": {"tls_intercept": {"ca_lifecycle": "trusted"}}}, "network.tls_intercept.ca_lifecycle"),
    (
        {"credential_capture": {"a": {"command": ["x"], "interaction": {"stdin": True}}}},
        "credential_capture.a.inte",
    ),
]


@pytest.mark.parametrize(("document", "path"), NOT_YET)
def test_a_field_that_is_not_built_yet_is_refused(document: dict[str, Any], path: str) -> None:
    (line,) = mistakes(document).splitlines()
    assert line.startswith(f"Profile parse error: p.json: {path}")
    assert "not available yet" in line


def test_a_field_that_asks_for_nothing_is_no_mistake() -> None:
    checked({"interactive": False, "hooks": {}, "network": {"open_port": []}, "binary": None})


@pytest.mark.parametrize(
    ("document", "line"),
    [
        ([], "p.json: expected an object"),
        ({"netwrk": {}}, "p.json: netwrk: no such field (did you mean 'network'?)"),
        ({"env": {}}, "p.json: env: no such field (did you mean 'environment'?)"),
        ({"hosts": []}, "p.json: hosts: no such field (did you mean 'network.allow_domain'?)"),
        (
            {"network": {"allow_hosts": []}},
            "p.json: network.allow_hosts: no such field (did you mean 'allow_domain'?)",
        ),
        (
            {"filesystem": {"deny_read": []}},
            "p.json: filesystem.deny_read: no such field (did you mean 'deny'?)",
        ),
        (
            {"filesystem": {"readwrite": []}},
            "p.json: filesystem.readwrite: no such field (did you mean 'allow'?)",
        ),
        (
            {"network": {"deny_domains": []}},
            "p.json: network.deny_domains: no such field (did you mean 'deny_domain'?)",
        ),
        (
            {"allow_domain": ["a.example"]},
            "p.json: allow_domain: no such field (did you mean 'network.allow_domain'?)",
        ),
        (
            {"linux": {"wsl2_proxy_policy": "error"}},
            "p.json: linux.wsl2_proxy_policy: no such field (did you mean 'security.wsl2_proxy_policy'?)",
        ),
        (
            {"network": {"credential_capture": {}}},
            "p.json: network.credential_capture: no such field (did you mean 'credential_capture' at the ",
        ),
        ({"network": {"block": "yes"}}, "p.json: network.block: expected true or false"),
        ({"network": {"allow_domain": "x"}}, "p.json: network.allow_domain: expected a list"),
        ({"network": {"allow_domain": [1]}}, "p.json: network.allow_domain.0: expected a string"),
        ({"network": {"allow_domain": ["0x7f.1"]}}, "p.json: network.allow_domain.0: '0x7f.1': "),
        (
            {"network": {"raw_tunnels": ["git.example"]}},
            "p.json: network.raw_tunnels.0: 'git.example': the port",
        ),
        (
            {"workdir": {"access": "rw"}},
            "p.json: workdir.access: expected 'none', 'read', 'write' or 'readwrite'",
        ),
        ({"workdir": 3}, "p.json: workdir: expected an object"),
        (
            {"filesystem": {"allow": ["src/*", "src/**/[a]*"]}},
            "p.json: filesystem.allow.1: 'src/**/[a]*': of a pattern, only * and ** are known",
        ),
        (
            {"filesystem": {"read_file": ["src/*"]}},
            "p.json: filesystem.read_file.0: 'src/*': no pattern is expected here, but one path",
        ),
        ({"filesystem": {"read": [""]}}, "p.json: filesystem.read.0: '' is not a path"),
        (
            {"environment": {"set_vars": {"PATH": "x"}}},
            "p.json: environment.set_vars.PATH: Invalid set_vars key 'PATH'",
        ),
        ({"environment": {"allow_vars": ["A*B"]}}, "p.json: environment.allow_vars.0: Invalid pattern 'A*B'"),
        ({"extends": 3}, "p.json: extends: expected a name, or a list of names"),
        (
            {"network": {"custom_credentials": {"a": {"upstream": "https://x"}}}},
            "p.json: network.custom_credentials.a.credential_key: exactly one of credential_key, auth",
        ),
    ],
)
def test_a_mistake_is_named_by_file_key_and_expectation(document: object, line: str) -> None:
    assert line in mistakes(document)


def custom(**fields: object) -> dict[str, Any]:
    entry = {"upstream": "https://x.example", "credential_key": "corp", **fields}
    return {"network": {"custom_credentials": {"corp": entry}}}


OAUTH = {"token_url": "https://x", "client_id": "a", "client_secret": "b", "auth_method": "basic"}
CORP = "p.json: network.custom_credentials.corp"


@pytest.mark.parametrize(
    ("source", "line"),
    [
        ({"auth": OAUTH}, f"{CORP}.auth.auth_method: expected 'client_secret_post' or 'client_secret_basic'"),
        ({"auth": {"client_id": "a", "client_secret": "b"}}, f"{CORP}.auth.token_url: required"),
        (
            {"spiffe": {"type": "jwt", "workload_api_socket": "/s", "audience": ["a"]}},
            f"{CORP}.spiffe: not av",
        ),
        ({"credential_key": 1}, f"{CORP}.credential_key: expected a string"),
    ],
    ids=["wrong", "incomplete", "not available", "of another type"],
)
def test_a_source_with_a_mistake_is_not_said_to_be_missing(source: dict[str, object], line: str) -> None:
    none = {"network": {"custom_credentials": {"corp": {"upstream": "https://x.example"}}}}
    unset: dict[str, object] = {
        "credential_capture": {"corp": {"interaction": {}}}
    }  # not available, and not asked for either
    given = {"network": {"custom_credentials": {"corp": {"upstream": "https://x.example", **source}}}}
    assert all("none is given" in mistakes(each) for each in (none, unset))
    assert mistakes(given).startswith(f"Profile parse error: {line}")
    assert len(mistakes(given).splitlines()) == 1


@pytest.mark.parametrize(
    ("document", "line"),
    [
        (custom(inject_mode="cookie"), f"{CORP}.inject_mode: expected 'header', 'url_path'"),
        (custom(inject_mode="url_path"), f"{CORP}.path_pattern: required for inject_mode url_path"),
        (custom(auth={"token_url": "https://x", "client_id": "a"}), f"{CORP}.auth.client_secret: required"),
        (
            {"network": {"custom_credentials": {"corp": {"upstream": "https://x.example", "auth": OAUTH}}}},
            f"{CORP}.auth.auth_method: expected 'client_secret_post' or 'client_secret_basic'",
        ),
        (custom(aws_auth={}), f"{CORP}.aws_auth: exactly one of credential_key, auth, aws_auth: "),
        (custom(proxi={}), f"{CORP}.proxi: no such field (did you mean 'proxy'?)"),
        (custom(proxy={"inject_hedaer": "x"}), f"{CORP}.proxy.inject_hedaer: no such field (did you mean"),
        (custom(endpoint_rules=[["GET", "/"]]), f"{CORP}.endpoint_rules.0: expected an object"),
        (custom(endpoint_rules=[{"method": "GET"}]), f"{CORP}.endpoint_rules.0.path: required"),
        (
            custom(endpoint_rules=[{"method": "GET", "path": "/a//b"}]),
            f"{CORP}.endpoint_rules.0: path",
        ),
        (custom(endpoint_policy={"default": "den"}), f"{CORP}.endpoint_policy.default: expected 'allow'"),
        (custom(endpoint_policy={"default": ["deny"]}), f"{CORP}.endpoint_policy.default: expected an obj"),
        (
            custom(endpoint_policy={"default": {"decision": "x"}}),
            f"{CORP}.endpoint_policy.default.decision: expected 'allow'",
        ),
        (
            custom(endpoint_policy={"default": {"decison": "deny"}}),
            f"{CORP}.endpoint_policy.default.decison: no such field (did you mean 'decision'?)",
        ),
        ({"network": {"custom_credentials": {"corp": []}}}, f"{CORP}: expected an object"),
        (custom(rate_limit=10), f"{CORP}.rate_limit: expected an object"),
        (
            custom(rate_limit={"requests_per_minute": "x"}),
            f"{CORP}.rate_limit.requests_per_minute: expected a n",
        ),
        (custom(limits={"tokens": 1}), f"{CORP}.limits.tokens: no such field"),
        (custom(tls_client_cert="/c"), f"{CORP}.tls_client_key: required"),
        (custom(upgrades=[{"path": "/*?"}]), f"{CORP}.upgrades.0.path: '/*?' is not a plain path"),
        (
            {"network": {"allow_domain": [["x.example"]]}},
            "p.json: network.allow_domain.0: expected an object",
        ),
        (
            {"network": {"allow_domain": [{"domain": "127.1"}]}},
            "p.json: network.allow_domain.0.domain: '127.1': ",
        ),
        (
            {"network": {"allow_domain": [{"domain": "x", "endpoint": []}]}},
            "p.json: network.allow_domain.0.endpoint: no such field (did you mean 'endpoints'?)",
        ),
        ({"network": {"no_proxy": ["a.b"]}}, "p.json: network.no_proxy.0: clients take a bare domain"),
        (
            {"network": {"upstream_proxy": "corp"}},
            "p.json: network.upstream_proxy: 'corp': expected host:port",
        ),
        ({"network": {"upstream_proxy": {"auth": "x"}}}, "p.json: network.upstream_proxy.address: required"),
        ({"network": {"upstream_bypass": ["*"]}}, "p.json: network.upstream_bypass.0: '*' would"),
        (
            {"network": {"tls_intercept": {"ca_validity": "1w"}}},
            "p.json: network.tls_intercept.ca_validity: '1w': expected a duration",
        ),
        (
            {"network": {"tls_intercept": {"ca_env_vars": ["PATH"]}}},
            "p.json: network.tls_intercept.ca_env_vars.0: 'PATH' may not",
        ),
        ({"env_credentials": {"x": "PATH"}}, "p.json: env_credentials.x: 'PATH' may not hold a credential"),
        ({"env_credentials": {"x": ["A"]}}, "p.json: env_credentials.x: expected an object"),
        (
            {"credential_capture": {"a": {}}},
            "p.json: credential_capture.a.command: exactly one of command, provider: none is given",
        ),
        (
            {"credential_capture": {"a": {"command": ["x"], "provider": {"command": ["x"]}}}},
            "p.json: credential_capture.a.provider: exactly one of command, provider: both are given",
        ),
        (
            {"credential_capture": {"a": {"command": ["./x"]}}},
            "p.json: credential_capture.a.command: './x' is neither an absolute path",
        ),
        (
            {"credential_capture": {"a": {"command": ["x"], "output": {"format": "json"}}}},
            "p.json: credential_capture.a.output.allow_headers: required",
        ),
        (
            {"credential_providers": {"p": {"token_endpoints": [], "api_hosts": []}}},
            "p.json: credential_providers.p.type: required",
        ),
        ({"credential_routes": [{"name": "a"}]}, "p.json: credential_routes.0.provider: required"),
        ({"credential_routes": {}}, "p.json: credential_routes: expected a list"),
        (
            {"network": {"proxy_allow": ["a"], "allow_domain": ["b"]}},
            "p.json: network.proxy_allow: another name of allow_domain, which is given too",
        ),
    ],
)
def test_a_mistake_in_a_route_is_named_once(document: object, line: str) -> None:
    message = mistakes(document)
    assert line in message
    assert len(message.splitlines()) == 1


def test_only_a_mistake_in_a_section_is_told_of_the_field_elsewhere() -> None:
    elsewhere = "no such field (did you mean 'network.allow_domain'?)"
    assert mistakes({"linux": {"allow_domain": []}}).endswith(f"linux.allow_domain: {elsewhere}")
    deeper = mistakes({"network": {"tls_intercept": {"allow_domain": []}}})
    assert deeper.endswith("network.tls_intercept.allow_domain: no such field")


@pytest.mark.parametrize(
    ("alias", "name", "value"),
    [
        ("proxy_allow", "allow_domain", ["x.example"]),
        ("allow_proxy", "allow_domain", ["x.example"]),
        ("proxy_credentials", "credentials", ["openai"]),
        ("external_proxy", "upstream_proxy", "corp:3128"),
        ("external_proxy_bypass", "upstream_bypass", ["x.example"]),
    ],
)
def test_an_old_name_of_a_field_is_the_field(alias: str, name: str, value: object) -> None:
    assert checked({"network": {alias: value}}) == checked({"network": {name: value}})
    assert checked({"secrets": {"a": "B"}}) == checked({"env_credentials": {"a": "B"}})


def test_an_old_section_has_its_own_names() -> None:
    line = mistakes({"policy": {"add_allow_reads": []}})
    assert "p.json: policy.add_allow_reads: no such field (did you mean 'add_allow_read'?)" in line


@pytest.mark.parametrize(
    "text",
    [
        json.dumps({"filesystem": {"read": [1] * 20_000}}),
        json.dumps({"filesystem": {"read": [""] * 20_000}}),
        json.dumps({f"netwrk{number}": 1 for number in range(10_000)}),
        json.dumps({"network": {"allow_domain": [[]] * 20_000}}),
        "{" + '"a": 1,\n' * 20_000 + "}",
    ],
    ids=["types", "values", "fields", "objects", "duplicates"],
)
def test_a_file_of_nothing_but_mistakes_is_told_about_in_time(text: str) -> None:
    with pytest.raises(ProfileError) as error:
        validate(read_source(text.encode(), "p.json"), HOST)
    assert len(error.value.message.splitlines()) == 31


def test_several_mistakes_are_reported_together() -> None:
    lines = mistakes({"netwrk": {}, "workdir": {"access": "rw"}, "packs": ["a/b"]}).splitlines()
    assert len(lines) == 3


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    (tmp_path / ".config/nono/profiles").mkdir(parents=True)
    return {"HOME": str(tmp_path)}


def write(environ: dict[str, str], name: str, document: object) -> Path:
    path = Path(environ["HOME"], ".config/nono/profiles", f"{name}.json")
    path.write_text(document if isinstance(document, str) else json.dumps(document))
    return path


def refused(reference: str, environ: dict[str, str]) -> ProfileError:
    with pytest.raises(ProfileError) as error:
        load_profile(reference, environ)
    return error.value


def test_a_users_profile_shadows_a_shipped_one(environ: dict[str, str]) -> None:
    assert load_profile("go-dev", environ).meta.name == "go-dev"
    write(environ, "go-dev", {"meta": {"name": "mine"}})
    assert load_profile("go-dev", environ).meta.name == "mine"


def test_a_path_names_a_file(environ: dict[str, str]) -> None:
    path = write(environ, "x", {"meta": {"name": "by path"}})
    assert load_profile(str(path), environ).meta.name == "by path"
    assert "profile file not found" in refused(str(path) + ".json", environ).message


@pytest.mark.parametrize("name", ["-x", "x-", "a_b", "", "a b", "x\n"])
def test_a_malformed_name_is_refused(name: str, environ: dict[str, str]) -> None:
    assert ": a name has letters, digits and hyphens, a path has a slash" in refused(name, environ).message


def test_an_unknown_name_gets_the_nearest_one(environ: dict[str, str]) -> None:
    error = refused("python-de", environ)
    assert error.message == "Profile not found: python-de"
    assert error.hint == "did you mean 'python-dev'?"


def test_both_kinds_of_file_may_have_comments(environ: dict[str, str]) -> None:
    text = '{ // of mine\n "meta": {"name": "%s",}, /* all */ }'
    write(environ, "go-dev", text % "json")
    assert load_profile("go-dev", environ).meta.name == "json"
    write(environ, "x", text % "jsonc").rename(Path(environ["HOME"], ".config/nono/profiles/go-dev.jsonc"))
    assert load_profile("go-dev", environ).meta.name == "jsonc"


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (b'{"a": 1,\n  b}', "x.json:2:3: b: expected the key in double quotes"),
        (b'{"meta": {"name": "\xff"}}', "Profile parse error: invalid UTF-8: "),
        (b'{"meta": {"name": "\xc3\xa4\xff"}}', "x.json:1:21: byte 0xff is not UTF-8"),
        (b"\xef\xbb\xbf{}", "x.json:1:1: begins with a byte order mark"),
        (b"{" + b'"a":{' * 70 + b"}" * 71, "nested deeper than 64 levels"),
        (b"[]", "x.json:1:1: expected an object"),
        (b"", "x.json:1:1: the file is empty"),
        (b'{"meta": {}, "meta": {}}', "duplicate field 'meta'"),
        (b"[" * 20_000, "Profile parse error"),
        (b" " * (1024 * 1024 + 1), "larger than"),
    ],
)
def test_what_is_not_json_is_refused_with_its_place(raw: bytes, expected: str, tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    path.write_bytes(raw)
    assert expected in refused(str(path), {"HOME": str(tmp_path)}).message


def test_a_fifo_is_refused_at_once(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    os.mkfifo(path)
    assert "not a regular file" in refused(str(path), {"HOME": str(tmp_path)}).message


def test_bases_fold_from_left_to_right_before_the_child(environ: dict[str, str]) -> None:
    write(environ, "a", {"workdir": {"access": "read"}, "environment": {"set_vars": {"X": "a", "Y": "a"}}})
    write(environ, "b", {"workdir": {"access": "write"}, "environment": {"set_vars": {"X": "b"}}})
    write(environ, "c", {"extends": ["a", "b"], "environment": {"set_vars": {"Z": "c"}}})
    profile = load_profile("c", environ)
    assert profile.workdir.access == "write"
    assert profile.environment.set_vars == {"X": "b", "Y": "a", "Z": "c"}


def test_a_user_profile_extends_a_shipped_one(environ: dict[str, str]) -> None:
    write(environ, "mine", {"extends": "python-dev", "network": {"allow_domain": ["example.com"]}})
    profile = load_profile("mine", environ)
    assert profile.network.network_profile == "developer"
    assert profile.network.allow_domain == ("example.com",)
    assert "python_runtime" in profile.groups.include


def test_a_circle_of_bases_is_refused_and_a_diamond_is_not(environ: dict[str, str]) -> None:
    write(environ, "a", {"extends": "b"})
    write(environ, "b", {"extends": "a"})
    assert "circular dependency detected: a -> b -> a" in refused("a", environ).message
    write(environ, "left", {"extends": "default"})
    write(environ, "right", {"extends": "default"})
    write(environ, "diamond", {"extends": ["left", "right"]})
    load_profile("diamond", environ)


def test_bases_go_at_most_ten_deep(environ: dict[str, str]) -> None:
    for n in range(12):
        write(environ, f"p{n}", {"extends": f"p{n - 1}"} if n else {})
    load_profile("p10", environ)
    assert "inheritance chain too deep (max 10)" in refused("p11", environ).message


@pytest.mark.parametrize(
    ("base", "expected"),
    [
        ("nobody", "base profile 'nobody' not found"),
        ("./x.json", "base profile './x.json' not found"),
        ("x/y", "invalid base profile name 'x/y'"),
        ("x.json", "invalid base profile name 'x.json'"),
    ],
)
def test_a_base_that_is_not_there_is_named_with_its_place(
    base: str, expected: str, environ: dict[str, str]
) -> None:
    write(environ, "a", {"extends": base})
    message = refused("a", environ).message
    assert message.startswith(f"Profile inheritance error: {expected}")
    assert message.endswith("a.json:1:13)")


@pytest.mark.parametrize(
    ("section", "base", "child", "merged"),
    [
        ("filesystem", {"read": ["a", "b"]}, {"read": ["b", "c"]}, {"read": ["a", "b", "c"]}),
        ("network", {"block": True}, {"block": False}, {"block": True}),
        ("network", {"network_profile": "x"}, {}, {"network_profile": "x"}),
        ("network", {"network_profile": "x"}, {"network_profile": None}, {"network_profile": None}),
        ("network", {"credentials": ["a"]}, {"credentials": []}, {"credentials": []}),
        ("network", {"credentials": ["a"]}, {"credentials": ["b"]}, {"credentials": ["a", "b"]}),
        ("network", {"credentials": ["a"]}, {}, {"credentials": ["a"]}),
        ("workdir", {"access": "read"}, {"access": "none"}, {"access": "read"}),
        ("workdir", {"access": "read"}, {"access": "write"}, {"access": "write"}),
        ("environment", {"allow_vars": ["A"]}, {"allow_vars": []}, {"allow_vars": ["A"]}),
        ("environment", {"set_vars": {"A": "1"}}, {"set_vars": {"A": "2"}}, {"set_vars": {"A": "2"}}),
        ("meta", {"name": "a", "version": "1"}, {"name": "b"}, {"name": "b"}),
        ("network", {"allow_http2": True}, {"allow_http2": False}, {"allow_http2": True}),
        (
            "network",
            {"tls_intercept": {"ca_validity": "1h", "ca_env_vars": ["A"]}},
            {"tls_intercept": {"ca_validity": "2h"}},
            {"tls_intercept": {"ca_validity": "2h"}},
        ),
        ("network", {"upstream_proxy": "a:1"}, {"upstream_proxy": "b:1"}, {"upstream_proxy": "b:1"}),
        ("network", {"upstream_bypass": ["a"]}, {"upstream_bypass": ["b"]}, {"upstream_bypass": ["a", "b"]}),
        ("network", {"no_proxy": ["a"]}, {"no_proxy": ["a", "b"]}, {"no_proxy": ["a", "b"]}),
        (
            "network",
            {"custom_credentials": {"a": {"upstream": "x", "env_var": "X"}, "b": {"upstream": "x"}}},
            {"custom_credentials": {"a": {"upstream": "y"}}},
            {"custom_credentials": {"a": {"upstream": "y"}, "b": {"upstream": "x"}}},
        ),
        (
            "network",
            {"allow_domain": ["p", "x", {"domain": "y", "endpoints": [{"method": "GET", "path": "/a"}]}]},
            {
                "allow_domain": [
                    {"domain": "x", "endpoints": [{"method": "GET", "path": "/b"}]},
                    {"domain": "y", "endpoints": [{"method": "GET", "path": "/c"}]},
                    "y",
                ]
            },
            {
                "allow_domain": [
                    "p",
                    {"domain": "x", "endpoints": [{"method": "GET", "path": "/b"}]},
                    {
                        "domain": "y",
                        "endpoints": [{"method": "GET", "path": "/a"}, {"method": "GET", "path": "/c"}],
                    },
                ]
            },
        ),
        ("env_credentials", {"a": "X", "b": "Y"}, {"c": {"env_var": "X"}}, {"b": "Y", "c": {"env_var": "X"}}),
        (
            "credential_capture",
            {"a": {"command": ["x"], "timeout_secs": 9}, "b": {"command": ["x"]}},
            {"a": {"command": ["y"]}},
            {"a": {"command": ["y"]}, "b": {"command": ["x"]}},
        ),
        (
            "credential_providers",
            {"a": {"type": "oauth_capture", "api_hosts": []}},
            {"a": {"type": "x"}},
            {"a": {"type": "x"}},
        ),
        ("security", {"signal_mode": "isolated"}, {"signal_mode": "allow_all"}, {"signal_mode": "allow_all"}),
    ],
)
def test_each_field_merges_by_its_rule(
    section: str, base: dict[str, Any], child: dict[str, Any], merged: dict[str, Any]
) -> None:
    assert merge({section: base}, {section: child}) == {section: merged}


def test_routes_of_logins_are_concatenated() -> None:
    one, two = {"credential_routes": [{"name": "a"}]}, {"credential_routes": [{"name": "b"}]}
    assert merge(one, two) == {"credential_routes": [{"name": "a"}, {"name": "b"}]}


def test_merging_changes_neither_side() -> None:
    base, child = {"groups": {"include": ["a"]}}, {"groups": {"include": ["b"]}}
    merge(base, child)
    assert base == {"groups": {"include": ["a"]}}
    assert child == {"groups": {"include": ["b"]}}


def test_each_bad_port_or_range_is_a_mistake() -> None:
    good = {"network": {"open_port": [5432], "open_port_range": [[3000, 3009]], "connect_port": [22]}}
    assert checked(good).profile.network.open_port_range == ((3000, 3009),)
    bad = {"network": {"open_port": [0], "open_port_range": [[9, 8], [0, 1]], "listen_port": [65536]}}
    lines = mistakes(bad).splitlines()
    assert len(lines) == 4
    assert "network.open_port.0: 0 is not a port" in lines[0]
    assert mistakes({"network": {"open_port_range": [[1, 2, 3]]}})
    assert mistakes({"network": {"open_port": [True]}})


@pytest.mark.parametrize("field", ["allow_domain", "deny_domain"])
@pytest.mark.parametrize(
    "url", ["https://", "https://example.com", "http://example.com:80", "https://a.test/b/**"]
)
def test_a_url_in_the_place_of_a_host_is_a_mistake_that_says_how_paths_are_written(
    field: str, url: str
) -> None:
    line = mistakes({"network": {field: [url]}})
    assert f"network.{field}.0: '{url}': a URL where a host is expected" in line
    assert '"endpoints"' in line
    assert checked({"network": {field: ["a.test:443"]}})


def test_ports_of_a_base_and_its_child_add_up() -> None:
    base = {"network": {"open_port": [1], "open_port_range": [[3, 4]]}}
    child = {"network": {"open_port": [2, 1], "open_port_range": [[3, 4], [7, 9]]}}
    assert merge(base, child)["network"] == {"open_port": [1, 2], "open_port_range": [[3, 4], [7, 9]]}


def test_a_port_has_its_old_names() -> None:
    assert checked({"network": {"allow_port": [1]}}).profile.network.open_port == (1,)
    assert checked({"network": {"port_allow": [1]}}).profile.network.open_port == (1,)
