"""A run's own caches: for whom, where, and which variables lead there."""

from __future__ import annotations

import sys
from collections.abc import Callable

import pytest

from nono.policy.capability import Access, Grant
from nono.policy.environment.inheritance import EnvironmentRules
from nono.policy.files.denials import DenyRules, denials_of
from nono.policy.files.tool_caches.caches import Caches, own_caches
from nono.policy.path_expansion import Filesystem, PathContext

HOME = "/home/ada"
WORK = f"{HOME}/work"
ROOT = f"{HOME}/.cache/nono/caches"
MakeFilesystem = Callable[..., Filesystem]
READ_WRITE = Grant(WORK, Access.READWRITE, True, "user", WORK)


def caches(
    fs: Filesystem,
    *grants: Grant,
    workdir: str = WORK,
    environment: EnvironmentRules = EnvironmentRules(),  # noqa: B008 - immutable
    denied: str | None = None,
    **environ: str,
) -> Caches | None:
    denials = DenyRules(tuple(denials_of(denied, "profile p", fs)) if denied else ())
    context = PathContext(HOME, workdir, workdir, {"HOME": HOME, **environ})
    return own_caches(grants, denials, environment, context, fs)


def variables(found: Caches | None) -> dict[str, str]:
    assert found is not None
    return dict(found.variables)


def path(found: Caches | None) -> str:
    assert found is not None
    return found.grant.path


def test_they_lie_below_nonos_directory_of_caches(make_fs: MakeFilesystem) -> None:
    found = caches(make_fs(), READ_WRITE)
    assert path(found).startswith(f"{ROOT}/work-")
    assert variables(found)["npm_config_cache"] == f"{path(found)}/npm"
    assert variables(found)["MAVEN_ARGS"] == f"-Dmaven.repo.local={path(found)}/maven"


def test_a_project_has_the_same_ones_in_every_run(make_fs: MakeFilesystem) -> None:
    assert caches(make_fs(), READ_WRITE) == caches(make_fs(), READ_WRITE)


def test_another_project_has_others(make_fs: MakeFilesystem) -> None:
    fs, other = make_fs(), f"{HOME}/other/work"
    writing = Grant(other, Access.READWRITE, True, "user", other)
    assert path(caches(fs, READ_WRITE)) != path(caches(fs, writing, workdir=other))


@pytest.mark.parametrize(
    ("project", "label"),
    [("my.app_1-b", "my.app_1-b"), ("a b\n\x1b[2J", "a_b___2J"), ("x" * 255, "x" * 40)],
    ids=["usual", "not printable", "as long as a name can be"],
)
def test_their_name_begins_like_that_of_the_project(
    project: str, label: str, make_fs: MakeFilesystem
) -> None:
    workdir = f"{HOME}/{project}"
    name = path(caches(make_fs(), Grant(workdir, Access.READWRITE, True, "user", workdir), workdir=workdir))
    assert name.removeprefix(f"{ROOT}/").rpartition("-")[0] == label


def test_other_words_in_the_variable_of_a_cache_do_not_say_where_it_is(make_fs: MakeFilesystem) -> None:
    usual, other = f"{HOME}/.m2/repository", f"{HOME}/elsewhere"
    fs = make_fs(directories=(usual, other))
    writing = Grant(usual, Access.READWRITE, True, "user", usual)
    assert "MAVEN_ARGS" not in variables(caches(fs, READ_WRITE, writing, MAVEN_ARGS="-B"))
    assert "MAVEN_ARGS" in variables(caches(fs, READ_WRITE, writing, MAVEN_ARGS=other))


def test_who_may_only_read_a_project_fills_no_cache_of_who_writes_it(make_fs: MakeFilesystem) -> None:
    fs = make_fs()
    reading = Grant(WORK, Access.READ, True, "user", WORK)
    assert len({path(caches(fs, *grants)) for grants in ((READ_WRITE,), (reading,), ())}) == 3


