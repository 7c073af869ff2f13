"""What nono itself leaves in a home directory."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pytest

from support.nono_run import NONO, NonoRun, nono_run

USUAL = (".cache/nono", ".config/nono", ".local/state/nono")
MOVED = ("moved/cache/nono", "moved/config/nono", "moved/state/nono")


@pytest.fixture
def person() -> Iterator[NonoRun]:
    with nono_run() as runner:
        yield runner


@pytest.mark.parametrize("directories", [USUAL, MOVED], ids=["usual", "moved"])
def test_nono_writes_below_its_own_three_directories_only(
    person: NonoRun, directories: Sequence[str]
) -> None:
    home = person.user.home
    names = ("XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_STATE_HOME")
    environment = {
        name: str((home / directory).parent) for name, directory in zip(names, directories, strict=True)
    }

    def files() -> set[str]:
        return {str(path.relative_to(home)) for path in home.rglob("*") if not path.is_dir()}

    before = files()
    for flags in (("--rollback", "--no-rollback-prompt"), ("--audit-integrity",), ("--namespaces=off",)):
        ran = person.run(["true"], flags=flags, environment=environment)
        assert ran.exit_code == 0, ran.stderr
    for words in (
        ["wrap", "--", "/bin/true"],
        ["profile", "init", "mine"],
        ["trust", "keygen"],
        ["ps", "--all"],
        ["audit", "list"],
    ):
        done = person.bare([*NONO, *words], environment=environment)
        assert done.exit_code == 0, done.stderr
    new = files() - before - {"profile.json"}  # the runner's
    assert {each for each in new if not each.startswith(tuple(f"{own}/" for own in directories))} == set()
    for own in directories:
        assert any(each.startswith(f"{own}/") for each in new), own
