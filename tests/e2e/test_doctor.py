"""`nono doctor` as an ordinary user: clients that are installed are run inside, and a broken one is told."""

from __future__ import annotations

import json
import pwd
import shlex
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from nono.cli.doctor.client_table import CLIENTS
from support.clients.intercepted import SYSTEM_PATH
from support.kernelsim.kernel import WSL2, Kernel
from support.nono_run import NONO
from support.ordinary_user import OrdinaryUser, ordinary_user
from support.running import fork_server

PACKAGED = ("curl", "git (https)", "git (ssh)", "gh", "npm", "go", "cargo", "java")


@pytest.fixture
def user() -> Iterator[OrdinaryUser]:
    with ordinary_user() as made:
        yield made


def doctor(
    user: OrdinaryUser,
    *options: str,
    path: str = SYSTEM_PATH,
    cwd: Path | None = None,
    kernel: Kernel | None = None,
) -> Any:
    """Return the document, with its exit status as "status"."""
    argv = [*NONO, "doctor", "--json", *options]
    done = fork_server.run(
        user.command(argv if kernel is None else kernel.command(argv)),
        env=user.environment({"PATH": path}),
        cwd=cwd or user.home,
        timeout=300,
    )
    assert done.stderr == "", done.stderr
    return {**json.loads(done.stdout), "status": done.returncode}


def clients_of(document: Any) -> dict[str, dict[str, str]]:
    return {entry["check"]: entry for entry in document["clients"]}


def path_of(user: OrdinaryUser, *programs: str) -> str:
    """Return a PATH with these programs alone, beside what runs them."""
    directory = user.home / ".local/bin"
    directory.mkdir(parents=True)
    user.give(directory.parent)
    for program in (*programs, "sh", "env"):
        found = shutil.which(program, path=SYSTEM_PATH)
        if found is None:
            pytest.skip(f"{program} is not installed")
        (directory / program).symlink_to(found)
    return str(directory)


def has_account(user: OrdinaryUser) -> bool:
    return any(entry.pw_uid == user.uid for entry in pwd.getpwall())


def test_clients_of_the_distribution_work_inside(user: OrdinaryUser) -> None:
    installed = {
        client.name: client.programs
        for client in CLIENTS
        if client.name in PACKAGED and all(shutil.which(each, path=SYSTEM_PATH) for each in client.programs)
    }
    programs = {program for each in installed.values() for program in each}
    document = doctor(user, "--clients", path=path_of(user, *programs))
    found = clients_of(document)
    if not has_account(user):  # without one, ssh ends before it connects
        del installed["git (ssh)"]
    assert {"curl", "git (https)"} <= installed.keys()
    assert {name: found[name]["meaning"] for name in installed} == dict.fromkeys(installed, "works")
    assert {entry["remedy"] for entry in document["clients"] if entry["mark"] == "ok"} == {None}


@pytest.mark.parametrize(
    ("kernel", "lacks", "client"),
    [
        (Kernel(), {}, ("curl", "ok")),
        (Kernel(notify_busy=True, landlock_abi=4), {"network by proxy": "warn"}, ("curl", "ok")),
        (WSL2, {"network by proxy": "missing"}, ("clients", "missing")),
        (
            Kernel(landlock_abi=0),
            {"landlock": "missing", "network by proxy": "missing"},
            ("clients", "missing"),
        ),
    ],
    ids=str,
)
def test_what_a_kernel_lacks_is_told(
    kernel: Kernel, lacks: dict[str, str], client: tuple[str, str], user: OrdinaryUser
) -> None:
    document = doctor(user, "--clients", path=path_of(user, "curl"), kernel=kernel)
    marks = {entry["check"]: entry["mark"] for entry in document["machine"]}
    assert {check: marks[check] for check in ("landlock", "network by proxy") if check in lacks} == lacks
    assert [(entry["check"], entry["mark"]) for entry in document["clients"]] == [client]
    assert document["status"] == ("missing" in lacks.values())


def test_a_client_that_is_not_installed_is_no_fault(user: OrdinaryUser) -> None:
    document = doctor(user, "--clients", path=path_of(user, "curl"))
    assert list(clients_of(document)) == ["curl"]
    assert set(document["clients_not_installed"]) == {client.name for client in CLIENTS} - {"curl"}
    assert document["status"] == 0


GIT_SETTINGS = "[user]\n\tname = somebody\n"


