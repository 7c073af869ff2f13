"""In which directories a run may change the settings of agents."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from nono.kernel import open_path
from nono.launch.around.left import agent_settings
from nono.launch.around.left.agent_settings import NAMES_MAX, look, places_of, sentences
from nono.launch.around.repository_files import ENTRIES_MAX
from nono.policy.capability import Access, Grant
from nono.policy.learning.agent_programs import IN_HOMES, IN_ONE_HOME, IN_PROJECTS
from nono.policy.path_expansion import PathContext
from support.host_facts import PROXIED

HOME, WORK = "/home/ada", "/home/ada/work/one"
PATHS = PathContext(HOME, WORK, WORK, {"HOME": HOME})


def granted(
    path: str, source: str = "user", access: Access = Access.READWRITE, *, is_dir: bool = True
) -> Grant:
    return Grant(path, access, is_dir, source, path)


@pytest.mark.parametrize(
    ("grants", "projects"),
    [
        pytest.param([granted(WORK)], [WORK], id="the working directory"),
        pytest.param([granted("/home/ada/work")], [WORK, "/home/ada/work"], id="those above"),
        pytest.param([granted("/data/x"), granted(WORK)], [WORK, "/data/x"], id="another"),
        pytest.param([granted("/data/x", "profile")], ["/data/x"], id="another of a profile"),
        pytest.param([granted("/tmp", "group:system_write_linux")], [], id="not those of a group"),
        pytest.param([granted("/data/x", access=Access.READ)], [], id="not what is only read"),
        pytest.param([granted("/data/x", is_dir=False)], [], id="not files"),
    ],
)
def test_settings_of_projects_are_looked_for_where_an_agent_may_be_started(
    grants: list[Grant], projects: list[str]
) -> None:
    capabilities = PROXIED._replace(workdir=WORK, grants=tuple(grants))
    assert places_of(capabilities, PATHS) == dict.fromkeys(projects, IN_PROJECTS)


def test_settings_of_a_person_are_looked_for_in_the_state_of_an_agent() -> None:
    grants = (granted(f"{HOME}/.claude", "profile"), granted(f"{HOME}/.other", "group:other"))
    capabilities = PROXIED._replace(workdir=WORK, grants=grants)
    assert places_of(capabilities, PATHS) == {f"{HOME}/.claude": (*IN_HOMES, *IN_ONE_HOME[".claude"])}


@pytest.mark.parametrize("named", ["/data/x/mine.json", "/data/y/mine.json", ""])
def test_settings_are_looked_for_in_a_file_that_a_variable_names(named: str) -> None:
    capabilities = PROXIED._replace(workdir=WORK, grants=(granted("/data/x", "group:other"),))
    paths = PATHS._replace(environ={**PATHS.environ, "OPENCODE_CONFIG": named})
    assert places_of(capabilities, paths) == ({"/data/x": ("mine.json",)} if "x" in named else {})


@pytest.mark.parametrize(("projects", "is_told"), [(ENTRIES_MAX, False), (ENTRIES_MAX + 1, True)])
def test_more_projects_than_are_looked_into_are_told_of(tmp_path: Path, projects: int, is_told: bool) -> None:
    for number in range(projects):
        (tmp_path / f"tmp/{number}").mkdir(parents=True)
    places = {str(tmp_path): IN_ONE_HOME[".qwen"]}
    said = [*sentences(places, look(places))]
    assert ["cannot tell what an agent outside runs now" in each for each in said] == [True] * is_told


@pytest.mark.parametrize(("files", "is_told"), [(ENTRIES_MAX, False), (ENTRIES_MAX + 1, True)])
def test_more_files_than_are_looked_through_for_profiles_are_told_of(
    tmp_path: Path, files: int, is_told: bool
) -> None:
    for number in range(files):
        (tmp_path / str(number)).touch()
    places = {str(tmp_path): IN_ONE_HOME[".codex"]}
    said = [*sentences(places, look(places))]
    assert ["cannot tell what an agent outside runs now" in each for each in said] == [True] * is_told


@pytest.mark.parametrize(("files", "is_told"), [(2, False), (3, True)])
def test_files_that_would_fill_the_memory_are_told_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, files: int, is_told: bool
) -> None:
    """A thousand profiles of 8 MB, which take no room on the disk, would be 8 GB here."""
    monkeypatch.setattr(agent_settings, "ALL_BYTES_MAX", 1000)
    places = {str(tmp_path): IN_ONE_HOME[".codex"]}
    before = look(places)
    for number in range(files):
        (tmp_path / f"{number}.config.toml").write_bytes(b"\n" * 500)
    said = [*sentences(places, before)]
    assert ["cannot tell what an agent outside runs now" in each for each in said] == [True] * is_told


@pytest.mark.parametrize(("files", "told"), [(2, 0), (3, 1), (30, 28)])
def test_files_that_would_take_long_to_read_are_told_of_at_once(
    tmp_path: Path, files: int, told: int
) -> None:
    """A thousand profiles, each of which takes half a second, would take eight minutes."""
    places = {str(tmp_path): IN_ONE_HOME[".codex"]}
    before = look(places)
    for number in range(files):
        (tmp_path / f"{number:02}.config.toml").write_bytes(b"#" + b"." * 4400)
    said = "\n".join(sentences(places, before))
    assert (said.count("\n"), said.count("config.toml")) == (0, min(told, NAMES_MAX))
    assert ("cannot tell" in said, "and 8 more" in said) == (told > 0, told == 28)


@pytest.mark.parametrize("profiles", [NAMES_MAX, NAMES_MAX + 1, NAMES_MAX + 200])
def test_no_number_of_profiles_hides_what_else_was_set(tmp_path: Path, profiles: int) -> None:
    other = tmp_path / "other"
    other.mkdir()
    places = {str(tmp_path): (*IN_ONE_HOME[".codex"], *IN_PROJECTS), str(other): IN_ONE_HOME[".codex"]}
    before = look(places)
    server = b'[mcp_servers.x]\ncommand = "x"\n'
    for number in range(profiles):
        (tmp_path / f"{number:03}.config.toml").write_bytes(server)
    (tmp_path / ".codex").mkdir()
    (tmp_path / ".codex/config.toml").write_bytes(server)
    (other / "zzz.config.toml").write_bytes(server)
    said = [*sentences(places, before)]
    others = [each for each in said if "this run set or removed such names in" in each]
    assert len(said) - len(others) == NAMES_MAX + 2
    assert any(f"in {tmp_path}/.codex/config.toml:" in each for each in said)
    assert len(others) == (profiles > NAMES_MAX)
    assert ("and 180 more" in "".join(others)) == (profiles == NAMES_MAX + 200)


@pytest.mark.parametrize("content", [b"#" * 120, b"a = [1, 2, 3, 4]"], ids=["bytes", "parts"])
def test_what_takes_long_to_read_is_more_than_dotted_keys(
    tmp_path: Path, content: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(agent_settings, "STEPS_MAX", 1000)
    places = {str(tmp_path): IN_ONE_HOME[".codex"]}
    before = look(places)
    (tmp_path / "0.config.toml").write_bytes(content)
    assert [*sentences(places, before)] == []
    (tmp_path / "1.config.toml").write_bytes(content)
    assert ["cannot tell" in each for each in sentences(places, before)] == [True]


@pytest.mark.parametrize("is_inside", [True, False])
def test_a_profile_of_codex_behind_a_link_is_told_of(tmp_path: Path, is_inside: bool) -> None:
    places = {str(tmp_path / "state"): IN_ONE_HOME[".codex"]}
    (tmp_path / "state/sub").mkdir(parents=True)
    before = look(places)
    target = tmp_path / ("state/sub" if is_inside else ".") / "mine"
    target.write_text('[mcp_servers.x]\ncommand = "x"\n')
    (tmp_path / "state/work.config.toml").symlink_to(target)
    assert len([*sentences(places, before)]) == 1


@pytest.mark.parametrize("is_inside", [True, False])
def test_a_task_behind_a_link_is_told_of(tmp_path: Path, is_inside: bool) -> None:
    places = {str(tmp_path / "state"): IN_ONE_HOME[".qwen"]}
    (tmp_path / "state/tmp").mkdir(parents=True)
    before = look(places)
    target = tmp_path / ("state/elsewhere" if is_inside else "elsewhere")
    target.mkdir()
    (target / "scheduled_tasks.json").write_text(
        '[{"id": "1", "cron": "* * * * *", "prompt": "Do the work"}]'
    )
    (tmp_path / "state/tmp/project").symlink_to("../elsewhere" if is_inside else target)
    (said,) = sentences(places, before)
    assert ("this run set 'task 1'" if is_inside else "nono cannot tell") in said


def test_a_look_that_fails_is_no_difference(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    places = {str(tmp_path): IN_PROJECTS}
    before = look(places)

    def fail(*_: object) -> int:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    with monkeypatch.context() as patched:
        patched.setattr(open_path, "open_beneath", fail)
        (said,) = sentences(places, before)
    assert said == (
        "nono cannot tell whether this run changed settings of agents (Too many open files): "
        f"look at those in {tmp_path}"
    )
    assert [*sentences(places, before)] == []
