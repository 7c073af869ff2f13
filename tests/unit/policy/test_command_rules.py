"""nono.policy.command_rules: names that are not started, and who has the last word about them."""

from __future__ import annotations

import pytest

from nono.errors import ConfigError, NonoError
from nono.policy.command_rules import command_rules
from nono.policy.files.active_groups import groups_in_force
from nono.policy.request import RunRequest
from nono.policy.schema.profile import Commands, Profile


def refusal(
    program: str,
    profile: Profile,
    *,
    allow_command: tuple[str, ...] = (),
    block_command: tuple[str, ...] = (),
) -> str | None:
    request = RunRequest(allow_command=allow_command, block_command=block_command)
    rules = command_rules(request, profile, groups_in_force(profile))
    try:
        rules.refuse(program)
    except NonoError as error:
        return f"{error.message} {error.hint}"
    return None


PLAIN = Profile()
ALLOWS = Profile(commands=Commands(allow=("rm",)))
DENIES = Profile(commands=Commands(deny=("git",)))


def test_only_a_dangerous_name_is_blocked() -> None:
    said = refusal("/bin/rm", PLAIN)
    assert said is not None
    assert said.startswith("'rm' is blocked by name (group dangerous_commands)")
    assert "--allow-command rm starts it" in said
    assert refusal("/bin/rmx", PLAIN) is None
    assert refusal("rm/ls", PLAIN) is None


def test_a_program_that_raises_rights_is_said_to_raise_none_inside() -> None:
    assert "inside, sudo makes nobody root: run what needs root outside" in str(refusal("sudo", PLAIN))
    assert "makes nobody root" not in str(refusal("/bin/rm", PLAIN))


def test_a_profile_lifts_one_name_of_a_group() -> None:
    assert refusal("rm", ALLOWS) is None
    assert refusal("mv", ALLOWS) is not None


def test_a_profile_blocks_a_name_of_its_own() -> None:
    assert "commands.deny of the profile" in str(refusal("git", DENIES))
    assert refusal("git", PLAIN) is None


def test_a_profile_does_not_lift_a_denial_of_its_base() -> None:
    both = Profile(commands=Commands(allow=("git",), deny=("git",)))
    assert refusal("git", both) is not None


def test_a_flag_has_the_last_word() -> None:
    assert refusal("rm", PLAIN, allow_command=("rm",)) is None
    assert refusal("git", DENIES, allow_command=("git",)) is None
    assert "(--block-command)" in str(refusal("rm", ALLOWS, block_command=("rm",)))
    with pytest.raises(ConfigError):
        refusal("rm", PLAIN, block_command=("rm",), allow_command=("rm",))