def test_a_cache_of_the_person_that_is_granted_stays_in_use(make_fs: MakeFilesystem) -> None:
    fs = make_fs(directories=(f"{HOME}/.npm",))
    writing = Grant(f"{HOME}/.npm", Access.READWRITE, True, "user", f"{HOME}/.npm")
    reading = writing._replace(access=Access.READ)
    assert "npm_config_cache" not in variables(caches(fs, READ_WRITE, writing))
    assert "npm_config_cache" in variables(caches(fs, READ_WRITE, reading))


@pytest.mark.parametrize(
    ("variable", "usual"),
    [
        ("BUNDLE_USER_HOME", ".bundle"),
        ("COMPOSER_HOME", ".config/composer"),
        ("GEM_HOME", ".local/share/gem"),
        ("GH_CONFIG_DIR", ".config/gh"),
        ("HATCH_CONFIG", ".config/hatch"),
        ("LG_CONFIG_FILE", ".config/lazygit"),
        ("MICRO_CONFIG_HOME", ".config/micro"),
        ("PDM_CONFIG_FILE", ".config/pdm"),
        ("POETRY_CONFIG_DIR", ".config/pypoetry"),
        ("R_LIBS_USER", "R"),
        ("SEMGREP_SETTINGS_FILE", ".semgrep"),
        ("XDG_STATE_HOME", ".local/state"),
        ("_ZO_DATA_DIR", ".local/share/zoxide"),
    ],
)
def test_settings_that_may_be_read_stay_in_use(variable: str, usual: str, make_fs: MakeFilesystem) -> None:
    place = f"{HOME}/{usual}"
    fs = make_fs(directories=(place,))
    reading = Grant(place, Access.READ, True, "user", place)
    assert variable not in variables(caches(fs, READ_WRITE, reading))
    assert variable in variables(caches(fs, READ_WRITE))


@pytest.mark.parametrize(("access", "is_elsewhere"), [(Access.READWRITE, False), (Access.READ, True)])
def test_libreoffice_has_settings_of_the_runs_own_unless_a_persons_are_granted_for_writing(
    access: Access, is_elsewhere: bool, make_fs: MakeFilesystem
) -> None:
    place = f"{HOME}/.config/libreoffice"
    found = caches(make_fs(directories=(place,)), READ_WRITE, Grant(place, access, True, "user", place))
    told = {f"file://{path(found)}/libreoffice"} if is_elsewhere else set()
    assert {value for name, value in variables(found).items() if name == "UserInstallation"} == told


@pytest.mark.parametrize(
    ("variable", "usual", "own"),
    [("OCTAVE_HISTFILE", "octave/history", "octave/history"), ("_RR_TRACE_DIR", "rr", "rr")],
)
@pytest.mark.parametrize(("access", "is_elsewhere"), [(Access.READWRITE, False), (Access.READ, True)])
def test_octave_and_rr_write_elsewhere_unless_their_own_place_may_be_written(
    access: Access, is_elsewhere: bool, variable: str, usual: str, own: str, make_fs: MakeFilesystem
) -> None:
    place = f"{HOME}/.local/share/{usual}"
    found = caches(make_fs(directories=(place,)), READ_WRITE, Grant(place, access, True, "user", place))
    assert variables(found).get(variable) == (f"{path(found)}/{own}" if is_elsewhere else None)


@pytest.mark.parametrize(("access", "is_elsewhere"), [(Access.READWRITE, False), (Access.READ, True)])
def test_dvc_keeps_its_locks_elsewhere_unless_those_of_the_machine_are_granted(
    access: Access, is_elsewhere: bool, make_fs: MakeFilesystem
) -> None:
    shared = "/var/tmp/dvc"
    found = variables(
        caches(make_fs(directories=(shared,)), READ_WRITE, Grant(shared, access, True, "user", shared))
    )
    assert ("DVC_SITE_CACHE_DIR" in found) is is_elsewhere


