"""Tell whether a tool took the home for its project, because of a file in it, and so failed there."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from posixpath import dirname, join

from nono.named_tuple import NamedTuple
from nono.policy.capability import Access
from nono.policy.path_expansion import Filesystem, PathContext, is_within
from nono.policy.why.commands.words import Started
from nono.policy.why.usual_table import Row


class _Seeker(NamedTuple):
    """A tool that takes the nearest directory with one of these files for its project."""

    marks: tuple[tuple[str, str], ...]  # file, and what its text has to hold
    otherwise: tuple[str, ...]  # files that count where no directory has a mark
    instead: str


_PYTEST = _Seeker(
    (
        *((name, "") for name in ("pytest.toml", ".pytest.toml", "pytest.ini", ".pytest.ini")),
        ("pyproject.toml", "[tool.pytest"),
        ("tox.ini", "[pytest]"),
        ("setup.cfg", "[tool:pytest]"),
    ),
    ("setup.py", "pyproject.toml"),
    "an empty pytest.ini in the project, which comes first",
)
_TOX = _Seeker(
    (("tox.ini", ""), ("setup.cfg", "[tox:tox]"), ("pyproject.toml", "[tool.tox"), ("tox.toml", "")),
    ("pyproject.toml", "setup.cfg", "setup.py"),
    "a tox.ini in the project, which comes first",
)
_UV = _Seeker(
    (("pyproject.toml", "[project]"),),
    (),
    "a pyproject.toml in the project, which comes first; or uv --no-project",
)
_TSC = _Seeker((("tsconfig.json", ""),), (), "a tsconfig.json in the project, which comes first")
_SEEKERS = {"tsc": _TSC, "pytest": _PYTEST, "py.test": _PYTEST, "tox": _TOX, "uv": _UV}
_STARTERS = frozenset({"coverage", "hatch", "pdm", "pipenv", "poetry", "uv"})  # such as `uv run pytest`


def home_as_project(
    programs: Sequence[Started], path_context: PathContext, fs: Filesystem
) -> Iterator[tuple[Row, str]]:
    """Yield the home for each tool that takes it for its project; a run is not granted a home."""
    home = path_context.home
    if not is_within(path_context.workdir, home) or path_context.workdir == home:
        return
    for started in programs:
        words = (started.program, *(started.operands if started.program in _STARTERS else ()))
        for tool in dict.fromkeys(words):
            seeker = _SEEKERS.get(tool)
            file = None if seeker is None else _file_of_home(seeker, path_context.workdir, home, fs)
            if seeker is not None and file is not None:
                purpose = f"taken for the project, because of {join('~', file)}"
                yield Row(home, Access.READ, purpose, instead=seeker.instead), tool


def _file_of_home(seeker: _Seeker, workdir: str, home: str, fs: Filesystem) -> str | None:
    """Return the file that makes the home the project; None: another directory is, or none."""
    for files in (seeker.marks, tuple((name, "") for name in seeker.otherwise)):
        directory = workdir
        while is_within(directory, home):
            for name, text in files:
                if _holds(join(directory, name), text, fs):
                    return name if directory == home else None
            directory = dirname(directory)
    return None


def _holds(path: str, text: str, fs: Filesystem) -> bool:
    return fs.kind(path) == "file" and (not text or text in (fs.text(path) or ""))