def test_a_git_with_a_proxy_of_its_own_is_told_with_its_remedy(user: OrdinaryUser) -> None:
    path = path_of(user, "git")
    settings = user.home / ".gitconfig"
    settings.write_text(GIT_SETTINGS)
    user.give(settings)
    working = doctor(user, "--clients", path=path)
    assert (working["status"], clients_of(working)["git (https)"]["mark"]) == (0, "ok")

    settings.write_text(f"{GIT_SETTINGS}[http]\n\tproxy = http://127.0.0.1:9\n")
    broken = doctor(user, "--clients", path=path)
    entry = clients_of(broken)["git (https)"]
    assert (broken["status"], broken["ok"], entry["mark"]) == (1, False, "missing")
    assert entry["meaning"].startswith("did not ask the proxy: ")
    assert entry["remedy"] == "git config --global --unset-all http.proxy"

    home = {"HOME": str(user.home), "PATH": SYSTEM_PATH}
    subprocess.run(user.command(["sh", "-c", entry["remedy"]]), env=home, cwd=user.home, check=True)
    assert clients_of(doctor(user, "--clients", path=path))["git (https)"]["mark"] == "ok"


@pytest.mark.parametrize(
    ("program", "kernel", "mark"),
    [
        pytest.param("node", Kernel(notify_busy=True, landlock_abi=4), "missing", id="older"),
        pytest.param("node", Kernel(no_userns=True), "ok", id="older, with a listener"),
        pytest.param("node", None, "ok", id="older, with namespaces too"),
        pytest.param("node24", Kernel(notify_busy=True, landlock_abi=4), "ok", id="newer"),
    ],
)
def test_a_node_that_ignores_the_proxy_is_told_what_to_do_where_it_must_heed_it(
    program: str, kernel: Kernel | None, mark: str, user: OrdinaryUser
) -> None:
    found = shutil.which(program, path=SYSTEM_PATH)
    if found is None or (program == "node" and not _is_older(found)):
        pytest.skip(f"{program} of that age is not installed")
    path = path_of(user)
    Path(path, "node").symlink_to(Path(found).resolve())
    entry = clients_of(doctor(user, "--clients", path=path, kernel=kernel))["node fetch"]
    assert entry["mark"] == mark
    if mark == "missing":
        assert "Node v" in entry["meaning"]
        assert "NODE_USE_ENV_PROXY" in entry["remedy"]
        assert "EnvHttpProxyAgent" in entry["remedy"]


def test_nothing_is_left_behind(user: OrdinaryUser) -> None:
    doctor(user, "--clients", path=path_of(user, "curl"))
    left = {str(path.relative_to(user.home)) for path in user.home.rglob("*") if path.is_file()}
    assert {path for path in left if not path.startswith(".local/bin/")} == set()


def test_an_interrupt_ends_the_client_that_is_running(user: OrdinaryUser) -> None:
    """Also if it reaches nono doctor alone; a terminal sends it to all."""
    path = path_of(user, "sleep")
    endless = Path(path, "curl")
    endless.write_text("#!/bin/sh\necho > started\nexec sleep 300\n")
    endless.chmod(0o755)
    cache = user.home / ".cache/nono"
    argv = user.command([*NONO, "doctor", "--clients"])
    environment = user.environment({"PATH": path})
    with fork_server.start(argv, env=environment, cwd=user.home, stdout=subprocess.DEVNULL) as process:
        deadline = time.monotonic() + 60
        while not [*cache.glob("doctor-*/0/work/started")]:
            assert time.monotonic() < deadline
            assert process.poll() is None
            time.sleep(0.02)
        process.send_signal(signal.SIGINT)
        process.wait(timeout=30)
    assert [*cache.glob("doctor-*")] == []
    commands = map(_read, Path("/proc").glob("[0-9]*/cmdline"))
    assert [command for command in commands if bytes(cache) in command] == []


def test_no_program_on_the_path_is_run_outside(user: OrdinaryUser) -> None:
    """What lies there may be an agent's: it is started in the sandbox alone."""
    path, programs = path_of(user), ("curl", "pip", "python3")
    for program in programs:
        trap = Path(path, program)
        trap.write_text(f"#!/bin/sh\n: > {user.home}/escaped\nexit 1\n")
        trap.chmod(0o755)
    found = clients_of(doctor(user, "--clients", path=path))
    assert {(name, entry["mark"]) for name, entry in found.items()} >= {
        ("curl", "missing"),
        ("pip", "missing"),
    }
    assert not (user.home / "escaped").exists()


@pytest.mark.parametrize(
    ("prefix", "mark"), [("env", "ok"), ("", "missing")], ids=["its own", "the home directory"]
)
def test_only_a_virtual_environment_is_granted_for_a_program(
    prefix: str, mark: str, user: OrdinaryUser
) -> None:
    program = user.home / prefix / "bin/curl"
    program.parent.mkdir(parents=True)
    (user.home / prefix / "pyvenv.cfg").write_text("home = /usr/bin\n")
    program.write_text('#!/bin/sh\nexec /usr/bin/curl "$@"\n')
    program.chmod(0o755)
    path = f"{program.parent}:{path_of(user)}"
    entry = clients_of(doctor(user, "--clients", path=path))["curl"]
    assert entry["mark"] == mark
    assert (mark == "ok") != entry["meaning"].startswith("does not start inside"), entry


