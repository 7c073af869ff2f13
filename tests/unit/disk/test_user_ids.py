"""An id above those of people and of the system is a container's, or a person's of some directory."""

from __future__ import annotations

import pwd
from pathlib import Path

import pytest

from nono.disk import user_ids
from nono.disk.user_ids import owner_listed_in, owner_of

SUBUID = b"# ids\nalice:100000:65536\nbroken\nbob:x:1\n2000:165536:65536\nbob:231072:1\nnul:1:\xb2\n"


@pytest.mark.parametrize(
    ("uid", "owner"),
    [
        (99_999, None),
        (100_000, "alice"),
        (165_535, "alice"),
        (165_536, "2000"),
        (231_072, "bob"),
        (231_073, None),
    ],
)
def test_a_delegated_id_is_in_a_span_of_its_owner(uid: int, owner: str | None) -> None:
    assert owner_listed_in(SUBUID, uid) == owner


def account(uid: int, shell: str) -> pwd.struct_passwd:
    return pwd.struct_passwd(("a", "x", uid, uid, "", "/", shell))


@pytest.fixture(autouse=True)
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "subuid").write_bytes(SUBUID)
    shells = {1_234_500_001: "/bin/bash", 600_000: "/usr/sbin/nologin", 231_072: "/bin/sh"}
    monkeypatch.setattr(user_ids, "PATH", str(tmp_path / "subuid"))
    monkeypatch.setattr(pwd, "getpwnam", lambda name: account({"alice": 1001}[name], "/bin/sh"))
    monkeypatch.setattr(pwd, "getpwuid", lambda uid: account(uid, shells[uid]))


@pytest.mark.parametrize(("uid", "owner"), [(100_005, 1001), (165_536, 2000), (1_234_500_001, 1_234_500_001)])
def test_who_may_have_an_id_is_its_owner(uid: int, owner: int) -> None:
    assert owner_of(uid) == owner


@pytest.mark.parametrize("uid", [600_000, 700_000, 231_072], ids=["no login", "no account", "unknown owner"])
def test_an_id_of_nobody_who_logs_in_has_none(uid: int) -> None:
    assert owner_of(uid) is None


def test_without_delegated_ids_only_accounts_have_owners(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(user_ids, "PATH", "/nonexistent")
    assert (owner_of(100_005), owner_of(1_234_500_001)) == (None, 1_234_500_001)