@pytest.mark.parametrize(("access", "is_elsewhere"), [(Access.READWRITE, False), (Access.READ, True)])
def test_mypy_keeps_its_cache_elsewhere_where_a_project_may_only_be_read(
    access: Access, is_elsewhere: bool, make_fs: MakeFilesystem
) -> None:
    project = Grant(WORK, access, True, "user", WORK)
    assert ("MYPY_CACHE_DIR" in variables(caches(make_fs(), project))) is is_elsewhere


@pytest.mark.parametrize(
    ("variable", "usual"),
    [
        ("AIRFLOW_HOME", "airflow"),
        ("ANSIBLE_HOME", ".ansible"),
        ("CABAL_DIR", ".cabal"),
        ("CHROME_CONFIG_HOME", ".config/chromium"),
        ("CONAN_HOME", ".conan2"),
        ("FOSSIL_HOME", ".fossil"),
        ("HATCH_CACHE_DIR", ".cache/hatch"),
        ("HATCH_DATA_DIR", ".local/share/hatch"),
        ("IPYTHONDIR", ".ipython"),
        ("JUPYTER_CONFIG_DIR", ".jupyter"),
        ("JUPYTER_DATA_DIR", ".local/share/jupyter"),
        ("MC_PROFILE_ROOT", ".config/mc"),
        ("MOON_HOME", ".moon"),
        ("MPLCONFIGDIR", ".config/matplotlib"),
        ("PDM_LOG_DIR", ".local/state/pdm/log"),
        ("PERL_CPANM_HOME", ".cpanm"),
        ("PARALLEL_HOME", ".parallel"),
        ("PIPX_BIN_DIR", ".local/bin"),
        ("PLATFORMIO_CORE_DIR", ".platformio"),
        ("PM2_HOME", ".pm2"),
        ("RUFF_CACHE_DIR", ".ruff_cache"),
        ("PIPX_HOME", ".local/share/pipx"),
        ("STACK_ROOT", ".stack"),
        ("TEXMFVAR", ".texlive2025/texmf-var"),
        ("PLAYWRIGHT_BROWSERS_PATH", ".cache/ms-playwright"),
        ("UV_TOOL_BIN_DIR", ".local/bin"),
        ("UV_TOOL_DIR", ".local/share/uv/tools"),
        ("VIRTUALENV_OVERRIDE_APP_DATA", ".local/share/virtualenv"),
        ("WORKON_HOME", ".local/share/virtualenvs"),
        ("XONSH_DATA_DIR", ".local/share/xonsh"),
    ],
)
def test_a_tool_that_writes_in_the_home_has_a_place_beside_the_caches(
    variable: str, usual: str, make_fs: MakeFilesystem
) -> None:
    fs = make_fs(directories=(f"{HOME}/{usual}",))
    writing = Grant(f"{HOME}/{usual}", Access.READWRITE, True, "user", f"{HOME}/{usual}")
    found = caches(fs, READ_WRITE)
    assert variables(found)[variable].startswith(f"{path(found)}/")
    assert variable not in variables(caches(fs, READ_WRITE, writing))
    assert variable in variables(caches(fs, READ_WRITE, writing._replace(access=Access.READ)))


def test_pythons_of_uv_that_may_be_read_stay_in_use(make_fs: MakeFilesystem) -> None:
    place = f"{HOME}/.local/share/uv/python"
    fs = make_fs(directories=(place,))
    reading = Grant(place, Access.READ, True, "user", place)
    assert "UV_PYTHON_INSTALL_DIR" not in variables(caches(fs, READ_WRITE, reading))
    assert "UV_PYTHON_INSTALL_DIR" in variables(caches(fs, READ_WRITE))


def test_each_tool_has_a_place_of_its_own(make_fs: MakeFilesystem) -> None:
    places = [value.rpartition("=")[2] for value in variables(caches(make_fs(), READ_WRITE)).values()]
    assert len(set(places)) == len(places)


