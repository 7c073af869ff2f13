"""What `nono doctor` makes of a project."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from nono.cli.doctor.finding import Finding, Mark
from nono.cli.doctor.hosts_named import FILES, MAX_HOSTS, hosts_named
from nono.cli.doctor.project import Project, command_of, project_findings
from nono.cli.doctor.project_files import read_project
from nono.launch.around import slow_lookups

NODE = Project(frozenset({"package.json"}), installed=frozenset({"npm"}))
OUTSIDE = "npm.company.example"


def findings(project: Project, *reached: str) -> list[Finding]:
    return list(project_findings(project, lambda host: host in reached))


def about(check: str, project: Project, *reached: str) -> list[Finding]:
    return [finding for finding in findings(project, *reached) if finding.check == check]


def test_a_file_is_told_with_the_profile_that_has_its_toolchain() -> None:
    (found,) = about("profile", NODE)
    assert found == ("profile", Mark.OK, "node-dev has the toolchain that package.json asks for", None)


def test_a_directory_that_does_not_answer_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """A project with a mount of FUSE whose server had stopped was waited for without a word."""
    (tmp_path / "mnt").mkdir()
    said, listed = "", os.listdir

    def waits(path: str) -> list[str]:
        nonlocal said
        ends = time.monotonic() + (10 if path.endswith("/mnt") else 0)
        while not said and time.monotonic() < ends:
            said = capfd.readouterr().err
        return listed(path)

    monkeypatch.setattr(slow_lookups, "PATIENCE_S", 0.2)
    monkeypatch.setattr(os, "listdir", waits)
    read_project(str(tmp_path), {})
    assert said == f"nono: still looking at {tmp_path}/mnt: its file system does not answer\n"


def test_a_monorepo_is_judged_by_the_directories_in_it(tmp_path: Path) -> None:
    for name in ("api/pyproject.toml", "web/package.json", ".hidden/go.mod", "deep/er/Cargo.toml"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "linked").symlink_to(tmp_path / "deep/er")
    apart = read_project(str(tmp_path), {})._replace(installed=frozenset())
    assert [found.meaning for found in about("profile", apart)] == [
        "python-dev has the toolchain that api/pyproject.toml asks for",
        "node-dev has the toolchain that web/package.json asks for",
    ]
    assert command_of(apart)[:3] == ("run", "-p", "python-dev,node-dev")
    one = apart._replace(names=frozenset({"go.mod"}))
    assert [found.meaning for found in about("profile", one)] == [
        "go-dev has the toolchain that go.mod asks for"
    ]


def test_a_toolchain_without_a_profile_is_a_projects_own_too() -> None:
    ruby = Project(frozenset({"Gemfile"}), below={"docs": frozenset({"package.json"})})
    assert command_of(ruby) == ("run", "--allow", ".", "--", "sh")
    bare = ruby._replace(names=frozenset())
    assert command_of(bare) == ("run", "-p", "node-dev", "--allow-cwd", "--", "sh")


@pytest.mark.parametrize(("count", "rest"), [(5, ""), (6, " and 1 more")])
def test_a_long_list_of_names_is_cut_and_counted(count: int, rest: str) -> None:
    hooks = tuple(f"h{number}" for number in range(count))
    (found,) = about("git hooks", NODE._replace(hooks=hooks))
    assert found.meaning == f"git runs h0, h1, h2, h3, h4{rest} inside, with what the run is granted"


def test_a_toolchain_without_a_profile_is_a_warning() -> None:
    (found,) = about("profile", NODE._replace(names=frozenset({"Gemfile"})))
    assert (found.mark, found.meaning) == (
        Mark.WARN,
        "Gemfile asks for Ruby, for which nono ships no profile",
    )


@pytest.mark.parametrize(
    ("installed", "mark"), [({"npm"}, Mark.OK), ({"yarn"}, Mark.MISSING)], ids=["there", "not there"]
)
def test_a_program_that_a_lock_file_asks_for_is_needed(installed: set[str], mark: Mark) -> None:
    project = Project(frozenset({"package-lock.json"}), installed=frozenset(installed))
    assert [found.mark for found in about("program", project)] == [mark]


@pytest.mark.parametrize(
    ("hooks", "mark"), [((), Mark.WARN), (("pre-commit",), Mark.MISSING)], ids=["no hook", "a hook"]
)
def test_what_starts_hooks_is_needed_once_there_is_one(hooks: tuple[str, ...], mark: Mark) -> None:
    project = Project(frozenset({".pre-commit-config.yaml"}), hooks=hooks)
    assert [found.mark for found in about("program", project)] == [mark]


@pytest.mark.parametrize(
    ("reached", "mark", "remedy"),
    [
        ((OUTSIDE,), Mark.OK, None),
        ((), Mark.WARN, f"if you trust it, add --allow-domain {OUTSIDE}"),
    ],
    ids=["reached", "not reached"],
)
def test_a_host_that_a_lock_file_names_is_judged(
    reached: tuple[str, ...], mark: Mark, remedy: str | None
) -> None:
    project = NODE._replace(texts={"package-lock.json": f'"resolved": "https://{OUTSIDE}/a.tgz"'})
    (found,) = about("hosts", project, *reached)
    assert (found.mark, found.remedy) == (mark, remedy)
    assert OUTSIDE in found.meaning


def test_a_host_named_like_a_group_is_offered_as_a_host() -> None:
    project = NODE._replace(texts={"package-lock.json": '"resolved": "https://llm_apis/a.tgz"'})
    (found,) = about("hosts", project)
    assert found.remedy == "if you trust it, add --allow-domain llm_apis:443"


@pytest.mark.parametrize(
    ("names", "installed", "command"),
    [
        (("package.json", "Cargo.toml"), (), "run -p node-dev,rust-dev --allow-cwd -- sh"),
        (("package.json",), ("claude", "codex"), "run -p claude-code,node-dev --allow-cwd -- claude"),
        ((), ("codex",), "run -p codex --allow-cwd -- codex"),
        (("README.md",), (), "run --allow . -- sh"),
    ],
)
def test_the_command_has_the_profiles_of_the_project(
    names: tuple[str, ...], installed: tuple[str, ...], command: str
) -> None:
    assert " ".join(command_of(Project(frozenset(names), installed=frozenset(installed)))) == command


def test_the_command_grants_nothing_that_only_the_project_names() -> None:
    hostile = NODE._replace(
        texts={"package-lock.json": '"resolved": "https://evil.example/a"'},
        env_files={".env": "OPENAI_API_KEY=sk-abcdefghij0123456789"},
        readers={"OPENAI_API_KEY": "openai"},
    )
    assert command_of(hostile) == command_of(NODE)


@pytest.mark.parametrize(
    ("line", "is_secret"),
    [
        ("OPENAI_API_KEY=abc", True),
        ("export DB_PASSWORD='abc'", True),
        ('USE_API_TOKEN="true"', False),
        ("URL=postgres://u:secret-of-mine@db/x", True),
        ("DEBUG=1", False),
        ("USE_TOKEN=true", False),
        ("# OPENAI_API_KEY=abc", False),
    ],
)
def test_a_secret_in_an_env_file_is_named(line: str, is_secret: bool) -> None:
    project = NODE._replace(env_files={".env": line}, readers={"OPENAI_API_KEY": "openai"})
    found = about("env file", project)
    assert len(found) == is_secret
    text = " ".join(f"{each.meaning} {each.remedy}" for each in found)
    assert "abc" not in text
    assert "secret-of-mine" not in text
    assert ("--credential openai" in text) == line.startswith("OPENAI")


def test_settings_by_which_git_runs_programs_are_a_warning() -> None:
    text = "[core]\n\tbare = false\n"
    assert about("git settings", NODE._replace(git_settings=text)) == []
    (found,) = about("git settings", NODE._replace(git_settings=f"{text}\thooksPath = elsewhere\n"))
    assert found.mark is Mark.WARN
    assert found.meaning.endswith("core.hooksPath")


def test_settings_of_git_that_would_fill_the_memory_are_not_taken_apart() -> None:
    """Each setting has the name of its section before its own."""
    large = f'[alias "{"x" * 100_000}"]\n' + "\ta = !true\n" * 1_000
    (found,) = about("git settings", NODE._replace(git_settings=large))
    assert "too large" in found.meaning
    (found,) = about("git settings", NODE._replace(git_settings=large.replace("x" * 100_000, "x")))
    assert "too large" not in found.meaning


@pytest.mark.parametrize(
    ("name", "text", "hosts"),
    [
        ("package-lock.json", '"resolved": "https://a.example/x", "url": "https://b.example"', {"a.example"}),
        ("package-lock.json", '"resolved": "git+ssh://git@a.example/x.git#1"', {"a.example"}),
        ("yarn.lock", '  resolved "https://a.example/x#1"\n', {"a.example"}),
        (".npmrc", "@org:registry=https://a.example/\n//a.example/:_authToken=${X}\n", {"a.example"}),
        ("uv.lock", 'source = { registry = "https://a.example/simple" }', {"a.example"}),
        ("poetry.lock", 'url = "https://a.example/simple"', {"a.example"}),
        ("requirements.txt", "--index-url https://u:p@a.example/simple\n", {"a.example"}),
        ("requirements.txt", "x @ git+https://a.example/x\n", {"a.example"}),
        ("requirements.txt", "x==1  # see https://b.example\n", set()),
        ("Cargo.lock", 'source = "registry+https://a.example/index"', {"a.example"}),
        ("Cargo.lock", 'source = "git+https://a.example/x?rev=1#1"', {"a.example"}),
        (".gitmodules", "\turl = git@a.example:x/y.git\n\turl = ../other\n", {"a.example"}),
        (".git/config", "\turl = ssh://git@A.example:22/x\n", {"a.example"}),
        (".git/config", "\turl = https://-bad-/x\n\turl = /srv/x\n", set()),
    ],
)  # fmt: skip
def test_the_hosts_of_a_file_are_found(name: str, text: str, hosts: set[str]) -> None:
    assert hosts_named({name: text}) == dict.fromkeys(hosts, name)


def test_a_file_names_no_endless_list_of_hosts() -> None:
    text = "".join(f'"resolved": "https://h{number}.example/"\n' for number in range(10 * MAX_HOSTS))
    assert len(hosts_named({"package-lock.json": text})) == MAX_HOSTS


def test_a_link_in_a_project_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "secrets").write_text("DB_PASSWORD=x\n")
    project = tmp_path / "project"
    project.mkdir()
    (project / ".env").symlink_to(tmp_path / "secrets")
    (project / ".env.local").write_text("API_TOKEN=y\n")
    (project / ".env.example").write_text("API_TOKEN=\n")
    read = read_project(str(project), {"HOME": str(tmp_path), "PATH": "/nowhere"})
    assert read.env_files == {".env": "", ".env.local": "API_TOKEN=y\n"}


def test_a_pipe_in_a_project_is_not_waited_for(tmp_path: Path) -> None:
    for name in FILES:
        if "/" not in name:
            os.mkfifo(tmp_path / name)
    assert read_project(str(tmp_path), {"HOME": str(tmp_path), "PATH": "/nowhere"}).texts == {}


@pytest.mark.parametrize("is_larger", [True, False])
def test_an_env_file_of_any_size_takes_no_time(tmp_path: Path, is_larger: bool) -> None:
    with open(tmp_path / ".env", "w") as file:
        file.write("API_TOKEN=y\n")
        file.truncate(1024 * 1024 + is_larger)
    read = read_project(str(tmp_path), {"HOME": str(tmp_path), "PATH": "/nowhere"})
    (found,) = about("env file", read)
    assert found.mark is Mark.WARN
    assert ("too large" in found.meaning) is is_larger
    assert '"$WORKDIR/.env"' in (found.remedy or "")
