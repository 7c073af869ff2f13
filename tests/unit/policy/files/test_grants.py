"""nono.policy.files.grants: which grants cover a path."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from nono.policy.capability import Access, Grant
from nono.policy.files.grants import GrantTable, accesses, covering
from nono.policy.path_expansion import is_within

NAMES = st.sampled_from(["a", "ab", "b", "..", "."])
CANONICAL = st.lists(st.sampled_from(["a", "ab", "b"]), max_size=4).map(lambda names: "/" + "/".join(names))
ASKED = st.lists(NAMES | st.just(""), max_size=5).map(lambda names: "/" + "/".join(names))
GRANTS = st.lists(
    st.builds(
        lambda path, access, is_dir: Grant(path, access, is_dir, "user", path),
        CANONICAL,
        st.sampled_from([*Access]),
        st.booleans(),
    )
)


@given(GRANTS, ASKED)
def test_a_grant_covers_its_path_and_a_directory_what_is_below_it(grants: list[Grant], path: str) -> None:
    expected = [each for each in grants if path == each.path or (each.is_dir and is_within(path, each.path))]
    assert sorted(covering(grants, path)) == sorted(expected)


@given(GRANTS, CANONICAL)
def test_a_table_of_grants_gives_the_same_access(grants: list[Grant], path: str) -> None:
    assert GrantTable(grants).accesses(path) is accesses(grants, path)


def test_access_adds_up_along_the_way_and_ends_at_a_sibling() -> None:
    grants = [
        Grant("/a", Access.READ, True, "user", "/a"),
        Grant("/a/b", Access.WRITE, True, "user", "/a/b"),
    ]
    assert accesses(grants, "/a/b/c") is Access.READWRITE
    assert accesses(grants, "/a/bc") is Access.READ
    assert accesses(grants, "/ab") is None
