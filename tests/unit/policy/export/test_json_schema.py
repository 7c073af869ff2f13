"""nono.policy.export.json_schema: what an editor is told is what nono accepts."""

from __future__ import annotations

import json
from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from nono.errors import ProfileError
from nono.policy.builtin import shipped
from nono.policy.document.check import validated
from nono.policy.document.when import Host
from nono.policy.export.json_schema import schema
from nono.policy.profile.files import find
from nono.policy.schema.descriptions import WORDS
from support.profiles.full import FULL

SCHEMA = schema()
VALIDATOR = Draft202012Validator(SCHEMA)


def is_accepted_by_nono(document: object) -> bool:
    with TemporaryDirectory() as home:
        file = Path(home, "p.json")
        file.write_text(json.dumps(document))
        found = find(str(file), {"HOME": home})
    try:
        validated(found, Host())
    except ProfileError:
        return False
    return True


def test_it_is_a_schema() -> None:
    Draft202012Validator.check_schema(SCHEMA)


@pytest.mark.parametrize("name", shipped.profile_names())
def test_a_shipped_profile_is_accepted(name: str) -> None:
    VALIDATOR.validate(shipped.profile_document(name))


def test_every_available_field_is_accepted() -> None:
    VALIDATOR.validate(FULL)
    assert is_accepted_by_nono(FULL)


CUSTOM = {"upstream": "https://x.example", "credential_key": "corp"}
CAPTURE = {"command": ["x"]}
ENDPOINT = {"host": "https://a.example", "path": "/t", "response_fields": [{"path": "x"}]}
PROVIDER = {"type": "oauth_capture", "token_endpoints": [ENDPOINT], "api_hosts": ["https://a.example"]}

GOOD: list[dict[str, Any]] = [
    {},
    {"$schema": "x", "extends": ["default"], "replace": ["workdir.access"]},
    {"extends": None, "binary": None, "allow_gpu": True, "network": {"network_profile": None}},
    {
        "filesystem": {
            "read": [{"path": "/opt", "when": "linux:debian-like"}, {"path": "/x"}],
            "ignore": ["/a"],
        }
    },
    {"groups": {"include": [{"name": "nix_runtime", "when": ["macos", "!linux"]}]}},
    {"env_credentials": {"a": {"env_var": "A", "when": "linux"}}},
    {"open_urls": {"allow_origins": ["https://a.example", {"origin": "http://b", "when": "linux"}]}},
    {"platform_overrides": {"linux": {"workdir": {"access": "read"}}, "macos": None}},
    {"policy": {"add_allow_read": ["/opt"], "override_deny": ["~/.npmrc"]}, "security": {"groups": []}},
    {"network": {"custom_credentials": {"a": {**CUSTOM, "auth": None}}, "allow_port": [1]}},
    {"network": {"tls_intercept": {"ca_validity": "007d"}, "listen_port_range": [[1, 65535]]}},
    {
        "commands": {"allow": ["rm"]},
        "skipdirs": ["a"],
        "command_args": [""],
        "session_hooks": {"after": None},
    },
    {"credential_capture": {"a": CAPTURE}, "credential_providers": {"p": PROVIDER}},
]


@pytest.mark.parametrize("document", GOOD, ids=json.dumps)
def test_what_nono_accepts_is_accepted(document: dict[str, Any]) -> None:
    assert is_accepted_by_nono(document)
    assert list(VALIDATOR.iter_errors(document)) == []


def test_a_base_may_be_named_by_its_path() -> None:
    assert VALIDATOR.is_valid({"extends": ["./base.json", "../x/base.jsonc", "~/base.json", "/base.json"]})


def custom(**fields: object) -> dict[str, Any]:
    return {"network": {"custom_credentials": {"a": {**CUSTOM, **fields}}}}


