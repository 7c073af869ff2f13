import json
import shutil
from pathlib import Path

import pytest

from nono.trust.disk import package_tree
from nono.trust.package_path import tree_of


def _write(root: Path, files: dict[str, str]) -> str:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return str(root)


def npx(root: Path, text: str = "1") -> str:
    asked = json.dumps({"_npx": {"packages": ["mcp-x@latest"]}})
    return _write(root / "_npx/0123", {"package.json": asked, "node_modules/mcp-x/run.js": text})


def uvx(root: Path, name: str = "abc", text: str = "1") -> str:
    site = "lib/python3.13/site-packages"
    return _write(
        root / "archive-v0" / name,
        {
            "pyvenv.cfg": name,
            f"{site}/mcp_y.py": text,
            f"{site}/mcp_y-1.0.dist-info/REQUESTED": "",
            f"{site}/dependency-2.0.dist-info/RECORD": "",
            f"{site}/__pycache__/mcp_y.cpython-313.pyc": name,
            f"{site}/mcp_y-1.0.dist-info/uv_cache.json": name,
        },
    )


@pytest.mark.parametrize(
    ("path", "tree"),
    [
        ("/h/.npm/_npx/01/node_modules/x/run.js", "/h/.npm/_npx/01"),
        ("/h/.npm/_npx/01/package.json", None),
        ("/h/.npm/_cacache/01/node_modules/x", None),
        ("/h/.cache/uv/archive-v0/ab/lib/python3.13/site-packages/y.py", "/h/.cache/uv/archive-v0/ab"),
        ("/h/.cache/uv/archive-v0/ab/y.py", None),
        ("/_npx", None),
    ],
)
def test_a_file_tells_its_package(path: str, tree: str | None) -> None:
    assert tree_of(path) == tree


def test_a_package_is_named_as_it_was_asked_for(tmp_path: Path) -> None:
    assert package_tree.read(npx(tmp_path)).name == "npx:mcp-x@latest"
    assert package_tree.read(uvx(tmp_path)).name == "uvx:mcp_y"


def test_each_file_of_a_package_counts(tmp_path: Path) -> None:
    first = package_tree.read(npx(tmp_path))
    assert package_tree.read(npx(tmp_path)) == first
    assert package_tree.read(npx(tmp_path, "2")).sha256 != first.sha256
    (tmp_path / "_npx/0123/node_modules/mcp-x/run.js").unlink()
    (tmp_path / "_npx/0123/node_modules/mcp-x/run.js").symlink_to("elsewhere")
    assert b"-> elsewhere  mcp-x/run.js\n" in package_tree.read(str(tmp_path / "_npx/0123")).manifest


@pytest.mark.parametrize("is_link", [False, True])
def test_no_name_passes_for_the_lines_of_other_files(is_link: bool, tmp_path: Path) -> None:
    tree = Path(npx(tmp_path))
    modules = tree / "node_modules"
    (modules / "mcp-x/use.js").write_text("2")
    if is_link:
        (modules / "a").symlink_to("elsewhere")
    lines = package_tree.read(str(tree)).manifest.decode().splitlines()
    shutil.rmtree(modules)
    if is_link:
        target, _, name = "\n".join(lines).removeprefix("-> ").rpartition("  ")
        (modules / name).parent.mkdir(parents=True)
        (modules / name).symlink_to(target)
    else:
        _write(modules, {f"mcp-x/run.js\n{lines[1]}": "1"})
    with pytest.raises(ValueError, match="a line break"):
        package_tree.read(str(tree))


def test_one_package_has_one_digest_wherever_it_is_installed(tmp_path: Path) -> None:
    assert package_tree.read(uvx(tmp_path, "abc")) == package_tree.read(uvx(tmp_path, "xyz"))
    assert package_tree.read(uvx(tmp_path, "abc")) != package_tree.read(uvx(tmp_path, "xyz", "2"))


def test_what_does_not_say_what_it_is_has_no_name(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        package_tree.read(str(tmp_path / "_npx/none"))
    (Path(npx(tmp_path)) / "package.json").write_text("{}")
    with pytest.raises(ValueError, match="does not say what was asked for"):
        package_tree.read(str(tmp_path / "_npx/0123"))


@pytest.mark.parametrize(("bound", "most"), [("FILES_MAX", 2), ("BYTES_MAX", 9)])
def test_a_package_is_read_up_to_its_bounds_and_no_further(
    bound: str, most: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tree = npx(tmp_path, "1" * 9)
    (tmp_path / "_npx/0123/node_modules/link").symlink_to("elsewhere")
    monkeypatch.setattr(package_tree, bound, most)
    assert package_tree.read(tree).name == "npx:mcp-x@latest"
    monkeypatch.setattr(package_tree, bound, most - 1)
    with pytest.raises(ValueError, match="more than"):
        package_tree.read(tree)


def test_directories_without_files_are_bounded_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A command can make any number of them in the cache of npx, for which the next start would wait."""
    tree = npx(tmp_path)
    monkeypatch.setattr(package_tree, "FILES_MAX", 3)
    for name in "ab":
        (tmp_path / "_npx/0123/node_modules" / name).mkdir()
    assert package_tree.read(tree).name == "npx:mcp-x@latest"
    (tmp_path / "_npx/0123/node_modules/a/c").mkdir()
    with pytest.raises(ValueError, match="more than 3 directories"):
        package_tree.read(tree)
