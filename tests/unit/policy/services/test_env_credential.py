"""Credentials that the command itself gets to hold."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from nono.errors import ConfigError, UsageError
from nono.policy.resolve import Resolved
from nono.policy.schema.profile import Profile
from nono.policy.schema.routes import EnvCredential
from nono.policy.services.env_credential import env_credentials, parse_list_entry
from unit.policy.conftest import MakeFilesystem

Resolve = Callable[..., Resolved]


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        ("gh_token", ("gh_token", "GH_TOKEN")),
        ("env://X", ("env://X", "X")),
        ("env://X=Y", ("env://X", "Y")),
        ("op://vault/item/field=VAR", ("op://vault/item/field", "VAR")),
        ("file:///k/a=b=VAR", ("file:///k/a=b", "VAR")),
    ],
)
def test_an_entry_of_the_list_has_a_reference_and_a_variable(entry: str, expected: tuple[str, str]) -> None:
    assert parse_list_entry(entry) == expected


@pytest.mark.parametrize(
    ("entry", "sentence"),
    [
        ("op://v/i/f", "needs its variable"),
        ("bw://id", "needs its variable"),
        ("file:///k", "needs its variable"),
        ("file:///k=", "needs its variable"),
        ("env://X=", "needs its variable"),
        ("keyring://a/b=VAR", "do not fit in a list"),
        ("apple-password://a/b=VAR", "apple-password:// credentials exist on macOS only"),
        ("a-b", "letters, digits"),
        ("a=B", "letters, digits"),
    ],
)
def test_a_bad_entry_is_refused_without_being_repeated(entry: str, sentence: str) -> None:
    with pytest.raises(UsageError, match=sentence) as refused:
        parse_list_entry(entry)
    assert entry not in refused.value.message


def test_variables_go_to_the_map_before_the_list_before_the_profile() -> None:
    in_profile: dict[str, str | EnvCredential] = {"one": "A", "two": EnvCredential("B"), "three": "C"}
    found = env_credentials(in_profile, "env://Z=B, four", [("keyring://s/a", "C")])
    assert {variable: reference for reference, variable in found} == {
        "A": "one",
        "B": "env://Z",
        "C": "keyring://s/a",
        "FOUR": "four",
    }


@pytest.mark.parametrize("variable", ["PATH", "LD_PRELOAD", "ld_audit", "NONO_X", "A-B", "", "1A", "A=B"])
def test_a_credential_is_not_written_where_programs_are_steered(variable: str) -> None:
    with pytest.raises(UsageError, match="may not hold a credential"):
        env_credentials({}, None, [("x", variable)])
    with pytest.raises(ConfigError, match="may not hold a credential"):
        env_credentials({"x": variable}, None, [])


def test_a_run_says_which_variables_hold_a_credential(run: Resolve) -> None:
    resolved = run(Profile(env_credentials={"gh": "GH"}), env_credential="other")
    assert resolved.env_credentials == (("gh", "GH"), ("other", "OTHER"))
    assert sum("gets to read a credential" in text for text in resolved.warnings) == 2
    assert run().env_credentials == ()


def test_no_command_chooses_the_file_that_it_gets(run: Resolve, make_fs: MakeFilesystem) -> None:
    fs = make_fs(
        files=("/home/ada/work/key", "/home/ada/secret/key"),
        links={"/home/ada/keys": "/home/ada/work/keys", "/home/ada/work/keys": "/home/ada/secret"},
    )
    for path in ("/home/ada/work/key", "/home/ada/keys/key"):
        wanted = ((f"file://{path}", "KEY"),)
        with pytest.raises(ConfigError, match="KEY from a file in /home/ada/work, which"):
            run(fs=fs, env_credential_map=wanted, allow=("/home/ada/work",))
        run(fs=fs, env_credential_map=wanted, read=("/home/ada/work",))
    elsewhere = (("file:///home/ada/secret/key", "KEY"), ("stored", "OTHER"))
    run(fs=fs, env_credential_map=elsewhere, allow=("/home/ada/work",))


def test_it_may_be_one_that_nono_was_started_with(run: Resolve, make_fs: MakeFilesystem) -> None:
    """Every command may use /dev/fd, whose links are the kernel's."""

    def opened(file: str) -> None:
        links = {"/dev/fd": "/proc/self/fd", "/proc/self/fd/3": file}
        wanted = (("file:///dev/fd/3", "KEY"),)
        run(fs=make_fs(files=(file,), links=links), env_credential_map=wanted, allow=("/home/ada/work",))

    opened("/home/ada/secret/key")
    with pytest.raises(ConfigError, match="KEY from a file in /home/ada/work, which"):
        opened("/home/ada/work/key")
