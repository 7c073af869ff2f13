"""Capability manifests: what a profile says, spelled out, is read back as the same policy."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from nono.errors import NonoError, ProfileError, SandboxError
from nono.policy.builtin import shipped
from nono.policy.capability import Limits
from nono.policy.export.manifest import manifest_of
from nono.policy.host_filesystem import HostFilesystem
from nono.policy.path_expansion import PathContext
from nono.policy.profile.manifest_file import load_manifest
from nono.policy.profile.store import load_profile
from nono.policy.request import RunRequest
from nono.policy.resolve import Resolved, resolve

GET = {"method": "GET", "path": "/a"}
RICH = {
    "groups": {"include": ["python_runtime"], "exclude": ["user_tools"]},
    "security": {"signal_mode": "allow_all", "ipc_mode": "full", "capability_elevation": True},
    "filesystem": {
        "allow": ["$WORKDIR"],
        "read": ["~/read", "$UNSET/x", "~/file"],
        "write_file": ["~/file"],
        "unix_socket_dir_bind": ["~/read"],
        "deny": ["~/read/secret", "$WORKDIR/.env"],
        "suppress_save_prompt": ["~/read"],
    },
    "network": {
        "network_profile": "developer",
        "allow_domain": ["x.example", {"domain": "y.example", "endpoints": [GET]}],
        "deny_domain": ["*.evil.example"],
        "deny_private": True,
        "credentials": ["openai", "demo"],
        "custom_credentials": {
            "demo": {"upstream": "https://api.example", "credential_key": "env://DEMO", "env_var": "DEMO_KEY"}
        },
        "open_port": [5432],
        "open_port_range": [[7000, 7009]],
        "listen_port": [8080],
        "connect_port": [22],
    },
    "environment": {"allow_vars": ["PATH", "LC_*"], "set_vars": {"A": "$HOME"}},
    "linux": {"sandbox_policy": "auto"},
}  # fmt: skip


@pytest.fixture
def home(tmp_path: Path) -> Path:
    for directory in ("work", "read", "read/secret", ".config/nono/profiles"):
        (tmp_path / directory).mkdir(parents=True)
    for file in ("file", "work/.env"):
        (tmp_path / file).touch()
    return tmp_path


def environ(home: Path) -> dict[str, str]:
    return {"HOME": str(home), "PATH": "/usr/bin:/bin", "DEMO": "x"}


def resolved(home: Path, profile: Any) -> Resolved:
    request = RunRequest()
    fs, cwd = HostFilesystem(), str(home / "work")
    return resolve(request, profile, environ=environ(home), cwd=cwd, fs=fs, uid=1000)


def path_context(home: Path) -> PathContext:
    work = str(home / "work")
    return PathContext(str(home), work, work, environ(home), 1000)


def written(home: Path, document: object) -> str:
    file = home / "manifest.json"
    file.write_text(document if isinstance(document, str) else json.dumps(document))
    return str(file)


def essence(policy: Resolved) -> dict[str, Any]:
    """Return the policy without its origins, and without what is offered for a question."""
    capabilities, hosts = policy.capabilities, policy.host_filter
    return {
        "grants": {(each.path, each.access, each.is_dir, each.source) for each in capabilities.grants},
        "denials": {(each.path, each.is_of_group) for each in capabilities.denials},
        "masks": [each.path for each in capabilities.masking.masks],
        "sockets": {(each.path, each.scope, each.binds) for each in capabilities.sockets},
        "rest": capabilities._replace(grants=(), denials=(), sockets=(), masking=()),  # type: ignore[arg-type]  # compared above
        "allow": hosts and hosts.allow and {(each.pattern, each.port) for each in hosts.allow},
        "deny": hosts and {(each.pattern, each.port) for each in hosts.deny},
        "private": hosts and hosts.deny_private,
        "services": {each._replace(origin="", endpoints=None) for each in policy.services},  # type: ignore[arg-type]  # as above
        "scopes": [(str(each), each.endpoints.allow) for each in policy.scopes],
        "environment": policy.environment,
        "env_credentials": policy.env_credentials,
        "bypassed": policy.deny_rules.bypassed,
    }


@pytest.mark.parametrize("name", ["rich", "strict", "empty", *shipped.profile_names()])
def test_what_is_shown_is_read_as_the_same_policy(home: Path, name: str) -> None:
    own: dict[str, object] = {
        "rich": RICH,
        "strict": {"network": {"block": True, "deny_domain": ["x.example"]}},
        "empty": {},
    }
    reference = name
    if name in own:
        reference = str(home / f"{name}.json")
        Path(reference).write_text(json.dumps(own[name]))
    profile = load_profile(reference, environ(home))
    manifest = load_manifest(written(home, manifest_of(profile, path_context(home))))
    before, after = resolved(home, profile), resolved(home, manifest.profile)
    assert essence(after) == essence(before)
    assert manifest.beside.mode is after.capabilities.network
    assert after.workdir_offer is None  # a manifest has no directory of its own to share


def test_what_is_shown_names_every_path_in_full(home: Path) -> None:
    (home / "rich.json").write_text(json.dumps(RICH))
    document = manifest_of(load_profile(str(home / "rich.json"), environ(home)), path_context(home))
    assert {"path": f"{home}/work", "access": "readwrite"} in document["filesystem"]["grants"]
    assert {"path": f"{home}/file", "access": "write", "type": "file"} in document["filesystem"]["grants"]
    assert document["filesystem"]["deny"] == [f"{home}/read/secret", f"{home}/work/.env"]
    assert document["network"]["mode"] == "proxy"
    assert "network_profile" not in document["network"]
    assert "user_tools" not in document["groups"]
    assert "$UNSET" not in json.dumps(document)


@pytest.mark.parametrize(
    ("network", "shown"),
    [({}, {"mode": "unrestricted"}), ({"open_port": [5432]}, {"mode": "unrestricted", "open_port": [5432]})],
    ids=["nothing", "one"],
)
def test_what_is_shown_names_no_field_that_is_not_set(home: Path, network: object, shown: object) -> None:
    (home / "one.json").write_text(json.dumps({"network": network}))
    profile = load_profile(str(home / "one.json"), environ(home))
    assert manifest_of(profile, path_context(home))["network"] == shown


def grants(home: Path, *paths: str, **more: object) -> str:
    entries = [{"path": path, "access": "readwrite"} for path in paths]
    return written(home, {"version": "1", "filesystem": {"grants": entries, **more}})


def test_a_manifest_grants_nothing_protected(home: Path) -> None:
    (home / ".ssh").mkdir()
    (home / ".local/state/nono").mkdir(parents=True)
    with pytest.raises(SandboxError, match=r"Refusing to grant what a deny rule protects"):
        resolved(home, load_manifest(grants(home, f"{home}/.ssh")).profile)
    with pytest.raises(NonoError, match="protected nono state root"):
        resolved(home, load_manifest(grants(home, f"{home}/.local/state/nono/x")).profile)
    lifted = load_manifest(grants(home, f"{home}/.ssh", bypass_protection=[f"{home}/.ssh"])).profile
    assert f"{home}/.ssh" in {grant.path for grant in resolved(home, lifted).capabilities.grants}


def test_a_manifest_without_groups_has_the_default_ones(home: Path) -> None:
    bare = resolved(home, load_manifest(written(home, {"version": "1"})).profile)
    assert (
        essence(bare)["grants"] == essence(resolved(home, load_profile("default", environ(home))))["grants"]
    )
    assert any(denial.path == f"{home}/.ssh" for denial in bare.capabilities.denials)


def test_a_manifest_cannot_drop_the_required_groups(home: Path) -> None:
    with pytest.raises(ProfileError, match=r"groups: these are in force whatever it says.*deny_credentials"):
        load_manifest(written(home, {"version": "1", "groups": []}))


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("{}", ':1:1: version: expected "1"'),
        ('{"version": "2"}', ':1:13: version: expected "1"'),
        ('{"version": "1",\n "extends": "default"}', ":2:2: extends: no such field in a manifest"),
        ('{"version": "1", "workdir": {"access": "read"}}', ":1:18: workdir: no such field"),
        ('{"version": "1", "netwrk": {}}', ":1:18: netwrk: no such field (did you mean 'network'?)"),
        ('{"version": "1", "network": {"mode": "open"}}', "network.mode: expected one of unrestricted"),
        ('{"version": "1", "network": {"block": true}}', "network.block: no such field in a manifest"),
        ('{"version": "1", "network": {"network_profile": "x"}}', "network.network_profile: no such field"),
        ('{"version": "1", "groups": ["x", 1]}', "groups.1: expected a name"),
        ('{"version": "1", "filesystem": {"read": ["/a"]}}', "filesystem.read: no such field in a manifest"),
        ('{"version": "1", "filesystem": {"deny": ["~/a"]}}', "deny.0: expected an absolute path"),
        ('{"version": "1", "filesystem": {"deny": ["/$HOME"]}}', "deny.0: expected an absolute path"),
        ('{"version": "1", "filesystem": {"grants": [{"path": "/a"}]}}', "grants.0.access: required: one of"),
        ('{"version": "1", "filesystem": {"grants": [{"access": "read"}]}}', "grants.0.path: required"),
        (
            '{"version": "1", "filesystem": {"grants": [{"path": "/a", "access": "execute"}]}}',
            "grants.0.access: expected one of read, write, readwrite",
        ),
        (
            '{"version": "1", "filesystem": {"sockets": [{"path": "/a", "binds": 1}]}}',
            "sockets.0.binds: expected one of false, true",
        ),
        ('{"version": "1", "security": {"signal_mode": "x"}}', "security.signal_mode: expected"),
        ('{"version": "1", "resources": 1}', "resources: expected an object"),
        ('{"version": "1", "resources": {"memory": 1}}', "resources.memory: no such field in a manifest"),
        *(
            (f'{{"version": "1", "resources": {{"memory_bytes": {each}}}}}', "memory_bytes: expected a whole")
            for each in ("0", "1048575", "1e9", "true", '"1G"', "null", "9223372036854775808")
        ),
        ('{"version": "1", "resources": {"max_processes": 0}}', "max_processes: expected a whole"),
    ],
)  # fmt: skip
def test_a_mistake_is_told_with_its_place(home: Path, text: str, complaint: str) -> None:
    with pytest.raises(ProfileError, match=r"^Manifest parse error: ") as caught:
        load_manifest(written(home, text))
    assert complaint in caught.value.message


@pytest.mark.parametrize(
    ("resources", "limits"),
    [
        ({}, Limits()),
        ({"memory_bytes": 1 << 29}, Limits(1 << 29, None)),
        ({"max_processes": 1}, Limits(None, 1)),
        ({"memory_bytes": 1 << 20, "max_processes": 64}, Limits(1 << 20, 64)),
    ],
)
def test_a_manifest_says_what_a_run_may_use_up(home: Path, resources: dict[str, int], limits: Limits) -> None:
    read = load_manifest(written(home, {"version": "1", "resources": resources}))
    assert read.beside.limits == limits
    assert load_manifest(written(home, {"version": "1"})).beside.limits == Limits()


def test_every_mistake_is_told_at_once(home: Path) -> None:
    text = '{"version": 1,\n"filesystem": {"grants": [7],\n"deny": 3},\n"securty": {}}'
    with pytest.raises(ProfileError) as caught:
        load_manifest(written(home, text))
    assert len(caught.value.message.splitlines()) == 4


def test_what_cannot_be_read_is_said(home: Path) -> None:
    with pytest.raises(ProfileError, match=r"^Manifest read error at /nowhere"):
        load_manifest("/nowhere")
