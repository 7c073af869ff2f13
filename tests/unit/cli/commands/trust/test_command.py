"""`nono trust` as it is typed, with a key in a file."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import pytest

from nono.cli.commands.trust import command
from nono.errors import NonoError, UsageError
from nono.trust.policy import FILE

Trust = Callable[..., tuple[int, str]]


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for variable in ("XDG_CONFIG_HOME", "XDG_STATE_HOME"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    directory = tmp_path / "project"
    directory.mkdir()
    monkeypatch.chdir(directory)
    (directory / "CLAUDE.md").write_text("be good\n")
    return directory


@pytest.fixture
def trust(project: Path, capsys: pytest.CaptureFixture[str]) -> Trust:
    """Run an action with the key of a policy that is in force."""

    def run(action: str, *arguments: str) -> tuple[int, str]:
        key = [f"--keyref=file://{project.parent}/trust.key"] if action in _WITH_KEY else []
        capsys.readouterr()
        status = command.run([action, *key, *arguments])
        return status, capsys.readouterr().out

    for action in ("keygen", "init", "sign-policy"):
        assert run(action)[0] == 0
    return run


_WITH_KEY = ("keygen", "init", "sign", "sign-policy", "export-key")


def _states(trust: Trust) -> dict[str, str]:
    return {row["file"]: row["state"] for row in json.loads(trust("list", "--json")[1])}


def test_a_signed_file_verifies(trust: Trust) -> None:
    assert trust("verify")[0] == 1
    trust("sign", "CLAUDE.md")
    status, said = trust("verify", "CLAUDE.md")
    assert (status, said) == (0, "  PASS   CLAUDE.md: signed by trust.key\n1 checked, 0 not trusted.\n")


def test_no_link_in_a_project_leads_what_is_signed_to_another_file(trust: Trust, project: Path) -> None:
    """A command may have left it there, and a person's file would be overwritten."""
    other = project.parent / "profile"
    other.write_text("mine\n")
    for name, writes in (
        ("CLAUDE.md.bundle", ("sign", "CLAUDE.md")),
        (FILE, ("init", "--force")),
        (f"{FILE}.bundle", ("sign-policy",)),
    ):
        (project / name).unlink(missing_ok=True)
        (project / name).symlink_to(other)
        assert trust(*writes)[0] == 0
        assert not (project / name).is_symlink()
        assert other.read_text() == "mine\n"


def test_memory_is_private_before_the_key_that_signs_is_read(trust: Trust, key_steps: list[str]) -> None:
    key_steps.clear()
    trust("sign", "CLAUDE.md")
    assert key_steps == ["private", "read"]


def test_a_signed_file_that_changed_does_not(trust: Trust, project: Path) -> None:
    trust("sign", "--all")
    (project / "CLAUDE.md").write_text("be evil\n")
    status, said = trust("verify")
    assert (status, said.splitlines()[0]) == (
        1,
        "  FAIL   CLAUDE.md: it has changed since trust.key signed it",
    )


def test_the_list_says_what_each_file_is(trust: Trust, project: Path) -> None:
    trust("sign", "CLAUDE.md")
    (project / "a").mkdir()
    (project / "a/AGENTS.md").write_text("x")
    rows = json.loads(trust("list", "--json")[1])
    assert rows == [
        {"format": 1, "file": "CLAUDE.md", "status": "verified", "state": "verified", "signer": "trust.key"},
        {
            "format": 1,
            "file": "a/AGENTS.md",
            "status": "unsigned",
            "state": "unsigned",
            "reason": "nobody has signed or approved it",
        },
    ]
    (project / "CLAUDE.md").write_text("be evil\n")
    assert json.loads(trust("list", "--json")[1])[0] == {
        "format": 1,
        "file": "CLAUDE.md",
        "status": "failed",
        "state": "changed",
        "reason": "it has changed since trust.key signed it",
    }


def test_a_folder_is_signed_as_one(trust: Trust, project: Path) -> None:
    skill = project / "skills/pdf"
    skill.mkdir(parents=True)
    for name in ("SKILL.md", "run.py"):
        (skill / name).write_text(name)
    (skill / "__pycache__").mkdir()  # what a later run writes there changes nothing that was signed
    (skill / "__pycache__/run.pyc").write_text("x")
    assert trust("sign", "skills/pdf")[1].startswith("Signed 2 files: ")
    states = _states(trust)
    assert (states["skills/pdf/SKILL.md"], states["skills/pdf/run.py"]) == ("verified", "verified")
    (skill / "added.py").write_text("evil")
    (skill / "run.py").write_text("evil")
    states = _states(trust)
    assert (states["skills/pdf/run.py"], states["skills/pdf/added.py"]) == ("changed", "unsigned")


