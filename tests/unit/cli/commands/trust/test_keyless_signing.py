"""`nono trust sign --keyless`, against an authority and a log that answer over HTTP as the public ones do."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from sigstore.models import ClientTrustConfig

from nono.cli.commands.trust import command
from nono.errors import NonoError
from nono.trust.disk.keyless import TRUSTED_ROOT
from nono.trust.policy import FILE
from support.credentials.sigstore_instance import WORKFLOW
from support.credentials.sigstore_servers import AUTHORITY, LOG, TOKEN, Servers, sigstore_servers

IDENTITY = {
    "name": "releases",
    "issuer": WORKFLOW["8"],
    "repository": "org/*",
    "workflow": ".github/workflows/sign.yml",
    "ref_pattern": "refs/tags/*",
}


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make a project whose signed policy trusts that workflow."""
    for variable in ("XDG_CONFIG_HOME", "XDG_STATE_HOME", "GITLAB_CI", "BUILDKITE", "CIRCLECI"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    directory = tmp_path / "project"
    directory.mkdir()
    monkeypatch.chdir(directory)
    (directory / "CLAUDE.md").write_text("be good\n")
    key = f"--keyref=file://{tmp_path}/trust.key"
    for action in ("keygen", "init"):
        assert command.run([action, key]) == 0
    policy = json.loads((directory / FILE).read_text())
    policy["publishers"].append(IDENTITY)
    (directory / FILE).write_text(json.dumps(policy))
    assert command.run(["sign-policy", key]) == 0
    return directory


@pytest.fixture
def servers(project: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Servers]:
    with sigstore_servers() as serving:
        for name, value in serving.job().items():
            monkeypatch.setenv(name, value)
        config = ClientTrustConfig.from_json(serving.trust_config())
        monkeypatch.setattr(ClientTrustConfig, "production", lambda: config)
        root = project.parent / ".config/nono" / TRUSTED_ROOT
        root.parent.mkdir(parents=True, exist_ok=True)
        root.write_text(serving.instance.trusted_root())
        yield serving


def test_what_a_job_has_signed_verifies_by_its_identity(
    servers: Servers, project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command.run(["sign", "--keyless", "CLAUDE.md"]) == 0
    assert servers.asked == [TOKEN, AUTHORITY, LOG]
    capsys.readouterr()
    assert command.run(["verify", "CLAUDE.md"]) == 0
    assert "PASS   CLAUDE.md: signed by releases" in capsys.readouterr().out
    (project / "CLAUDE.md").write_text("be evil\n")
    assert command.run(["verify", "CLAUDE.md"]) == 1


@pytest.mark.parametrize(
    ("path", "answer"),
    [
        (TOKEN, (500, b"{}")),
        (TOKEN, (200, b'{"value": "none"}')),
        (TOKEN, (200, b"<html>")),
        (AUTHORITY, (400, b'{"message": "no such issuer"}')),
        (AUTHORITY, (200, b"{}")),
        (AUTHORITY, (200, b"<html>")),
        (LOG, (500, b"{}")),
        (LOG, (201, b"{}")),
        (LOG, (201, b"<html>")),
    ],
    ids=lambda value: str(value),
)
def test_an_authority_or_log_that_fails_leaves_no_signature(
    servers: Servers, project: Path, path: str, answer: tuple[int, bytes]
) -> None:
    servers.answers[path] = answer
    with pytest.raises(NonoError, match=r"has not signed it|identity of this job"):
        command.run(["sign", "--keyless", "CLAUDE.md"])
    assert servers.asked[-1] == path
    assert not (project / "CLAUDE.md.bundle").exists()
