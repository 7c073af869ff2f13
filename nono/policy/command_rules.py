"""Refuse to start a run with a program that is blocked by name.

Deprecated and not a security boundary: the started program may execute any other program it has access to.
The rules only protect a person from a slip.
"""

from collections.abc import Iterable, Mapping
from posixpath import basename

from nono.errors import ConfigError, NonoError
from nono.named_tuple import NamedTuple
from nono.policy.builtin.shipped import Group
from nono.policy.request import RunRequest
from nono.policy.schema.profile import Profile
from nono.printable import shell_word

# no_new_privs: execve() grants no program another user's rights.
_RAISING = frozenset({"sudo", "su", "doas"})
DEPRECATED = "Command blocking is deprecated in v0.33.0, as it looks at a name only"


class CommandRules(NamedTuple):
    """The blocked names, each with the setting that blocks it."""

    blocked: Mapping[str, str] = {}

    def refuse(self, program: str) -> None:
        """Raise NonoError if `program`, a name or a path, is blocked."""
        name = basename(program)
        if name in self.blocked:
            option = f"--allow-command {shell_word(name)} starts it"
            hint = f"{option}; a shell inside starts it in any case"
            if name in _RAISING:
                hint = f"inside, {name} makes nobody root: run what needs root outside; {option} all the same"
            raise NonoError(
                f"'{name}' is blocked by name ({self.blocked[name]}): nono does not start it.", hint=hint
            )


def command_rules(request: RunRequest, profile: Profile, groups: Iterable[Group]) -> CommandRules:
    """Merge the command rules. Flags override the profile's deny list, that its allow list, that the groups.

    Raises ConfigError if one flag allows a name that another blocks.
    """
    both = [name for name in request.allow_command if name in request.block_command]
    if both:
        raise ConfigError(f"--allow-command and --block-command are contradictory: '{both[0]}'.")
    of_groups = {name: f"group {group.name}" for group in groups for name in group.commands}
    of_profile = dict.fromkeys(profile.commands.deny, f"commands.deny of {profile.label}")
    blocked = {name: origin for name, origin in of_groups.items() if name not in profile.commands.allow}
    blocked |= of_profile
    blocked = {name: origin for name, origin in blocked.items() if name not in request.allow_command}
    return CommandRules(blocked | dict.fromkeys(request.block_command, "--block-command"))
