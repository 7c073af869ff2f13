"""What is installed is what was tested: wheel and sdist carry the code, what it reads, and the licence."""

from __future__ import annotations

import email.parser
import re
import subprocess
import sys
import tarfile
import zipfile
from email.message import Message
from pathlib import Path

import pytest

import nono

ROOT = Path(__file__).parents[2]
LICENCE_FILES = ("LICENSE", "NOTICE")
# What works at run time without an extra being named.
INSTALLED_WITH_IT = {"anyio", "keyring", "mitmproxy", "pydantic-settings", "pyseccomp", "textual", "uvloop"}


def build(source: Path, kind: str, target: Path) -> Path:
    command = [sys.executable, "-m", "hatchling", "build", "-t", kind, "-d", str(target)]
    subprocess.run(command, cwd=source, check=True, capture_output=True, timeout=60)
    [built] = target.iterdir()
    return built


def names_in(wheel: Path) -> set[str]:
    return set(zipfile.ZipFile(wheel).namelist())


def metadata_in(wheel: Path) -> Message:
    with zipfile.ZipFile(wheel) as archive:
        [name] = [name for name in archive.namelist() if name.endswith(".dist-info/METADATA")]
        return email.parser.BytesParser().parsebytes(archive.read(name), headersonly=True)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(ROOT, "wheel", tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def unpacked_sdist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    built = build(ROOT, "sdist", tmp_path_factory.mktemp("sdist"))
    target = tmp_path_factory.mktemp("unpacked")
    with tarfile.open(built) as archive:
        archive.extractall(target, filter="data")
    [folder] = target.iterdir()
    return folder


def test_the_wheel_carries_what_the_code_reads(wheel: Path) -> None:
    names = names_in(wheel)
    for machine in ("x86_64", "aarch64"):
        for program in ("block_all", "notify", "open_net", "tcp_only", "tcp_and_udp", "tcp_udp_and_route"):
            assert f"nono/kernel/filters/{machine}/{program}.bpf" in names
    assert {"nono/policy/data/policy.json", "nono/policy/data/network-policy.json"} <= names
    assert {f"nono/profiles/{path.name}" for path in (ROOT / "profiles").glob("*.json")} <= names
    assert {f"nono/cli/commands/top/page/{name}" for name in ("page.html", "top.css", "top.js")} <= names
    assert {f"nono/cli/commands/report/page/{name}" for name in ("report.html", "report.css")} <= names
    assert not any(name.startswith(("tests/", "benchmarks/")) for name in names)


@pytest.mark.parametrize(
    "name",
    [
        "share/man/man1/nono.1",
        "share/man/man1/nono-run.1",
        "share/man/man5/nono-profile.5",
        "share/man/man5/nono-config.5",
        "share/bash-completion/completions/nono",
        "share/zsh/site-functions/_nono",
        "share/fish/vendor_completions.d/nono.fish",
        "share/nono/schemas/nono-profile.schema.json",
        "share/nono/schemas/nono-audit-list.schema.json",
    ],
)
def test_the_wheel_carries_manual_completions_and_schemas(wheel: Path, name: str) -> None:
    assert f"nono-{nono.__version__}.data/data/{name}" in names_in(wheel)


def test_the_unpacked_wheel_finds_its_own_files(wheel: Path, tmp_path: Path) -> None:
    zipfile.ZipFile(wheel).extractall(tmp_path)
    code = (
        "import sys; sys.path.insert(0, sys.argv[1]); import nono; from nono.policy.builtin import shipped; "
        "from nono.kernel import filters; assert nono.__file__.startswith(sys.argv[1]); "
        "shipped.profile_document('python-dev'); shipped.groups(); print(len(filters.load('notify')) > 100)"
    )
    done = subprocess.run(
        [sys.executable, "-I", "-c", code, str(tmp_path)], capture_output=True, text=True, timeout=20, cwd="/"
    )
    assert (done.stdout, done.stderr) == ("True\n", "")


def test_type_checkers_find_the_marker_in_the_wheel(wheel: Path) -> None:
    assert "nono/py.typed" in names_in(wheel)


@pytest.mark.parametrize("name", LICENCE_FILES)
def test_the_wheel_carries_the_licence(wheel: Path, name: str) -> None:
    with zipfile.ZipFile(wheel) as archive:
        carried = archive.read(f"nono-{nono.__version__}.dist-info/licenses/{name}")
    assert carried == (ROOT / name).read_bytes()


@pytest.mark.parametrize("name", LICENCE_FILES)
def test_the_sdist_carries_the_licence(unpacked_sdist: Path, name: str) -> None:
    assert (unpacked_sdist / name).read_bytes() == (ROOT / name).read_bytes()


def test_the_licence_is_the_whole_apache_2_0() -> None:
    text = (ROOT / "LICENSE").read_text(encoding="ascii")
    assert "Apache License\n                           Version 2.0, January 2004" in text
    sections = [f"\n   {number}. " for number in range(1, 10)]
    assert [text.count(section) for section in sections] == [1] * 9
    assert text.rstrip().endswith("limitations under the License.")


def test_the_metadata_names_licence_and_authors(wheel: Path) -> None:
    metadata = metadata_in(wheel)
    assert metadata["License-Expression"] == "Apache-2.0"
    assert metadata.get_all("License-File") == [*LICENCE_FILES]
    assert metadata["Author"] == "The nono authors"


def test_the_metadata_names_the_least_python_that_is_required(wheel: Path) -> None:
    metadata = metadata_in(wheel)
    classifiers = metadata.get_all("Classifier") or []
    assert metadata["Requires-Python"] == ">=3.12"
    assert "Programming Language :: Python :: 3.12" in classifiers
    assert any(classifier.startswith("Development Status :: ") for classifier in classifiers)


def test_the_version_of_the_wheel_is_that_of_the_code(wheel: Path) -> None:
    assert metadata_in(wheel)["Version"] == nono.__version__


def test_a_plain_install_brings_what_works_at_run_time(wheel: Path) -> None:
    required = metadata_in(wheel).get_all("Requires-Dist") or []
    plain = {re.split("[<>=~ ]", each, maxsplit=1)[0] for each in required if "extra ==" not in each}
    assert plain >= INSTALLED_WITH_IT


def test_the_sdist_builds_the_same_wheel(unpacked_sdist: Path, wheel: Path, tmp_path: Path) -> None:
    assert names_in(build(unpacked_sdist, "wheel", tmp_path)) == names_in(wheel)