def test_a_variable_that_is_set_for_the_command_stays(make_fs: MakeFilesystem) -> None:
    fixed = EnvironmentRules(
        fixed=(("GOCACHE", "/data"),), passed=frozenset({"CARGO_HOME"}), allow=("GEM_HOME",)
    )
    found = variables(caches(make_fs(), READ_WRITE, environment=fixed))
    assert not {"GOCACHE", "CARGO_HOME", "GEM_HOME"} & found.keys()
    assert "CCACHE_DIR" in found


def test_a_variable_of_the_caller_that_leads_to_nothing_granted_is_replaced(
    make_fs: MakeFilesystem,
) -> None:
    fs = make_fs()
    assert "UV_CACHE_DIR" in variables(caches(fs, READ_WRITE, UV_CACHE_DIR="/data/uv"))
    assert "UV_CACHE_DIR" not in variables(caches(fs, READ_WRITE, UV_CACHE_DIR=f"{WORK}/uv"))


@pytest.mark.parametrize("modules", ["off", "auto", "on", ""])
@pytest.mark.parametrize("person", [f"{HOME}/go", f"/data/a:{HOME}/go"], ids=["one", "a list"])
def test_packages_of_the_person_are_found_behind_what_go_may_write_where_it_looks_for_them(
    person: str, modules: str, make_fs: MakeFilesystem
) -> None:
    """With modules it does not, and `$(go env GOPATH)/bin` is one directory."""
    found = caches(make_fs(), READ_WRITE, GOPATH=person, GO111MODULE=modules)
    behind = f":{person}" if modules in ("off", "auto") else ""
    assert variables(found)["GOPATH"] == f"{path(found)}/go{behind}"
    assert "GOPATH" not in variables(caches(make_fs(), READ_WRITE, GOPATH=f"{WORK}/go:{person}"))


def test_the_usual_packages_are_found_where_the_caller_names_none(make_fs: MakeFilesystem) -> None:
    assert variables(caches(make_fs(), READ_WRITE, GO111MODULE="off"))["GOPATH"].endswith(f"/go:{HOME}/go")


@pytest.mark.parametrize(
    ("usual", "inside"),
    [
        ("go/bin", {"go/bin"}),
        (".cargo/bin", {"cargo/bin"}),
        (".local/bin/", {"pipx/bin", "uv-bin"}),
        (".local/share/pnpm", {"pnpm"}),
        (".local/share/pnpm/bin", {"pnpm/bin"}),
        ("bin", set()),
    ],
)
def test_programs_that_the_run_installs_are_found_where_the_persons_are(
    usual: str, inside: set[str], make_fs: MakeFilesystem
) -> None:
    found = caches(make_fs(), READ_WRITE, PATH=f"/usr/bin:{HOME}/{usual}:")
    assert found is not None
    assert set(found.programs) == {f"{path(found)}/{each}" for each in inside}


def test_a_tool_that_installs_for_the_person_adds_nothing_to_the_search_path(make_fs: MakeFilesystem) -> None:
    usual = f"{HOME}/go"
    writing = Grant(usual, Access.READWRITE, True, "user", usual)
    found = caches(make_fs(directories=(usual,)), READ_WRITE, writing, PATH=f"{usual}/bin")
    assert found is not None
    assert found.programs == ()
    assert "GOMODCACHE" not in variables(found)  # where GOPATH stays, it needs no name


def test_of_a_list_the_first_directory_is_where_go_writes(make_fs: MakeFilesystem) -> None:
    first, second = "/data/a", "/data/b"
    fs = make_fs(directories=(first, second))
    both, search_path = f"{first}:{second}", f"{first}/bin"
    writing = [Grant(each, Access.READWRITE, True, "user", each) for each in (first, second)]
    assert "GOPATH" not in variables(caches(fs, READ_WRITE, writing[0], GOPATH=both))
    found = caches(fs, READ_WRITE, writing[1], GOPATH=both, PATH=search_path)
    assert found is not None
    assert found.programs == (variables(found)["GOPATH"] + "/bin",)


