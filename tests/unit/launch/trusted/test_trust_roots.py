"""nono.launch.trusted.trust_roots: files that decide whom nono trusts are not for the command to write."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import pytest
from pydantic import TypeAdapter

from nono.disk import root_places
from nono.errors import ConfigError
from nono.launch.trusted.trust_roots import refuse_writable_trust
from nono.policy.capability import Access, Grant
from nono.policy.host_filesystem import HostFilesystem
from nono.policy.request import RunRequest
from nono.policy.resolve import resolve
from nono.policy.schema.annotations import evaluate
from nono.policy.schema.profile import Profile

AWS = {"upstream": "https://bedrock.eu-west-1.amazonaws.com", "aws_auth": {"profile": "work"}}
PROFILES: Mapping[str, Mapping[str, object]] = {
    "proxy": {"network": {"allow_domain": ["example.com"]}},
    "aws": {"network": {"custom_credentials": {"bedrock": AWS}, "credentials": ["bedrock"]}},
    "webhook": {"security": {"approval_backends": {"it": {"type": "webhook", "url": "https://a.test/"}}}},
    "open": {},
}


def refuse(
    profile: str, home: Path, environ: Mapping[str, str], *, access: Access = Access.READWRITE
) -> None:
    """As Launch.prepare does, for a run that is granted its home."""
    environ = {"HOME": str(home), "PATH": os.defpath, **environ}
    evaluate(Profile)
    resolved = resolve(
        RunRequest(),
        TypeAdapter(Profile).validate_python(PROFILES[profile]),
        environ=environ,
        cwd=str(home),
        fs=HostFilesystem(),
    )
    grants = (Grant(str(home), access, True, "user", str(home)),)
    capabilities = resolved.capabilities._replace(grants=grants)
    refuse_writable_trust(resolved._replace(capabilities=capabilities), environ)


@pytest.mark.parametrize(
    ("profile", "variable"),
    [
        ("proxy", "SSL_CERT_FILE"),
        ("proxy", "SSL_CERT_DIR"),
        ("webhook", "SSL_CERT_FILE"),
        ("aws", "AWS_CONFIG_FILE"),
        ("aws", "AWS_SHARED_CREDENTIALS_FILE"),
        ("aws", "AWS_CA_BUNDLE"),
        ("aws", "AWS_DATA_PATH"),
        ("aws", "BOTO_CONFIG"),
    ],
)
def test_a_trusted_file_in_a_writable_grant_is_refused(profile: str, variable: str, tmp_path: Path) -> None:
    elsewhere = {"AWS_CONFIG_FILE": "/nowhere", "AWS_SHARED_CREDENTIALS_FILE": "/nowhere"}
    elsewhere |= {"AWS_DATA_PATH": "/nowhere"}
    named = {**elsewhere, variable: f"{tmp_path}/file"}
    with pytest.raises(ConfigError, match=f"{variable} names '{tmp_path}/file', in {tmp_path}"):
        refuse(profile, tmp_path, named)
    refuse(profile, tmp_path, named, access=Access.READ)
    refuse(profile, tmp_path, {**elsewhere, variable: "/nowhere"})


def test_the_usual_place_of_aws_is_asked_about_without_a_variable(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="without AWS_CONFIG_FILE, nono reads"):
        refuse("aws", tmp_path, {})


def test_the_usual_roots_are_asked_about_without_a_variable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    compiled_in = root_places.of_openssl()._replace(file=str(tmp_path / "cert.pem"))
    monkeypatch.setattr(root_places, "of_openssl", lambda: compiled_in)
    with pytest.raises(ConfigError, match="without SSL_CERT_FILE, nono reads"):
        refuse("proxy", tmp_path, {})
    refuse("proxy", tmp_path, {"SSL_CERT_FILE": "/nowhere"})


def test_a_run_that_speaks_no_tls_has_no_roots_to_protect(tmp_path: Path) -> None:
    refuse("open", tmp_path, {"SSL_CERT_FILE": f"{tmp_path}/file"})