# One for each rule that is no type.
MUTANTS: list[dict[str, Any]] = [
    {"extends": "a b"},
    {"extends": ["x.json"]},
    {"replace": ["filesystem.deny"]},
    {"filesystem": {"read": [""]}},
    {"filesystem": {"read": ["a\0b"]}},
    {"filesystem": {"read": [{"path": "/a", "wen": "linux"}]}},
    {"filesystem": {"read": [{"when": "linux"}]}},
    {"filesystem": {"read": [{"path": "/a", "when": []}]}},
    {"groups": {"include": [""]}},
    {"commands": {"deny": [1]}},
    {"network": {"open_port": [0]}},
    {"network": {"listen_port": [65536]}},
    {"network": {"open_port_range": [[1]]}},
    {"network": {"listen_port_range": [[1, 2, 3]]}},
    {"network": {"tls_intercept": {"ca_validity": "1w"}}},
    {"network": {"tls_intercept": {"leaf_validity": 0}}},
    {"network": {"tls_intercept": {"ca_env_vars": ["A-B"]}}},
    {"network": {"custom_credentials": {"a b": CUSTOM}}},
    {"network": {"custom_credentials": {"a": {"upstream": "https://x.example"}}}},
    custom(aws_auth={}),
    custom(upstream="ftp://x"),
    custom(credential_key="a b"),
    custom(inject_header="a b"),
    custom(credential_format="Bearer"),
    custom(path_pattern="/x"),
    custom(query_param_name="a b"),
    custom(env_var="A B"),
    custom(rate_limit={"requests_per_minute": -1}),
    custom(limits={"requests": -1}),
    custom(upgrades=[{"path": "x"}]),
    custom(endpoint_rules=[{"method": "GET", "path": "a"}]),
    custom(endpoint_rules=[{"method": "", "path": "/a"}]),
    custom(endpoint_policy={"default": {"timeout_secs": 0}}),
    {"environment": {"allow_vars": ["A*B"]}},
    {"environment": {"deny_vars": [""]}},
    {"environment": {"set_vars": {"PATH": "x"}}},
    {"environment": {"set_vars": {"NONO_X": "x"}}},
    {"environment": {"set_vars": {"1A": "x"}}},
    {"environment": {"set_vars": {"A": "a\0"}}},
    {"env_credentials": {"a": "A-B"}},
    {"credential_capture": {"a-b": CAPTURE}},
    {"credential_capture": {"a": {"command": []}}},
    {"credential_capture": {"a": {**CAPTURE, "timeout_secs": 301}}},
    {"credential_capture": {"a": {**CAPTURE, "cache_ttl_secs": 3601}}},
    {"credential_capture": {"a": {**CAPTURE, "cache_path_regex": "x" * 257}}},
    {"credential_capture": {"a": {**CAPTURE, "output": {"format": "json", "allow_headers": []}}}},
    {"credential_providers": {"p": {**PROVIDER, "token_endpoints": []}}},
    {"credential_providers": {"p": {**PROVIDER, "api_hosts": ["http://x.example"]}}},
    {"credential_providers": {"p": {**PROVIDER, "token_endpoints": [{**ENDPOINT, "response_fields": []}]}}},
    {"credential_routes": [{"name": "a/b", "provider": "p"}]},
    {"security": {"approval_defaults": {"timeout_secs": 0}}},
    {"session_hooks": {"before": {"script": "x"}}},
    {"session_hooks": {"before": {"script": "/x", "timeout_secs": 0}}},
    {"open_urls": {"allow_origins": ["ftp://x"]}},
    {"skipdirs": ["a/b"]},
    {"skipdirs": [".."]},
    {"packs": ["a"]},
    {"binary": ""},
    {"platform_overrides": {"beos": {}}},
    {"platform_overrides": {"linux": {"extends": "default"}}},
    {"policy": {"add_allow": []}},
    {"hooks": []},
]


@pytest.mark.parametrize("document", MUTANTS, ids=json.dumps)
def test_a_mutant_of_each_rule_is_refused(document: dict[str, Any]) -> None:
    assert not VALIDATOR.is_valid(document)
    assert not is_accepted_by_nono(document)


def places(node: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield path
    children = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for key, value in children:
        yield from places(value, (*path, key))


def mutated(path: tuple[Any, ...], value: object) -> dict[str, Any]:
    document: Any = deepcopy(FULL)
    node = document
    for key in path[:-1]:
        node = node[key]
    node[path[-1]] = value
    return dict(document)


CONFIG = ("credential_capture", "vault", "provider", "config")


def is_free(path: tuple[Any, ...]) -> bool:
    """Return True if anything may stand there."""
    return path in ((), ("$schema",)) or path[: len(CONFIG)] == CONFIG


@pytest.mark.parametrize("path", [path for path in places(FULL) if not is_free(path)], ids=repr)
def test_a_value_of_another_type_is_refused_at_every_place_of_a_profile(path: tuple[Any, ...]) -> None:
    document = mutated(path, {"nonsense": [[]]})
    assert not VALIDATOR.is_valid(document)
    assert not is_accepted_by_nono(document)


def test_every_object_is_closed() -> None:
    for name, definition in SCHEMA["$defs"].items():
        if definition.get("type") == "object":
            assert definition["additionalProperties"] is False, name


def test_every_object_is_described() -> None:
    for name, definition in SCHEMA["$defs"].items():
        if definition.get("type") == "object":
            assert definition["description"], name


def test_every_field_is_described() -> None:
    told = {name for name in SCHEMA["$defs"] if any(word.startswith(f"{name}.") for word in WORDS)}
    silent = [
        f"{name}.{field}"
        for name in told
        for field, shape in SCHEMA["$defs"][name]["properties"].items()
        if "description" not in shape
    ]
    assert silent == []
    assert {"Security", "Network", "Filesystem", "CustomCredential", "ProviderEntry"} <= told


def test_no_word_is_about_a_field_that_is_gone() -> None:
    fields = {
        f"{'Profile' if name == 'Fragment' else name}.{field}"
        for name, definition in SCHEMA["$defs"].items()
        for field in definition.get("properties", ())
    }
    assert WORDS.keys() <= fields