def test_modules_of_the_person_that_are_granted_stay_in_use_where_go_writes_elsewhere(
    make_fs: MakeFilesystem,
) -> None:
    usual = f"{HOME}/go/pkg/mod"
    writing = Grant(usual, Access.READWRITE, True, "user", usual)
    fs = make_fs(directories=(usual,))
    assert variables(caches(fs, READ_WRITE, writing))["GOMODCACHE"] == usual
    assert variables(caches(fs, READ_WRITE))["GOMODCACHE"] != usual
    settled = EnvironmentRules(passed=frozenset({"GOMODCACHE"}))
    assert "GOMODCACHE" not in variables(caches(fs, READ_WRITE, environment=settled))


def test_gems_of_the_system_stay_in_use(make_fs: MakeFilesystem) -> None:
    fs = make_fs()
    image = Grant("/usr", Access.READ, True, "group:system_read_linux_core", "/usr")
    assert "GEM_HOME" not in variables(caches(fs, READ_WRITE, image, GEM_HOME="/usr/local/bundle"))
    assert "GEM_HOME" in variables(caches(fs, READ_WRITE, image, GEM_HOME="/data/bundle"))


def test_a_program_that_has_a_directory_among_the_caches_finds_it(make_fs: MakeFilesystem) -> None:
    directory = f"{HOME}/.cache/tool"
    fs = make_fs(directories=(directory,))
    own = Grant(directory, Access.READWRITE, True, "profile", directory)
    assert "XDG_CACHE_HOME" not in variables(caches(fs, READ_WRITE, own))
    assert "XDG_CACHE_HOME" in variables(caches(fs, READ_WRITE))


@pytest.mark.parametrize("access", [Access.READWRITE, Access.READ])
def test_a_program_that_may_read_its_state_finds_it(access: Access, make_fs: MakeFilesystem) -> None:
    directory = f"{HOME}/.local/state/tool"
    fs = make_fs(directories=(directory,))
    own = Grant(directory, access, True, "group:tool", directory)
    assert "XDG_STATE_HOME" not in variables(caches(fs, READ_WRITE, own))
    beside = own._replace(path=f"{HOME}/.local/share/tool")
    assert "XDG_STATE_HOME" in variables(caches(fs, READ_WRITE, beside))


def test_settings_that_must_be_there_are_made_where_the_variable_leads(make_fs: MakeFilesystem) -> None:
    found = caches(make_fs(), READ_WRITE)
    assert found is not None
    names = ("HATCH_CONFIG", "LG_CONFIG_FILE")
    assert found.files == tuple(variables(found)[name] for name in names)
    # Where no command can lead them elsewhere.
    assert {each.rpartition("/")[0] for each in found.files} == {path(found)}
    outside = caches(make_fs(), READ_WRITE, environment=EnvironmentRules(passed=frozenset(names)))
    assert outside is not None
    assert outside.files == ()


@pytest.mark.parametrize("place", ["R", "R/x86_64-pc-linux-gnu-library/4.5"], ids=["all", "of one version"])
def test_a_directory_for_packages_of_r_is_made_unless_a_persons_own_may_be_read(
    place: str, make_fs: MakeFilesystem
) -> None:
    found = caches(make_fs(), READ_WRITE)
    assert found is not None
    assert found.directories == (variables(found)["R_LIBS_USER"],) == (f"{path(found)}/R",)
    own = Grant(f"{HOME}/{place}", Access.READ, True, "user", f"{HOME}/{place}")
    granted = caches(make_fs(directories=(own.path,)), READ_WRITE, own)
    assert granted is not None
    assert granted.directories == ()


def test_there_are_none_where_the_command_could_replace_them(make_fs: MakeFilesystem) -> None:
    assert caches(make_fs(), READ_WRITE, XDG_CACHE_HOME=f"{WORK}/cache") is None


