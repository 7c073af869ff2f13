"""nono.launch.trusted.trust_roots: files that decide whom nono trusts are not for the command to write."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from pydantic import TypeAdapter

from nono.disk import root_places
from nono.errors import ConfigError
from nono.launch.trusted.trust_roots import refuse_writable_trust, refuse_writable_trust_of_log
from nono.policy.capability import Access, Grant
from nono.policy.host_filesystem import HostFilesystem
from nono.policy.request import RunRequest
from nono.policy.resolve import Resolved, resolve
from nono.policy.schema.annotations import evaluate
from nono.policy.schema.profile import Profile

AWS = {"upstream": "https://bedrock.eu-west-1.amazonaws.com", "aws_auth": {"profile": "work"}}
PROFILES: Mapping[str, Mapping[str, object]] = {
    "proxy": {"network": {"allow_domain": ["example.com"]}},
    "aws": {"network": {"custom_credentials": {"bedrock": AWS}, "credentials": ["bedrock"]}},
    "webhook": {"security": {"approval_backends": {"it": {"type": "webhook", "url": "https://a.test/"}}}},
    "webhook in the clear": {
        "security": {"approval_backends": {"it": {"type": "webhook", "url": "http://127.0.0.1:9/"}}}
    },
    "open": {},
}


def refuse(
    profile: str,
    home: Path,
    environ: Mapping[str, str],
    *,
    access: Access = Access.READWRITE,
    also: str = "",
    refuses: Callable[[Resolved, Mapping[str, str]], None] = refuse_writable_trust,
) -> None:
    """Check as Launch.prepare does, for a run that is granted its home, and a file beside it."""
    environ = {"HOME": str(home), "PATH": os.defpath, **environ}
    evaluate(Profile)
    resolved = resolve(
        RunRequest(),
        TypeAdapter(Profile).validate_python(PROFILES[profile]),
        environ=environ,
        cwd=str(home),
        fs=HostFilesystem(),
    )
    grants = [Grant(str(home), access, True, "user", str(home))]
    grants += [Grant(also, Access.READWRITE, False, "group", also)] if also else []
    capabilities = resolved.capabilities._replace(grants=tuple(grants))
    refuses(resolved._replace(capabilities=capabilities), environ)


@pytest.mark.parametrize(
    ("profile", "variable"),
    [
        ("proxy", "SSL_CERT_FILE"),
        ("proxy", "SSL_CERT_DIR"),
        ("proxy", "HOSTALIASES"),
        ("webhook", "SSL_CERT_FILE"),
        ("aws", "AWS_CONFIG_FILE"),
        ("aws", "AWS_SHARED_CREDENTIALS_FILE"),
        ("aws", "AWS_CA_BUNDLE"),
        ("aws", "AWS_DATA_PATH"),
        ("aws", "BOTO_CONFIG"),
    ],
)
def test_a_trusted_file_in_a_writable_grant_is_refused(profile: str, variable: str, tmp_path: Path) -> None:
    granted = tmp_path / "granted"  # beside the files that AWS reads without variables
    named = {"HOME": str(tmp_path), variable: f"{granted}/file"}
    with pytest.raises(ConfigError, match=f"{variable} names '{granted}/file', in {granted}") as refused:
        refuse(profile, granted, named)
    assert f"env -u {variable} " in (refused.value.hint or "")
    refuse(profile, granted, named, access=Access.READ)
    refuse(profile, granted, {**named, variable: "/nowhere"})


@pytest.mark.parametrize("variable", ["HOSTALIASES", "SSL_CERT_FILE"])
def test_nothing_stays_in_dev_null(variable: str, tmp_path: Path) -> None:
    """Every run may write there, and variables name it to have no file read."""
    refuse("proxy", tmp_path, {variable: "/dev/null"}, also="/dev/null")
    with pytest.raises(ConfigError, match=f"{variable} names '/dev/full'"):
        refuse("proxy", tmp_path, {variable: "/dev/full"}, also="/dev/full")


@pytest.mark.parametrize("variable", ["AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE", "AWS_DATA_PATH"])
@pytest.mark.parametrize("spelling", ["~/project/file", "$PROJECT/file", "${PROJECT}/file"])
def test_so_is_one_that_botocore_spells_out(variable: str, spelling: str, tmp_path: Path) -> None:
    project = tmp_path / "project"
    named = {"HOME": str(tmp_path), "PROJECT": str(project), variable: spelling}
    with pytest.raises(ConfigError, match=f"{variable} names '{project}/file', in {project}"):
        refuse("aws", project, named)
    refuse("aws", project, {**named, variable: "$UNKNOWN/project/file"})


@pytest.mark.parametrize("named", [{}, {"AWS_DATA_PATH": "/nowhere"}])
def test_the_usual_models_of_aws_are_read_whatever_is_named(named: Mapping[str, str], tmp_path: Path) -> None:
    models = tmp_path / ".aws/models"
    with pytest.raises(ConfigError, match=f"nono reads '{models}', in {models}"):
        refuse("aws", models, {**named, "HOME": str(tmp_path)})
    refuse("aws", models.with_name("other"), {**named, "HOME": str(tmp_path)})


@pytest.mark.parametrize(
    "variable",
    [
        "SSL_CERT_FILE",
        "SSL_CERT_DIR",
        "OTEL_EXPORTER_OTLP_CERTIFICATE",
        "OTEL_EXPORTER_OTLP_LOGS_CERTIFICATE",
        "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE",
        "OTEL_EXPORTER_OTLP_LOGS_CLIENT_CERTIFICATE",
        "REQUESTS_CA_BUNDLE",
        "CURL_CA_BUNDLE",
    ],
)
def test_a_certificate_of_the_collector_in_a_writable_grant_is_refused(variable: str, tmp_path: Path) -> None:
    named = {variable: f"{tmp_path}/file"}
    with pytest.raises(ConfigError, match=f"{variable} names '{tmp_path}/file'.* trusts with its log"):
        refuse("open", tmp_path, named, refuses=refuse_writable_trust_of_log)
    refuse("open", tmp_path, named, access=Access.READ, refuses=refuse_writable_trust_of_log)
    refuse("open", tmp_path, {variable: "/nowhere"}, refuses=refuse_writable_trust_of_log)


def test_a_link_to_a_trusted_file_that_the_command_could_turn_is_refused(tmp_path: Path) -> None:
    (tmp_path / "granted").mkdir()
    (tmp_path / "granted/link").symlink_to("/nowhere")
    (tmp_path / "link").symlink_to("granted/link")
    named = {"SSL_CERT_FILE": str(tmp_path / "link")}
    with pytest.raises(ConfigError, match="SSL_CERT_FILE names"):
        refuse("proxy", tmp_path / "granted", named)
    refuse("proxy", tmp_path / "granted", {"SSL_CERT_FILE": str(tmp_path / "file")})


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


@pytest.mark.parametrize("profile", ["open", "webhook in the clear"])
def test_a_run_that_speaks_no_tls_has_no_roots_to_protect(profile: str, tmp_path: Path) -> None:
    refuse(profile, tmp_path, {"SSL_CERT_FILE": f"{tmp_path}/file"})
