"""A directory is opened by names alone: no link is followed, wherever it leads."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from nono.undo.beneath import opened_directory, opened_root


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    (tmp_path / "tree/inside/deep").mkdir(parents=True)
    (tmp_path / "outside/deep").mkdir(parents=True)
    (tmp_path / "tree/within").symlink_to("inside")
    (tmp_path / "tree/away").symlink_to("../outside")
    (tmp_path / "to-tree").symlink_to("tree")
    (tmp_path / "above").symlink_to(".")
    return tmp_path / "tree"


@pytest.mark.parametrize(
    ("path", "refused"),
    [
        ("", None),
        ("inside", None),
        ("inside/deep", None),
        ("within", errno.ELOOP),
        ("within/deep", errno.ELOOP),
        ("away/deep", errno.ELOOP),
        ("../outside", errno.EXDEV),
        ("inside/../../outside", errno.EXDEV),
    ],
)
def test_a_directory_is_opened_where_no_link_and_no_parent_leads(
    tree: Path, path: str, refused: int | None
) -> None:
    with opened_root(str(tree)) as root:
        if refused is None:
            with opened_directory(root, path) as found:
                assert os.path.samestat(os.fstat(found), os.stat(tree / path))
            return
        with pytest.raises(OSError, match=os.strerror(refused)), opened_directory(root, path):
            pass


@pytest.mark.parametrize("lists", [True, False])
@pytest.mark.parametrize("way", ["to-tree", "above/tree"])
def test_a_granted_directory_that_became_a_link_is_not_opened(tree: Path, way: str, lists: bool) -> None:
    with opened_root(str(tree), lists=lists) as root:
        assert os.path.samestat(os.fstat(root), os.stat(tree))
    link = str(tree.parent / way)
    with pytest.raises(OSError, match=os.strerror(errno.ELOOP)), opened_root(link, lists=lists):
        pass
