"""`nono setup` helps to begin: example profiles that are valid, and advice that is right."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from nono.cli.commands import setup as command
from nono.cli.main import main
from nono.kernel import filters
from nono.kernel.filters import build
from nono.kernel.filters.freeze import Comparison
from nono.policy.builtin import shipped


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    return tmp_path


def setup(capsys: pytest.CaptureFixture[str], *argv: str) -> list[str]:
    assert main(["setup", *argv]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    return out.splitlines()


@pytest.mark.parametrize(
    ("argv", "phases", "closing"),
    [
        (["--check-only"], 4, "Installation verified!"),
        ([], 4, "Setup complete!"),
        (["--profiles"], 5, "Setup complete!"),
        (["--shell-integration"], 5, "Setup complete!"),
        (["--profiles", "--shell-integration"], 6, "Setup complete!"),
    ],
    ids=str,
)
def test_each_phase_has_its_number(
    argv: list[str], phases: int, closing: str, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = setup(capsys, *argv)
    numbers = [line.partition(" ")[0] for line in lines if line.startswith("[")]
    assert numbers == [f"[{number}/{phases}]" for number in range(1, phases + 1)]
    assert lines[-1] == closing
    directory = home / ".config/nono/profiles"
    assert directory.exists() == ("--profiles" in argv)


@pytest.mark.parametrize("width", [40, None])
def test_only_what_is_copied_is_wider_than_the_terminal(
    width: int | None, home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(command, "line_columns", lambda stream, environ: width)
    lines = setup(capsys, "--shell-integration")
    shown = lines[: lines.index("[5/5] Shell integration...")]
    # A word is not broken, and the path of the suite's own program may be one.
    wide = [line for line in shown if len(line) > 40 and " " in line.strip()]
    assert all("hint: " in line for line in wide) is (width is not None)


def test_profiles_are_named_with_what_they_reach(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (home / ".config/nono/profiles").mkdir(parents=True)
    (home / ".config/nono/profiles/go-dev.json").write_text('{"network": {"block": true}}')
    lines = setup(capsys, "--check-only")
    assert "  * go-dev - Go development (network through the proxy)" in lines
    shown = lines[lines.index("[4/4] Built-in profiles...") : -1]
    assert sum(line.startswith("  * ") for line in shown) == len(shipped.profile_names())
    assert [line for line in shown if len(line) > 80] == []


def test_the_example_profiles_are_valid(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    setup(capsys, "--profiles")
    files = {path.stem for path in (home / ".config/nono/profiles").iterdir()}
    assert files == set(shipped.example_profiles()) == {"example-agent", "offline-build", "data-processing"}
    for name in files:
        assert main(["profile", "validate", name, "--json"]) == 0
        assert json.loads(capsys.readouterr().out)["errors"] == []


def test_what_a_person_made_of_an_example_is_kept(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    setup(capsys, "--profiles")
    assert any("is there already" in line for line in setup(capsys, "--profiles"))
    mine = home / ".config/nono/profiles/offline-build.json"
    mine.write_text("{}")
    lines = setup(capsys, "--profiles")
    assert f"  * {mine} (what was different is now offline-build.json.old)" in lines
    assert mine.with_name("offline-build.json.old").read_text() == "{}"
    assert mine.read_bytes() == shipped.example_profiles()["offline-build"]
    assert main(["profile", "list"]) == 0
    assert ".old" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("shell", "others"), [("/bin/zsh", ("bash:", "fish:")), ("/bin/other", ()), ("", ())]
)
def test_the_advice_is_for_the_shell_that_is_used(
    shell: str,
    others: tuple[str, ...],
    home: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("SHELL", shell)
    text = "\n".join(setup(capsys, "--shell-integration"))
    assert "nono completion zsh >" in text
    assert [other for other in others if other in text] == []
    assert ('eval "$(nono completion bash)"' in text) == (not others)


def test_a_check_changes_nothing(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["setup", "--check-only", "--profiles"]) == 2
    assert capsys.readouterr().err.startswith("nono: --check-only changes nothing, and --profiles")
    assert not (home / ".config").exists()


VERIFIED = Comparison(13, (), (), "2.6.0", "2.6.0")


def test_the_seccomp_programs_are_verified(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said = [line for line in setup(capsys, "--check-only") if "Seccomp programs: " in line]
    assert len(said) == 1
    assert " verified" in said[0]


@pytest.mark.parametrize(
    ("found", "said"),
    [
        pytest.param(VERIFIED, "all 13 verified against a build by libseccomp 2.6.0", id="equal"),
        pytest.param(
            VERIFIED._replace(different=("notify", "opens"), built_with="2.5.5"),
            "11 of 13 verified; libseccomp 2.5.5 orders the others differently than 2.6.0, with which they "
            "were frozen (notify, opens)",
            id="another version",
        ),
        pytest.param(
            VERIFIED._replace(missing=("notify",)),
            "1 not shipped; libseccomp 2.6.0 builds them at each start",
            id="missing",
        ),
        pytest.param("libseccomp is not installed", "not verified, libseccomp is not installed", id="none"),
    ],
)
def test_programs_that_could_not_be_verified_are_said(
    found: Comparison | str,
    said: str,
    home: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(command, "compare_programs", lambda: found)
    assert f"  * Seccomp programs: {said}" in setup(capsys, "--check-only")


def test_a_tampered_seccomp_program_fails_the_check(
    home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(command, "compare_programs", lambda: VERIFIED._replace(different=("notify",)))
    assert main(["setup", "--check-only"]) == 1
    out, err = capsys.readouterr()
    assert "  * Seccomp programs: DIFFERENT from what libseccomp 2.6.0 builds: notify\n" in out
    assert "Installation verified!" not in out
    assert err.startswith(
        "nono: Setup error: seccomp programs differ from what libseccomp 2.6.0 builds: notify."
    )
    assert err.endswith("hint: reinstall nono\n")


def test_a_machine_without_any_programs_fails_in_a_sentence(
    home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(filters, "DIRECTORY", str(home / "none"))
    monkeypatch.setattr(build, "LIBRARY", "libseccomp.so.none")
    monkeypatch.delitem(sys.modules, "pyseccomp", raising=False)
    assert main(["setup", "--check-only"]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("nono: Sandbox initialization failed: no seccomp filter for ")
