"""The completion scripts in the shells themselves: what can stand there is offered, nothing executed."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from nono.cli.command_table import COMMANDS
from support.shell_completion import SHELLS, Offers, interactive

pytestmark = pytest.mark.skipif(
    not all(map(shutil.which, SHELLS)), reason="needs bash, fish and zsh, which .ci/run installs"
)
EVIL = ("$(touch pwned).json", "`touch pwned`.json", "a;touch pwned.json", "x y.json")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a home with two directories, a file, a profile and files that only look like profiles."""
    home = tmp_path_factory.mktemp("home")
    profiles = home / ".config/nono/profiles"
    profiles.mkdir(parents=True)
    for name in ("gopher.json", "gobi.jsonc", *EVIL):
        (profiles / name).write_text("{}")
    for name in ("data", "data two"):
        (home / name).mkdir()
    (home / "date.txt").write_text("")
    return home


@pytest.fixture(scope="module", params=sorted(SHELLS))
def shell(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def script(shell: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    done = subprocess.run(
        [sys.executable, "-I", "-m", "nono", "completion", shell], capture_output=True, text=True, check=True
    )
    assert done.stderr == ""
    path = tmp_path_factory.mktemp(shell) / "nono"
    path.write_text(done.stdout)
    return path


@pytest.fixture(scope="module")
def offers(shell: str, script: Path, home: Path) -> Iterator[Offers]:
    with SHELLS[shell](script, home) as offers:
        yield offers


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("nono ", set(COMMANDS) - {"connect-helper", "policy"}),
        ("nono ru", {"run"}),
        ("nono -s --theme latte profile sh", {"show"}),
        ("nono profile show --js", {"--json"}),
        ("nono --theme l", {"latte"}),
        ("nono run --sandbox-policy ", {"auto", "external", "landlock", "netns"}),
        ("nono run --block-net --network-profile dev", {"developer"}),
        ("nono profile groups deny_c", {"deny_credentials", "deny_credentials_more"}),
        ("nono profile init x --groups git", {"git_config"}),
        ("nono why --op re", {"read", "readwrite"}),
        ("nono completion ", {"bash", "fish", "zsh"}),
        ("nono run --env-credential-map env://A B --block-ne", {"--block-net"}),
        ("nono run --allow /tmp -- trunca", {"truncate"}),
        ("nono run --allow /tmp trunca", {"truncate"}),
        ("nono wrap -- cat date", {"date.txt"}),
    ],
)
def test_what_can_stand_there_is_offered(line: str, offered: set[str], offers: Offers) -> None:
    assert set(offers(line)) == offered


def test_options_are_those_of_the_place(offers: Offers) -> None:
    of_run = offers("nono run --")
    assert {"--allow", "--credential", "--network-profile"} <= set(of_run)
    assert not {"--max-connections", "--exit-code", "--extends-none"} & set(of_run)
    assert "--max-connections" in offers("nono proxy --m")


@pytest.mark.parametrize("line", ["nono run --allow da", "nono run -a da", "nono run --allow=da"])
def test_a_directory_is_asked_for_where_one_belongs(line: str, offers: Offers) -> None:
    names = {name.removeprefix("--allow=").rstrip("/").replace("\\ ", " ") for name in offers(line)}
    assert names == {"data", "data two"}


@pytest.mark.parametrize("line", ["nono run --profile go", "nono run -p go", "nono profile show go"])
def test_the_users_profiles_are_offered_with_the_shipped_ones(line: str, offers: Offers) -> None:
    assert set(offers(line)) == {"go-dev", "goose", "gobi", "gopher"}


def test_names_in_a_directory_are_never_executed(offers: Offers, home: Path) -> None:
    offered = offers("nono run --profile ")
    assert {"gopher", "default"} <= set(offered)
    assert not [name for name in offered if "touch" in name]
    assert not (home / "pwned").exists()


def test_a_person_at_a_bash_completes_with_tab(home: Path, tmp_path: Path) -> None:
    rc = tmp_path / "rc"
    rc.write_text(
        f'eval "$({sys.executable} -I -m nono completion bash)"\n'
        "nono() { printf '<%s>' \"$@\" done; }; PS1='> '; echo ready\n"
    )
    with interactive(["bash", "--noprofile", "--rcfile", str(rc), "-i"], home) as terminal:
        terminal.until(lambda: "ready" in terminal.seen)
        terminal.type("nono profile sh\tgob\t--js\t\n")
        terminal.until(lambda: "<done>" in terminal.seen)
    assert "<profile><show><gobi><--json><done>" in terminal.seen
