"""Package managers of the npm registry work inside as outside, in caches of the run's own."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import pytest

from support.agents.programs import installed
from support.nono_run import NO_NAMESPACES, NonoRun, nono_run

pytestmark = [pytest.mark.fetched, pytest.mark.any_user]

WAYS = {"namespaces": (), "none": (NO_NAMESPACES,), "netns": ("--sandbox-policy=netns",)}
LIBRARY = "../library-1.0.0.tgz"  # packed by npm, which adds nothing to it
NETWORK: Mapping[str, object] = {"network": {"allow_domain": []}}


class Manager(NamedTuple):
    """store: where it keeps what it installs from, below the home; inside: below the caches of the run."""

    program: str  # {}: its package
    add: str
    store: str
    inside: str


MANAGERS = {
    "pnpm": Manager(
        "node {}/bin/pnpm.cjs", f"add --offline {LIBRARY}", ".local/share/pnpm/store", "pnpm/store"
    ),
    "native-pnpm": Manager("{}/pnpm", f"add --offline {LIBRARY}", ".local/share/pnpm/store", "pnpm/store"),
    "yarn": Manager("node {}/bin/yarn.js", f"add --offline file:{LIBRARY}", ".cache/yarn", "yarn"),
}


@pytest.fixture(name="person")
def _person() -> Iterator[NonoRun]:
    with nono_run() as person:
        library = person.project / "library"
        library.mkdir()
        (library / "package.json").write_text(json.dumps({"name": "library", "version": "1.0.0"}))
        (library / "index.js").write_text("module.exports = 6 * 7;\n")
        app = person.project / "app"
        app.mkdir()
        (app / "package.json").write_text(json.dumps({"name": "app", "version": "1.0.0", "license": "MIT"}))
        for path in (library, *library.iterdir(), app, *app.iterdir()):
            person.give(path)
        packed = person.bare(["sh", "-c", f"cd {library} && npm pack --silent --pack-destination .."])
        assert packed.exit_code == 0, packed.stderr
        shutil.rmtree(person.user.home / ".npm", ignore_errors=True)
        yield person


def script(name: str, package: Path) -> list[str]:
    manager = MANAGERS[name]
    added = f"{manager.program.format(package)} {manager.add} >added 2>&1 || cat added"
    return ["sh", "-c", f"cd app && {added}; node -p 'require(\"library\")'"]


@pytest.mark.parametrize("name", MANAGERS)
def test_it_keeps_its_store_in_the_home_outside(person: NonoRun, name: str) -> None:
    ended = person.bare(script(name, installed(name)))
    assert ended.stdout == "42\n", ended.stderr
    assert (person.user.home / MANAGERS[name].store).is_dir()


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", MANAGERS)
def test_it_installs_inside_and_leaves_the_persons_store_alone(person: NonoRun, name: str, way: str) -> None:
    package = installed(name)
    flags = [*WAYS[way], f"--read={package}"]
    ended = person.run(script(name, package), profile={"extends": "node-dev", **NETWORK}, flags=flags)
    assert ended.stdout == "42\n", ended.stderr
    assert not (person.user.home / MANAGERS[name].store).exists()
    assert list((person.user.home / ".cache/nono/caches").glob(f"*/{MANAGERS[name].inside}"))


@pytest.mark.parametrize(("left", "works"), [(".config/yarn/global", True), (".npmrc", False)])
def test_yarn_works_beside_what_it_has_installed_for_the_person(
    person: NonoRun, left: str, works: bool
) -> None:
    """Yarn 1 tries to read the directory as a file, and ends where it gets another error than EISDIR."""
    package = installed("yarn")
    made = person.user.home / left
    made.parent.mkdir(parents=True, exist_ok=True)
    made.touch()
    for path in (*reversed(made.relative_to(person.user.home).parents), Path(left)):
        person.give(person.user.home / path)
    command = script("yarn", package)
    ended = person.run(
        command, profile={"extends": "node-dev", **NETWORK}, flags=[f"--read={package}"], timeout_s=120
    )
    assert (ended.stdout == "42\n") is works, ended.stdout + ended.stderr


@pytest.mark.parametrize("is_on_path", [True, False], ids=["on PATH", "not on PATH"])
def test_what_pnpm_installs_for_all_projects_is_found_by_its_name_where_the_persons_are(
    person: NonoRun, is_on_path: bool
) -> None:
    package = installed("pnpm")
    person.give(person.project / "library/package.json").write_text(
        json.dumps({"name": "library", "version": "1.0.0", "bin": {"answers": "index.js"}})
    )
    person.give(person.project / "library/index.js").write_text("#!/usr/bin/env node\nconsole.log(6 * 7);\n")
    packed = person.bare(["sh", "-c", "cd library && npm pack --silent --pack-destination .."])
    assert packed.exit_code == 0, packed.stderr
    pnpm = MANAGERS["pnpm"].program.format(package)
    added = f'PATH="$PATH:$PNPM_HOME" {pnpm} add -g --offline $PWD/library-1.0.0.tgz >added 2>&1 || cat added'
    entries = f"{person.user.home}/.local/share/pnpm:/usr/bin:/bin" if is_on_path else "/usr/bin:/bin"
    ended = person.run(
        ["sh", "-c", f"{added}; answers"],
        profile={"extends": "node-dev", **NETWORK},
        flags=[f"--read={package}"],
        wrapper=("env", f"PATH={entries}"),
    )
    assert (ended.stdout == "42\n") is is_on_path, ended.stdout + ended.stderr
    assert ("answers: not found" in ended.stderr) is not is_on_path
    assert not (person.user.home / MANAGERS["pnpm"].store).exists()


@pytest.mark.parametrize(
    ("hosts", "reason"),
    [
        pytest.param(["registry.example"], "no address was found for registry.example", id="granted"),
        pytest.param([], "host registry.example is not in the allowlist", id="not granted"),
    ],
)
def test_yarn_berry_asks_the_proxy_for_its_registry(person: NonoRun, hosts: list[str], reason: str) -> None:
    """Yarn 2 and newer read none of the variables that others read, and look the name up themselves."""
    package = installed("yarn-berry")
    settings = "YARN_NPM_REGISTRY_SERVER=https://registry.example YARN_HTTP_RETRY=0 YARN_ENABLE_TELEMETRY=0"
    ended = person.run(
        ["sh", "-c", f"cd app && touch yarn.lock && {settings} node {package}/bin/yarn.js npm info sheep"],
        profile={"extends": "node-dev", "network": {"allow_domain": hosts}},
        flags=[f"--read={package}"],
    )
    asked = [event["event"] for event in ended.events if event["type"] == "network"]
    assert [(event["target"], event["reason"]) for event in asked] == [("registry.example", reason)]
