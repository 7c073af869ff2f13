"""What cannot be read is judged all the same: the command might be able to read it."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from unittest.mock import MagicMock

import pytest

from nono.digests import sha256
from nono.trust import bundle, dsse, predicates, statement
from nono.trust.bundle import Bundle
from nono.trust.claims import Claims
from nono.trust.disk import check as check_module
from nono.trust.disk.check import check, judge_all
from nono.trust.policy import TrustPolicy
from nono.trust.verdict import Status, Trust

POLICY = TrustPolicy(("CLAUDE.md",), packages=True)


@pytest.mark.parametrize("is_readable", [True, False])
def test_an_instruction_file_that_cannot_be_read_is_refused(tmp_path: Path, is_readable: bool) -> None:
    path = tmp_path / "CLAUDE.md"
    if is_readable:
        path.write_text("instructions")
    else:
        os.mkfifo(path)
    found = check(str(tmp_path), Trust(POLICY, ()))
    [verdict] = found.refused
    assert verdict.path == "CLAUDE.md"
    assert verdict.status is (Status.UNSIGNED if is_readable else Status.UNREADABLE)
    assert list(found.contents.values()) == ([b"instructions"] if is_readable else [])


def test_a_package_that_cannot_be_read_is_refused_and_one_that_is_gone_is_not(tmp_path: Path) -> None:
    (tmp_path / "_npx/1/node_modules").mkdir(parents=True)
    (tmp_path / "_npx/1/package.json").write_text("{}")  # which does not say what was asked for
    packages = {"npx:here": str(tmp_path / "_npx/1"), "npx:gone": str(tmp_path / "_npx/2")}
    [verdict] = check(str(tmp_path), Trust(POLICY, ()), packages=packages).refused
    assert (verdict.path, verdict.status) == ("npx:here", Status.UNREADABLE)


@pytest.mark.parametrize(("size", "unread"), [(5, 0), (6, 1)])
def test_untrusted_files_do_not_fill_the_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int, unread: int
) -> None:
    """A command can make a thousand of 16 MB, which take no room on the disk."""
    monkeypatch.setattr(check_module, "CONTENTS_BYTES_MAX", 10)
    for name in "abc":
        (tmp_path / name).write_bytes(name.encode() * size)
    verdicts, contents = judge_all(str(tmp_path), "abc", Trust(POLICY, ()), None)
    assert [each.status is Status.UNREADABLE for each in verdicts] == [False, False, bool(unread)]
    assert len(contents) == 3 - unread


def test_one_verdict_stands_for_files_beyond_any_number(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A command can make 500,000, whose verdicts took 1.8 GB."""
    monkeypatch.setattr(check_module, "FILES_MAX", 2)
    for name in "abcd":
        (tmp_path / name).write_text(name)
    within, _ = judge_all(str(tmp_path), "ab", Trust(POLICY, ()), None)
    beyond, contents = judge_all(str(tmp_path), "abcd", Trust(POLICY, ()), None)
    assert [each.path for each in within] == ["a", "b"]
    assert beyond[:2] == within
    [last] = beyond[2:]
    assert (last.path, last.status) == ("c", Status.UNREADABLE)
    assert len(contents) == 2


@pytest.mark.parametrize(("size", "unread"), [(4, 0), (5, 1)])
def test_bundles_do_not_hold_up_the_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int, unread: int
) -> None:
    """A bundle for all files below a directory is parsed for each of them: 16 of 1 MiB take 0.2 s a file."""
    monkeypatch.setattr(check_module, "READ_BYTES_MAX", 10)
    (tmp_path / ".nono-trust.bundle").write_bytes(b"{" * size)
    for name in "abc":
        (tmp_path / name).write_bytes(b"1")
    verdicts, _ = judge_all(str(tmp_path), "abc", Trust(POLICY, ()), None)
    assert [each.status is Status.UNREADABLE for each in verdicts] == [False, False, bool(unread)]


def test_a_bundle_for_many_files_is_read_as_one_until_it_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Parsed again for each file, the bundles of 3,800 took 15 s."""
    verified, parsed = [], []
    for module in (bundle, statement):

        def noted(text: bytes, parse: Callable[[bytes], object] = module.parse) -> object:
            parsed.append(text)
            return parse(text)

        monkeypatch.setattr(module, "parse", noted)

    def verify(found: Bundle) -> Claims:
        verified.append(found.envelope.signatures[0].signature)
        raise ValueError("its certificate does not verify")

    def checked() -> list[str]:
        return [each.reason for each in judge_all(str(tmp_path), "ab", Trust(POLICY, ()), verify)[0]]

    subjects = tuple(statement.Subject(name, sha256(name.encode()).hexdigest()) for name in "ab")
    for name in "ab":
        (tmp_path / name).write_text(name)
    sign = MagicMock(side_effect=[b"1", b"2"])
    for signature in (b"1", b"2"):
        said = statement.Statement(subjects, predicates.MULTI_FILE, predicates.keyless())
        signed = dsse.signed(dsse.IN_TOTO, statement.encoded(said), sign)
        fields = json.loads(bundle.encoded(signed, ""))
        fields["verificationMaterial"] = {"certificate": {}}
        (tmp_path / ".nono-trust.bundle").write_text(json.dumps(fields))
        assert checked() == ["its certificate does not verify"] * 2
        assert verified == [*verified[:-1], signature]
    assert (len(verified), len(parsed)) == (2, 4)
