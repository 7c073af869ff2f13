"""Whatever a run does to a tree, a restore makes it what it was, and another makes it what it became."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from unit.undo.conftest import Stage

EXAMPLES = 1000 if os.environ.get("NONO_TEST_LONG") else 12
NAMES = st.sampled_from([b"a", b"b", b"c-d", b"\xff\xfe", "ä".encode(), b"new\nline", b".hidden", b"-rf"])
PATHS = st.lists(NAMES, min_size=1, max_size=3).map(lambda parts: os.fsdecode(b"/".join(parts)))
LARGE = {
    b"@pages": b"x" * 70_000,
    b"@zeroes": bytes(100_000),
    b"@large": b"0" * (1 << 20) + b"large",
    b"@hole": bytes(2 << 20) + b"hole",
}  # by a short name: failing examples are printed
CONTENTS = st.one_of(st.binary(max_size=40), st.sampled_from(sorted(LARGE)))
MODES = st.sampled_from([0o600, 0o644, 0o755, 0o400, 0o4755])
TIMES = st.integers(0, 2**31 * 10**9)


def _clear(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _file(path: Path, content: bytes, mode: int, ns: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    _clear(path)
    content = LARGE.get(content, content)
    with path.open("wb") as file:
        if content.startswith(bytes(1 << 20)):
            file.seek(len(content) - 4)  # leaves a hole
            content = content[-4:]
        file.write(content)
    path.chmod(mode)
    os.utime(path, ns=(ns, ns))


def _overwrite(path: Path, content: bytes, mode: int, ns: int) -> None:
    if path.is_file() and not path.is_symlink():
        with suppress(PermissionError), path.open("r+b") as file:
            file.write(content)


def _link(path: Path, content: bytes, mode: int, ns: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    _clear(path)
    path.symlink_to(os.fsdecode(content[:20].replace(b"\0", b"0") or b"nowhere"))


def _directory(path: Path, content: bytes, mode: int, ns: int) -> None:
    path.mkdir(parents=True, exist_ok=True)
    if not path.is_symlink():
        path.chmod(mode | 0o700)


def _remove(path: Path, content: bytes, mode: int, ns: int) -> None:
    _clear(path)


def _mode(path: Path, content: bytes, mode: int, ns: int) -> None:
    if path.exists() and not path.is_symlink():
        path.chmod(mode | (0o700 if path.is_dir() else 0))


def _touch(path: Path, content: bytes, mode: int, ns: int) -> None:
    if os.path.lexists(path):
        os.utime(path, ns=(ns, ns), follow_symlinks=False)


def _attribute(path: Path, content: bytes, mode: int, ns: int) -> None:
    if path.exists() and not path.is_symlink():
        with suppress(PermissionError):
            os.setxattr(path, "user.note", content[:100])


def _move(path: Path, content: bytes, mode: int, ns: int) -> None:
    target = path.with_name("moved")
    if os.path.lexists(path) and not os.path.lexists(target):
        path.rename(target)


Act = Callable[[Path, bytes, int, int], None]
ACTS = (_file, _file, _overwrite, _link, _directory, _remove, _mode, _touch, _attribute, _move)
STEPS = st.lists(st.tuples(st.sampled_from(ACTS), PATHS, CONTENTS, MODES, TIMES), max_size=12)


def _act(root: Path, steps: list[tuple[Act, str, bytes, int, int]]) -> None:
    for act, path, content, mode, ns in steps:
        with suppress(NotADirectoryError, FileExistsError, FileNotFoundError, RuntimeError):
            act(root / path, content, mode, ns)


@settings(
    max_examples=EXAMPLES,
    deadline=None,
    phases=[Phase.explicit, Phase.reuse, Phase.generate],  # each example is a tree on the disk
    suppress_health_check=list(HealthCheck),
)
@given(before=STEPS, during=STEPS, between=st.booleans())
def test_a_restore_makes_a_tree_what_it_was(
    before: list[tuple[Act, str, bytes, int, int]],
    during: list[tuple[Act, str, bytes, int, int]],
    between: bool,
) -> None:
    with tempfile.TemporaryDirectory(dir="/var/tmp") as place:
        stage = Stage(Path(place))
        _act(stage.root, before)
        was = stage.look()
        with stage.recorded() as taken:
            half = len(during) // 2
            _act(stage.root, during[:half])
            if between:
                taken.mark("before turn 2")
            middle = stage.look()
            _act(stage.root, during[half:])
            taken.finish(0)
        became = stage.look()
        assert stage.restore() == []
        assert stage.look() == was
        with stage.kept() as session:
            safety = session.count() - 2
        if became != was:
            assert stage.restore(safety) == []
            assert stage.look() == became
            if between:
                assert stage.restore(1) == []
                assert stage.look() == middle