def test_a_folder_without_files_is_not_signed(trust: Trust, project: Path) -> None:
    (project / "skills").mkdir()
    with pytest.raises(NonoError, match="a manifest has 1 to"):
        trust("sign", "skills")
    assert [*(project / "skills").iterdir()] == []


@pytest.mark.parametrize(
    "words", [("sign",), ("sign", "--all", "CLAUDE.md"), ("sign-policy", "--user", FILE)], ids=" ".join
)
def test_what_is_to_be_signed_is_said_in_one_way(trust: Trust, project: Path, words: tuple[str, ...]) -> None:
    there = {*project.iterdir()}
    with pytest.raises(UsageError):
        trust(*words)
    assert {*project.iterdir()} == there


def test_many_files_are_signed_in_one_manifest(trust: Trust, project: Path) -> None:
    (project / "AGENTS.md").write_text("x")
    trust("sign", "--all", "--multi-subject")
    assert _states(trust) == {"AGENTS.md": "verified", "CLAUDE.md": "verified"}
    with pytest.raises(NonoError, match="is not below"):
        trust("sign", "--multi-subject", str(project.parent / "trust.key.pub"))


def test_what_a_person_approved_is_trusted_until_it_changes(trust: Trust, project: Path) -> None:
    with pytest.raises(NonoError, match="nobody can be asked"):
        trust("approve")
    assert trust("approve", "--yes")[1].endswith("+be good\nApproved 1.\n")
    assert trust("verify")[0] == 0
    (project / "CLAUDE.md").write_text("be evil\n")
    assert _states(trust) == {"CLAUDE.md": "changed"}
    assert "-be good\n    +be evil" in trust("approve", "--yes", "CLAUDE.md")[1]


def test_a_file_on_the_blocklist_is_not_approved(trust: Trust, project: Path) -> None:
    policy = json.loads((project / FILE).read_text())
    digest = sha256(b"be good\n").hexdigest()
    policy["blocklist"]["digests"] = [{"sha256": digest, "description": "known"}]
    (project / FILE).write_text(json.dumps(policy))
    trust("sign-policy")
    status, said = trust("approve", "--yes")
    assert (status, said.splitlines()[1:]) == (1, ["Nothing waits for approval."])
    assert "  CLAUDE.md cannot be approved: its content is on the blocklist" in said


def test_a_signature_by_somebody_else_counts_for_nothing(trust: Trust, project: Path) -> None:
    stranger = f"file://{project.parent}/stranger.key"
    command.run(["keygen", f"--keyref={stranger}"])
    command.run(["sign", f"--keyref={stranger}", "CLAUDE.md"])
    assert _states(trust) == {"CLAUDE.md": "untrusted"}


def test_a_policy_that_was_rewritten_waits_for_approval(trust: Trust, project: Path) -> None:
    trust("approve", "--yes")
    trust("forget")
    policy = json.loads((project / FILE).read_text())
    (project / FILE).write_text(json.dumps({**policy, "enforcement": "audit"}))
    said = trust("approve", "--yes")[1]
    assert f"  {FILE}: it has changed since you signed it" in said


