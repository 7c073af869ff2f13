"""`nono profile validate`, `schema`, `guide` and the old `nono policy`."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from nono.cli.main import main
from nono.policy.builtin import shipped
from nono.policy.export.json_schema import schema


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("TMPDIR", str(tmp_path / "temporary"))
    for variable in ("XDG_CONFIG_HOME", "XDG_STATE_HOME"):
        monkeypatch.delenv(variable, raising=False)
    (tmp_path / ".config/nono/profiles").mkdir(parents=True)
    (tmp_path / ".ssh").mkdir()
    monkeypatch.chdir(tmp_path)
    return tmp_path


def asked(capsys: pytest.CaptureFixture[str], *argv: str) -> tuple[int, str, str]:
    status = main(argv)
    return (status, *capsys.readouterr())


def write(path: Path, document: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(document if isinstance(document, str) else json.dumps(document))
    return path


@pytest.mark.parametrize(
    ("key", "tls", "network", "problems"),
    [
        ("file:///keys/one", {}, {}, []),
        ("file:///keys/../one", {}, {}, ["the path must not contain '..'"]),
        ("cmd://one", {}, {}, ["cmd://one has no entry in credential_capture (there are none)."]),
        ("file:///keys/one", {"tls_ca": "/no/ca.pem"}, {}, ["No such file or directory"]),
        ("file:///keys/../one", {}, {"block": True}, []),
    ],
    ids=["good", "bad path", "no such command", "no such certificate", "no run has it"],
)
def test_a_service_that_only_an_option_asks_for_is_checked_too(
    key: str,
    tls: dict[str, str],
    network: dict[str, object],
    problems: list[str],
    home: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    service = {"upstream": "https://api.example", "credential_key": key, "env_var": "KEY", **tls}
    path = write(home / "one.json", {"network": {"custom_credentials": {"svc": service}, **network}})
    status, out, _ = asked(capsys, "profile", "validate", "--json", str(path))
    found = json.loads(out)
    assert (status, found["errors"]) == (0, [])
    start = "a run with --credential svc is refused here: "
    said = [text.removeprefix(start) for text in found["warnings"] if text.startswith(start)]
    assert [text.split(": ")[-1] for text in said] == problems


@pytest.mark.parametrize("name", shipped.profile_names())
def test_a_built_in_profile_is_valid(name: str, home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, out, err = asked(capsys, "profile", "validate", name, "--json")
    found = json.loads(out)
    assert (status, err) == (0, "")
    assert (found["file"], found["valid"], found["errors"]) == (f"built-in {name}", True, [])


def test_a_profile_is_named_by_its_file_or_its_name(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write(home / ".config/nono/profiles/mine.json", {"extends": "go-dev"})
    write(home / "plain", {})  # no suffix and no slash, but there
    draft = write(home / ".config/nono/profile-drafts/new.json", {"meta": {"name": "new"}})
    for argv, file in (
        (["mine"], str(path)),
        ([str(path)], str(path)),
        (["plain"], "./plain"),
        (["new", "--draft"], str(draft)),
    ):
        status, out, _ = asked(capsys, "profile", "validate", "--json", *argv)
        assert (status, json.loads(out)["file"]) == (0, file)
    assert asked(capsys, "profile", "validate", "new")[0] == 1  # a draft is no profile yet


@pytest.mark.parametrize(
    ("document", "error"),
    [
        ('{"filesystem": {,}}', r"JSON syntax error: .*:1:17: "),
        ('{"a": 1', r"JSON syntax error: "),
        ({"filesystm": {}}, r"Profile error: .*:1:2: filesystm: no such field \(did you mean 'filesystem"),
        ({"extends": "nonesuch"}, r"Inheritance error: .*base profile 'nonesuch' not found"),
        ({"groups": {"include": ["git_confg"]}}, r"Profile error: .*'git_confg' \(did you mean"),
        ({"groups": {"exclude": ["deny_credentials"]}}, r"Profile error: .*Cannot exclude required groups"),
        ({"filesystem": {"read": [""]}}, r"Profile error: .*filesystem.read.0"),
        ({"filesystem": {"read": ["~/.ssh"]}}, r"a run with it is refused here: "),
        ({"filesystem": {"deny": ["$NONESUCH/x"]}}, r"a run with it is refused here: .*NONESUCH is not set"),
    ],
    ids=["syntax", "cut off", "field", "base", "group", "required", "empty path", "denied", "unset denial"],
)
def test_what_is_wrong_is_an_error(
    document: object, error: str, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write(home / "x.json", document)
    status, out, err = asked(capsys, "profile", "validate", str(path), "--json")
    found = json.loads(out)
    assert (status, err) == (1, "nono: validation failed\n")
    assert found["valid"] is False
    assert re.match(error, found["errors"][0])
    status, out, err = asked(capsys, "profile", "validate", str(path))
    assert (status, err) == (1, "nono: validation failed\n")
    assert "[err] " in out
    assert out.splitlines()[-1] == f"Result: invalid ({len(found['errors'])} error)"


@pytest.mark.parametrize("argv", [["nonesuch"], ["./nonesuch.json"], ["a_b"], ["nonesuch", "--draft"]])
def test_what_is_not_there_is_not_valid(
    argv: list[str], home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    status, out, err = asked(capsys, "profile", "validate", *argv)
    assert (status, err) == (1, "nono: validation failed\n")
    assert re.match(r"\[err\] (Profile not found|File read error|Profile error):", out)


@pytest.mark.parametrize(
    ("server", "problem"),
    [
        ({"binary": "npx"}, None),
        ({}, "profile 'tracker' names no program to start."),
        (None, "Profile not found: tracker"),
    ],
    ids=["a program", "no program", "no profile"],
)
def test_the_mcp_servers_of_a_profile_are_looked_at(
    server: dict[str, str] | None, problem: str | None, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if server is not None:
        write(home / ".config/nono/profiles/tracker.json", server)
    path = write(home / "one.json", {"network": {"mcp_servers": ["tracker"]}})
    status, out, _ = asked(capsys, "profile", "validate", "--json", str(path))
    errors = json.loads(out)["errors"]
    assert (status != 0, len(errors)) == (problem is not None, problem is not None)
    assert all(problem in error for error in errors if problem is not None)


def test_what_would_have_no_effect_is_a_warning(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    there = home / "data"
    there.mkdir()
    document = {
        "filesystem": {"read": ["$NONESUCH/x", "/nonesuch", str(there)]},
        "groups": {"exclude": ["nonesuch"]},
        "open_urls": {"allow_origins": ["https://a.example"]},
    }
    status, out, _ = asked(capsys, "profile", "validate", str(write(home / "x.json", document)), "--json")
    found = json.loads(out)
    assert (status, found["valid"]) == (0, True)
    text = "\n".join(found["warnings"])
    parts = ("$NONESUCH is not set", "/nonesuch: not there", "no group is called 'nonesuch'", "open_urls")
    assert [part for part in parts if part not in text] == []
    assert f"{there}:" not in text
    lines = asked(capsys, "profile", "validate", str(home / "x.json"))[1].splitlines()
    assert lines[-1] == f"Result: valid ({len(found['warnings'])} warnings)"


OLD_NAMES = {"security": {"groups": ["git_config"]}, "policy": {"add_allow_read": ["/usr"]}}


def test_old_names_are_counted(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write(home / "old.json", OLD_NAMES)
    status, out, err = asked(capsys, "-s", "profile", "validate", str(path), "--json")
    assert (status, json.loads(out)["deprecated_keys"]) == (0, 2)
    assert "use 'groups.include' instead" in err
    assert "found 2 deprecated keys; run 'nono profile guide'" in err
    assert "use 'groups.include' instead" in asked(capsys, "profile", "show", str(path))[2]


def test_strict_refuses_old_names(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write(home / "old.json", OLD_NAMES)
    assert asked(capsys, "profile", "validate", str(path), "--strict")[0] == 2
    assert asked(capsys, "profile", "validate", "go-dev", "--strict")[0] == 0


def test_the_schema_is_printed_or_written(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, out, err = asked(capsys, "profile", "schema")
    assert (status, err, json.loads(out)) == (0, "", schema())
    assert asked(capsys, "profile", "schema", "-o", "s.json") == (0, "", "Wrote s.json\n")
    assert (home / "s.json").read_text() == out
    status, out, err = asked(capsys, "profile", "schema", "-o", "/dev/null/d/x")
    assert (status, err) == (1, "nono: /dev/null/d/x cannot be written: Not a directory\n")


def test_every_example_of_the_guide_is_valid(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, guide, err = asked(capsys, "profile", "guide")
    assert (status, err) == (0, "")
    assert [line for line in guide.splitlines() if len(line) > 80] == []
    examples = re.findall(r"^    \{\n.*?^    \}\n", guide, re.MULTILINE | re.DOTALL)
    assert len(examples) > 5
    for example in examples:
        path = write(home / "example.json", example)
        found = json.loads(asked(capsys, "profile", "validate", str(path), "--json")[1])
        assert found["errors"] == [], example


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("profiles", "list"),
        ("groups", "groups"),
        ("show go-dev", "show go-dev"),
        ("diff go-dev rust-dev", "diff go-dev rust-dev"),
        ("validate go-dev", "validate go-dev"),
    ],
)
def test_policy_is_profile_with_a_warning(
    old: str, new: str, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    status, out, err = asked(capsys, "policy", *old.split(), "--json")
    assert (status, out, "") == asked(capsys, "profile", *new.split(), "--json")
    action, name = old.split()[0], new.split()[0]
    warning = f"`nono policy {action}` is deprecated; use `nono profile {name}` instead."
    assert err == f"  [nono] WARNING: {warning} Will be removed in v1.0.0.\n"
    assert asked(capsys, "-s", "policy", *old.split(), "--json") == (status, out, "")


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        ([], "nono policy is the old name of nono profile.\nhint: nono profile --help\n"),
        (["init", "x"], "nono policy has no action 'init'.\nhint: nono profile --help\n"),
        (["list"], "nono policy has no action 'list'.\nhint: nono profile list\n"),
        (["prfiles"], "nono policy has no action 'prfiles'.\nhint: did you mean 'profiles'?\n"),
    ],
)
def test_policy_has_no_other_actions(
    argv: list[str], said: str, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert asked(capsys, "policy", *argv) == (2, "", f"nono: {said}")