def test_a_directory_of_the_project_brings_no_nono_of_its_own(user: OrdinaryUser) -> None:
    project = user.home / "project"
    (project / "nono").mkdir(parents=True)
    (project / "nono/__main__.py").write_text(f"open({str(user.home / 'escaped')!r}, 'w')\n")
    assert (
        clients_of(doctor(user, "--clients", path=path_of(user, "curl"), cwd=project))["curl"]["mark"] == "ok"
    )
    assert not (user.home / "escaped").exists()


def _read(command_line: Path) -> bytes:
    try:
        return command_line.read_bytes()
    except OSError:  # it has ended meanwhile
        return b""


def _is_older(node: str) -> bool:
    printed = subprocess.run([node, "--version"], capture_output=True, text=True, check=True).stdout
    version = tuple(map(int, printed.strip().removeprefix("v").split(".")))
    return version < (22, 21) or (23,) <= version < (24,)


def project_of(user: OrdinaryUser, **files: str) -> Path:
    """Create a repository with these files; "_" stands for a dot in their names."""
    directory = user.home / "project"
    directory.mkdir()
    for name, text in files.items():
        (directory / name.replace("_", ".")).write_text(text)
    for path in (directory, *directory.iterdir()):
        user.give(path)
    subprocess.run(user.command(["git", "init", "-q", str(directory)]), env=user.environment(), check=True)
    return directory


def test_the_command_for_a_project_runs_as_it_stands(user: OrdinaryUser) -> None:
    directory = project_of(user, package_json="{}", Cargo_toml="")
    document = doctor(user, "--project", cwd=directory, path=path_of(user, "cargo"))
    command = document["project_command"]
    assert command == "nono run -p node-dev,rust-dev --allow-cwd -- sh"
    typed = f"{shlex.join(NONO)} {command.removeprefix('nono ')} -c 'echo made > made'"
    done = user.run(["sh", "-c", typed], cwd=directory)
    assert done.returncode == 0, done.stderr
    assert (directory / "made").read_text() == "made\n"


def test_a_command_that_would_not_start_is_told_so(user: OrdinaryUser) -> None:
    """As in a home directory, which holds nono's own state."""
    (user.home / "requirements.txt").write_text("--index-url https://pypi.org/simple\n")
    document = doctor(user, "--project", cwd=user.home)
    found = {entry["check"]: entry for entry in document["project"]}
    assert (found["run"]["mark"], document["status"]) == ("missing", 1)
    assert found["run"]["meaning"].startswith("the run below would not start: Refusing to grant ")
    assert "hosts" not in found


@pytest.mark.parametrize(
    ("programs", "status"), [(("npm", "node"), 0), (("node",), 1)], ids=["there", "not there"]
)
def test_a_project_whose_program_is_not_installed_fails(
    programs: tuple[str, ...], status: int, user: OrdinaryUser
) -> None:
    lock = '{"packages": {"x": {"resolved": "https://registry.npmjs.org/x.tgz"}}}'
    directory = project_of(user, package_json="{}")
    (directory / "package-lock.json").write_text(lock)
    document = doctor(user, "--project", cwd=directory, path=path_of(user, *programs))
    marks = {(entry["check"], entry["mark"]) for entry in document["project"]}
    assert ("hosts", "ok") in marks
    assert (document["status"], ("program", "missing") in marks) == (status, status == 1)


def test_a_hook_that_git_runs_is_named(user: OrdinaryUser) -> None:
    directory = project_of(user)
    hook = directory / ".git/hooks/pre-commit"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("#!/bin/sh\n")
    named = "git runs pre-commit inside, with what the run is granted"
    for mode, meanings in ((0o644, []), (0o755, [named])):
        hook.chmod(mode)
        entries = doctor(user, "--project", cwd=directory)["project"]
        assert [entry["meaning"] for entry in entries if entry["check"] == "git hooks"] == meanings


def test_the_document_has_the_shape_that_its_page_shows(user: OrdinaryUser) -> None:
    page = (Path(__file__).parents[2] / "docs/doctor.md").read_text(encoding="utf-8")
    shown = json.loads(page.partition("```json\n")[2].partition("```")[0])
    printed = doctor(user, "--project", "--clients", path=path_of(user, "curl"))
    assert [*printed] == [*shown, "status"]
    assert printed["format"] == shown["format"]
    for section in ("machine", "project", "clients"):
        assert {tuple(entry) for entry in printed[section]} == {tuple(shown[section][0])}