def test_the_name_of_a_directory_drives_no_terminal(
    trust: Trust, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    forged = project.parent / "x\n\x1b[2J"
    forged.mkdir()
    shutil.copy(project / FILE, forged)
    (forged / "CLAUDE.md").write_text("be good\n")
    monkeypatch.chdir(forged)
    trust("approve", "--yes")
    assert trust("forget")[1] == f"Forgot what was approved in {project.parent}/x\\n\\x1b[2J.\n"


def test_a_signed_policy_verifies_until_it_is_rewritten(trust: Trust, project: Path) -> None:
    assert trust("verify", FILE)[1].startswith(f"  PASS   {FILE}: signed by you\n")
    (project / FILE).write_text((project / FILE).read_text().replace("deny", "audit"))
    status, said = trust("verify", FILE)
    assert (status, said.splitlines()[0]) == (1, f"  FAIL   {FILE}: it has changed since you signed it")


def test_a_policy_that_is_signed_under_another_name_is_not_this_projects(trust: Trust, project: Path) -> None:
    loose = (project / FILE).read_text().replace("deny", "audit")
    (project / "loose.json").write_text(loose)
    assert trust("sign-policy", "loose.json")[0] == 0
    (project / FILE).write_text(loose)
    assert trust("verify", FILE)[0] == 1


def test_a_policy_that_cannot_be_read_as_one_is_not_signed(trust: Trust, project: Path) -> None:
    (project / "other.json").write_text("{}")
    with pytest.raises(NonoError, match="predicate is not"):
        trust("sign-policy", "other.json")
    assert not (project / "other.json.bundle").exists()


def test_what_was_never_approved_is_not_forgotten(trust: Trust, project: Path) -> None:
    assert trust("forget")[0] == 0
    with pytest.raises(NonoError, match="nothing is remembered about"):
        trust("forget")


def test_an_existing_policy_is_replaced_only_if_asked(trust: Trust) -> None:
    with pytest.raises(NonoError, match="exists"):
        trust("init")
    assert trust("init", "--force", "--include", "A.md")[0] == 0


def test_a_policy_without_a_key_trusts_what_is_approved_alone(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(NonoError, match="there is no public key 'default'") as refused:
        command.run(["init"])
    assert refused.value.hint == (
        "nono trust keygen --id default, or nono trust init --without-key, if you approve the files yourself"
    )
    assert command.run(["init", "--without-key"]) == 0
    assert capsys.readouterr().out.endswith("Next: nono trust approve\n")
    assert command.run(["verify", FILE]) == 0  # whoever writes a policy has approved it
    assert command.run(["verify", "CLAUDE.md"]) == 1
    assert command.run(["approve", "--yes"]) == 0
    assert command.run(["verify", "CLAUDE.md"]) == 0
    (project / "CLAUDE.md").write_text("be evil\n")
    assert command.run(["verify", "CLAUDE.md"]) == 1


def test_without_a_policy_there_is_nothing_to_verify(project: Path) -> None:
    with pytest.raises(NonoError, match="no trust policy applies to this directory"):
        command.run(["verify"])


def test_signing_without_a_key_needs_the_identity_of_a_job(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable in ("GITHUB_ACTIONS", "GITLAB_CI", "BUILDKITE", "CIRCLECI"):
        monkeypatch.delenv(variable, raising=False)
    with pytest.raises(NonoError, match="needs the identity of a CI job"):
        command.run(["sign", "--keyless", "CLAUDE.md"])
    assert not (project / "CLAUDE.md.bundle").exists()


@pytest.mark.skipif(shutil.which("cosign") is None, reason="cosign is not installed")
@pytest.mark.parametrize("is_changed", [False, True], ids=["as signed", "changed"])
def test_cosign_verifies_what_was_signed(trust: Trust, project: Path, is_changed: bool) -> None:
    trust("sign", "CLAUDE.md")
    (project / "key.pem").write_text(trust("export-key", "--pem")[1])
    # Of those that sign without a key: nobody, or cosign would ask the network.
    root = {"mediaType": "application/vnd.dev.sigstore.trustedroot+json;version=0.1"}
    (project / "root.json").write_text(json.dumps(root))
    if is_changed:
        (project / "CLAUDE.md").write_text("be evil\n")
    argv = ["cosign", "verify-blob-attestation", "--key=key.pem", "--bundle=CLAUDE.md.bundle"]
    argv += ["--new-bundle-format", "--insecure-ignore-tlog=true", "--trusted-root=root.json", "--type"]
    argv += ["https://nono.sh/attestation/instruction-file/v1", "CLAUDE.md"]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode == 0) is not is_changed, done.stderr


def test_a_name_forges_no_line(project: Path, trust: Trust) -> None:
    where = project / "a\n  CLAUDE.md: approved\x1b[2K"
    where.mkdir()
    shutil.copy("CLAUDE.md", where / "CLAUDE.md")
    shown = r"a\n  CLAUDE.md: approved\x1b[2K/CLAUDE.md"
    for action, *arguments in (["list"], ["verify", f"{where}/CLAUDE.md"], ["approve", "--yes"]):
        said = trust(action, *arguments)[1]
        assert shown in said
        assert "\n  CLAUDE.md: approved" not in said
    assert f"    +++ {shown}\n" in said


def test_a_link_is_approved_with_the_place_that_it_leads_to(trust: Trust, project: Path) -> None:
    elsewhere = project.parent / "notes.md"
    elsewhere.write_text("be good\n")
    (project / "CLAUDE.md").unlink()
    (project / "CLAUDE.md").symlink_to(elsewhere)
    said = trust("approve", "--yes", "CLAUDE.md")[1]
    assert said.startswith(f"  CLAUDE.md (a link to {elsewhere}): ")
    assert said.endswith("Approved 1.\n")


def test_a_link_to_the_environment_is_neither_shown_nor_approved(trust: Trust, project: Path) -> None:
    (project / "CLAUDE.md").unlink()
    (project / "CLAUDE.md").symlink_to("/proc/self/environ")
    status, said = trust("approve", "--yes", "CLAUDE.md")
    assert status == 1
    assert "CLAUDE.md cannot be approved: " in said
    assert "made up by the kernel as it is read" in said
    assert "PATH=" not in said
