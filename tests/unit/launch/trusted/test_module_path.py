"""nono.launch.trusted.module_path: what a supervisor imports meanwhile, the command did not write."""

from __future__ import annotations

import json
import os
import site
import subprocess
import sys
from pathlib import Path
from posixpath import dirname
from types import ModuleType

import pytest

import nono.launch
from nono.bytecode import finder
from nono.errors import ConfigError
from nono.launch.trusted.module_path import may_load_later, refuse_writable_code, withdraw
from nono.policy.capability import Access, Grant


def grant(path: Path, access: Access = Access.READWRITE) -> Grant:
    return Grant(str(path), access, True, "test", str(path))


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the working directory of a run, which the command may write."""
    project = tmp_path / "project"
    (project / "src").mkdir(parents=True)
    monkeypatch.chdir(project)
    return project


def left(entry: str, *grants: Grant, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Return True if modules are still looked for there."""
    monkeypatch.setattr(sys, "path", [*sys.path, entry])
    before = len(sys.path)
    withdraw(grants)
    return len(sys.path) == before


@pytest.mark.parametrize("entry", ["", ".", "src", "../project", "absent"])
def test_no_module_is_looked_for_where_the_command_may_write(
    entry: str, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert not left(entry, grant(project), monkeypatch=monkeypatch)
    assert left(entry, grant(project, Access.READ), monkeypatch=monkeypatch)


def test_nor_behind_a_link_that_it_may_write_or_that_leads_there(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (project / "out").symlink_to(tmp_path)
    (tmp_path / "in").symlink_to(project)
    assert not left(str(project / "out"), grant(project), monkeypatch=monkeypatch)
    assert not left(str(tmp_path / "in"), grant(project), monkeypatch=monkeypatch)


def test_nor_where_a_package_could_be_what_it_may_write(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert not left(str(tmp_path), grant(project), monkeypatch=monkeypatch)
    assert left(str(tmp_path / "beside"), grant(project), monkeypatch=monkeypatch)


def test_where_nono_and_python_are_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    own = str(Path(nono.__file__).parent.parent)
    monkeypatch.setattr(sys, "path", [own, os.path.dirname(os.__file__)])
    withdraw([grant(Path("/"))])
    assert sys.path == [own, os.path.dirname(os.__file__)]


def test_a_run_is_refused_if_its_linker_searches_a_granted_directory(project: Path) -> None:
    environ = {"HOME": str(project.parent), "PATH": os.environ["PATH"], "LD_LIBRARY_PATH": ":/usr/lib"}
    argv = [sys.executable, "-m", "nono", "run", "--allow", ".", "--", "true"]
    done = subprocess.run(argv, cwd=project, env=environ, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "LD_LIBRARY_PATH names '.'" in done.stderr


def test_no_module_is_looked_for_in_a_granted_working_directory(project: Path) -> None:
    code = (
        "import os, sys\n"
        "from nono.launch.run import Launch\n"
        "from nono.policy.host_filesystem import HostFilesystem\n"
        "from nono.policy.request import RunRequest\n"
        "from nono.policy.resolve import resolve\n"
        "from nono.sandbox.launcher import Probe, fork_launcher\n"
        "environ, fs = dict(os.environ), HostFilesystem()\n"
        "resolved = resolve(RunRequest(allow=('.',)), None, environ=environ, cwd=os.getcwd(), fs=fs)\n"
        "assert '' in sys.path\n"
        "with Launch(environ, fork_launcher(environ, Probe(False, False))) as launch:\n"
        "    launch.prepare(resolved, ['true'])\n"
        "print('' in sys.path)\n"
    )
    environ = {"HOME": str(project.parent), "PATH": os.environ["PATH"]}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=project, env=environ, capture_output=True, text=True, check=True
    )
    assert done.stdout == "False\n"


@pytest.mark.parametrize(
    ("variable", "text"),
    [
        ("LD_LIBRARY_PATH", ":/usr/lib"),
        ("LD_PRELOAD", "/usr/lib/a.so src/b.so"),
        ("LD_AUDIT", "src/audit.so"),
        ("GCONV_PATH", "src"),
        ("LOCPATH", "src"),
        ("PYTHONPATH", "/usr/lib:"),
        ("PYTHONHOME", "/usr:src"),
        ("PYTHONPYCACHEPREFIX", "absent"),
        ("PYTHONUSERBASE", "src"),
        ("LD_LIBRARY_PATH", "/usr/lib;src"),
        ("LD_LIBRARY_PATH", "/usr/lib:absent"),
        ("OPENSSL_CONF", "openssl.cnf"),
        ("OPENSSL_MODULES", "."),
        ("OPENSSL_ENGINES", "src"),
    ],
)
def test_a_run_whose_code_the_command_could_write_is_refused(variable: str, text: str, project: Path) -> None:
    with pytest.raises(ConfigError, match=variable):
        refuse_writable_code([grant(project)], {variable: text})
    refuse_writable_code([grant(project, Access.READ)], {variable: text})


@pytest.mark.parametrize("variable", ["OPENSSL_CONF", "LOCPATH", "PYTHONPATH"])
def test_a_variable_that_names_dev_null_loads_nothing(variable: str) -> None:
    """Every command may write there, and nothing stays."""
    null, full = (Grant(path, Access.READWRITE, False, "test", path) for path in ("/dev/null", "/dev/full"))
    refuse_writable_code([null, full], {variable: null.path})
    with pytest.raises(ConfigError, match=f"{variable} names '/dev/full'"):
        refuse_writable_code([null, full], {variable: full.path})
    with pytest.raises(ConfigError, match=f"{variable} names '/dev/null'"):
        refuse_writable_code([grant(Path("/dev"))], {variable: null.path})


def test_libraries_elsewhere_and_an_empty_variable_are_no_matter(project: Path) -> None:
    for text in ("/usr/lib:/opt/lib", ""):
        environ = {"LD_LIBRARY_PATH": text, "LD_PRELOAD": "", "PYTHONPATH": text}
        refuse_writable_code([grant(project)], environ)


def test_an_empty_entry_of_locales_is_no_directory(project: Path) -> None:
    """As where a profile of Guix appends to one that was not set."""
    refuse_writable_code([grant(project)], {"LOCPATH": "/usr/lib/locale:"})
    with pytest.raises(ConfigError, match=r"PYTHONPATH names '\.'"):
        refuse_writable_code([grant(project)], {"PYTHONPATH": "/usr/lib/locale:"})


def test_a_user_site_that_the_command_could_make_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(site, "ENABLE_USER_SITE", True)
    monkeypatch.setattr(site, "USER_SITE", str(tmp_path / "lib/absent"))
    with pytest.raises(ConfigError, match="absent"):
        refuse_writable_code([grant(tmp_path)], {})
    monkeypatch.setattr(site, "ENABLE_USER_SITE", False)
    refuse_writable_code([grant(tmp_path)], {})


def test_code_that_a_link_leads_to_may_not_be_written(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "library").symlink_to(project)
    monkeypatch.setattr(sys, "path", [*sys.path, str(tmp_path / "library")])
    with pytest.raises(ConfigError, match=r"own code in '.*library'"):
        refuse_writable_code([grant(project)], {})
    refuse_writable_code([grant(tmp_path / "beside")], {})


@pytest.mark.parametrize("module", [nono.launch, os, json, pytest], ids=lambda module: module.__name__)
def test_a_part_of_what_nono_imports_may_not_be_written(module: ModuleType) -> None:
    assert module.__file__ is not None
    part = Path(module.__file__).parent / "part"
    with pytest.raises(ConfigError, match=f"own code in '{part}'"):
        refuse_writable_code([grant(part)], {})
    refuse_writable_code([grant(part, Access.READ)], {})


@pytest.mark.parametrize("place", [finder.place(), dirname(finder.place())], ids=["itself", "its directory"])
def test_the_file_of_bytecode_may_not_be_written(place: str) -> None:
    with pytest.raises(ConfigError, match=f"own code in '{place}'"):
        refuse_writable_code([grant(Path(place))], {})
    refuse_writable_code([grant(Path(place), Access.READ)], {})


def test_what_lies_beside_a_checkout_of_nono_may_be_written() -> None:
    refuse_writable_code([grant(Path(nono.__file__).parents[1] / "beside")], {})


def test_a_python_that_the_command_may_write_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/python").symlink_to(sys.executable)
    monkeypatch.setattr(sys, "executable", str(tmp_path / "bin/python"))
    with pytest.raises(ConfigError, match="bin/python"):
        refuse_writable_code([grant(tmp_path / "bin")], {})
    refuse_writable_code([grant(tmp_path / "bin", Access.READ)], {})


@pytest.mark.parametrize(
    "place", ["/etc/ssl", "/usr/lib/x86_64-linux-gnu", "/usr", "/", os.path.join(sys.prefix, "x")]
)
def test_nothing_is_loaded_later_where_the_command_may_write(place: str) -> None:
    assert not may_load_later([grant(Path(place))])
    assert may_load_later([grant(Path(place), Access.READ)])


def test_nor_where_a_link_leads_by_which_it_is_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "venv").symlink_to(tmp_path / "installed")
    monkeypatch.setattr(sys, "prefix", str(tmp_path / "venv"))
    assert not may_load_later([grant(tmp_path / "installed/lib")])
    assert may_load_later([grant(tmp_path / "beside")])


def test_what_is_loaded_later_does_not_depend_on_a_project(project: Path) -> None:
    assert may_load_later([grant(project)])