def test_there_are_none_behind_a_link_that_a_command_could_have_laid(make_fs: MakeFilesystem) -> None:
    planted = make_fs(links={f"{WORK}/cache": f"{HOME}/.ssh"})
    assert caches(planted, READ_WRITE, XDG_CACHE_HOME=f"{WORK}/cache") is None
    own = make_fs(links={f"{HOME}/.cache": "/data/vault"})
    assert path(caches(own, READ_WRITE)).startswith("/data/vault/nono/caches/")


@pytest.mark.parametrize("link", ["nono", "nono/caches"])
def test_there_are_none_behind_a_link_that_a_run_with_all_caches_could_have_left(
    make_fs: MakeFilesystem, link: str
) -> None:
    """It would choose the directory that later runs of every project may write."""
    left = make_fs(links={f"{HOME}/.cache/{link}": "/elsewhere"})
    assert caches(left, READ_WRITE) is None
    beside = make_fs(links={f"{HOME}/.cache/other": "/elsewhere"})
    assert path(caches(beside, READ_WRITE)).startswith(f"{HOME}/.cache/nono/caches/")


def test_there_are_none_where_they_are_denied(make_fs: MakeFilesystem) -> None:
    usual = path(caches(make_fs(), READ_WRITE))
    assert caches(make_fs(), READ_WRITE, denied=f"{HOME}/.cache") is None
    assert caches(make_fs(), READ_WRITE, denied=f"{usual}/npm") is None
    assert caches(make_fs(), READ_WRITE, denied=f"{HOME}/.cache/else") is not None


READING = READ_WRITE._replace(access=Access.READ)
SCRATCH = Grant("/data/disk", Access.READWRITE, True, "user", "/data/disk")
OF_RUFF, OF_MYPY = "RUFF_CACHE_DIR", "MYPY_CACHE_DIR"


@pytest.mark.parametrize(
    ("variable", "file", "text", "grants"),
    [
        (OF_RUFF, "ruff.toml", "cache-dir = '.cache/ruff'", (READ_WRITE,)),
        (OF_RUFF, ".ruff.toml", 'cache-dir="x"  # here', (READ_WRITE,)),
        (
            OF_RUFF,
            "pyproject.toml",
            "[tool.mypy]\n[tool.ruff]\ncache-dir = 'x'\n[tool.ruff.lint]",
            (READ_WRITE,),
        ),
        (OF_RUFF, "pyproject.toml", "tool.ruff.cache-dir = 'x'", (READ_WRITE,)),
        (OF_RUFF, "pyproject.toml", "[tool]\nruff.cache-dir = 'x'", (READ_WRITE,)),
        (OF_RUFF, "pyproject.toml", "[tool]\nruff = {line-length = 99, cache-dir = 'x'}", (READ_WRITE,)),
        (OF_RUFF, "pyproject.toml", '[ tool . "ruff" ]\n\'cache-dir\' = """\nx"""', (READ_WRITE,)),
        (OF_RUFF, "ruff.toml", "cache-dir = '/data/disk/ruff'", (READING, SCRATCH)),
        (OF_MYPY, "mypy.ini", "[mypy]\ncache_dir = /data/disk/mypy", (READING, SCRATCH)),
        (OF_MYPY, "setup.cfg", "[metadata]\n[mypy]\ncache_dir=/data/disk/mypy", (READING, SCRATCH)),
        (OF_MYPY, "pyproject.toml", "[tool.mypy]\ncache_dir = '/data/disk/mypy'", (READING, SCRATCH)),
        (OF_MYPY, "pyproject.toml", "tool = {mypy.cache_dir = '/data/disk/mypy'}", (READING, SCRATCH)),
    ],
)
def test_a_project_that_names_a_cache_keeps_it(
    make_fs: MakeFilesystem, variable: str, file: str, text: str, grants: tuple[Grant, ...]
) -> None:
    with_setting = make_fs(("/data/disk",), texts={f"{WORK}/{file}": text})
    without = make_fs(("/data/disk",), texts={f"{WORK}/{file}": text.replace("cache", "other")})
    assert variable not in variables(caches(with_setting, *grants))
    assert variable in variables(caches(without, *grants))


@pytest.mark.parametrize(
    ("variable", "file", "text", "grants"),
    [
        pytest.param(OF_RUFF, "ruff.toml", "cache-dir = 'x'", (READING,), id="may only be read"),
        pytest.param(OF_RUFF, "ruff.toml", "cache-dir = '/data/disk'", (READ_WRITE,), id="is not granted"),
        pytest.param(OF_RUFF, "ruff.toml", "cache-dir = '../x'", (READ_WRITE,), id="is beside the project"),
        pytest.param(OF_RUFF, "ruff.toml", "cache-dir = '~/x'", (READ_WRITE,), id="is spelled by ~"),
        pytest.param(OF_RUFF, "ruff.toml", "cache-dir = 'kept/x'", (READ_WRITE,), id="is denied"),
        pytest.param(OF_RUFF, "ruff.toml", "[lint]\ncache-dir = 'x'", (READ_WRITE,), id="another table"),
        pytest.param(
            OF_RUFF, "pyproject.toml", "[tool.x]\ncache-dir = 'x'", (READ_WRITE,), id="another tool"
        ),
        pytest.param(
            OF_RUFF,
            "pyproject.toml",
            '[tool.ruff]\na = """\ncache-dir = \'x\'\n"""',
            (READ_WRITE,),
            id="within a text",
        ),
        pytest.param(OF_RUFF, "ruff.toml", "cache-dir = ['x']", (READ_WRITE,), id="is a list"),
        pytest.param(OF_RUFF, "ruff.toml", "cache-dir = 'x'\n]", (READ_WRITE,), id="malformed"),
        pytest.param(
            OF_RUFF, "ruff.toml", "cache-dir = 'x'\n" + "#\n" * 70_000, (READ_WRITE,), id="takes long"
        ),
        pytest.param(
            OF_RUFF, "ruff.toml", f"cache-dir = 'x'\na = {'[' * 60_000}", (READ_WRITE,), id="nested deeply"
        ),
        pytest.param(OF_MYPY, "setup.cfg", "[tool:pytest]\ncache_dir = x", (READING,), id="of pytest"),
        pytest.param(OF_MYPY, "mypy.ini", "[mypy]\ncache_dir = .x", (READING,), id="of mypy, read only"),
    ],
)
def test_a_cache_that_the_run_may_not_write_is_replaced(
    make_fs: MakeFilesystem, variable: str, file: str, text: str, grants: tuple[Grant, ...]
) -> None:
    fs = make_fs(("/data/disk", f"{WORK}/kept"), texts={f"{WORK}/{file}": text})
    assert variable in variables(caches(fs, *grants, denied=f"{WORK}/kept"))


def test_a_key_of_many_parts_is_not_taken_apart(
    make_fs: MakeFilesystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its steps are as many as the square of its parts: 13 s for 25,000, at each start."""
    monkeypatch.delitem(sys.modules, "tomllib", raising=False)
    fs = make_fs(texts={f"{WORK}/ruff.toml": f"cache-dir = 'x'\na{'.a' * 25_000} = 1"})
    assert OF_RUFF in variables(caches(fs, READ_WRITE))
    assert "tomllib" not in sys.modules
    plain = make_fs(texts={f"{WORK}/ruff.toml": f"cache-dir = 'x'\na{'.a' * 900} = 1"})
    assert OF_RUFF not in variables(caches(plain, READ_WRITE))


def test_settings_above_count_where_they_are_granted(make_fs: MakeFilesystem) -> None:
    fs = make_fs((f"{WORK}/inner",), texts={f"{WORK}/ruff.toml": "cache-dir = 'x'"})
    inner = Grant(f"{WORK}/inner", Access.READWRITE, True, "user", f"{WORK}/inner")
    assert OF_RUFF not in variables(caches(fs, READ_WRITE, workdir=f"{WORK}/inner"))
    assert OF_RUFF in variables(caches(fs, inner, workdir=f"{WORK}/inner"))
