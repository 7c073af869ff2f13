"""Determine the groups of paths in force for a profile."""

from __future__ import annotations

from nono.errors import ConfigError
from nono.policy.builtin import shipped
from nono.policy.builtin.shipped import Group
from nono.policy.schema.profile import Profile


def group_names(profile: Profile) -> tuple[str, ...]:
    """Return the default groups and the profile's, minus its exclusions; includes other platforms' groups."""
    names = dict.fromkeys((*shipped.default_group_names(), *profile.groups.include))
    return tuple(name for name in names if name not in profile.groups.exclude)


def groups_in_force(profile: Profile) -> list[Group]:
    """Return the groups of this platform.

    Raises ConfigError for an unknown group, or one that may not be excluded.
    """
    known = shipped.groups()
    for name in profile.groups.include:
        if name not in known:
            # Imported here: only an error message needs it.
            from nono.policy.suggestions import did_you_mean

            raise ConfigError(f"Unknown policy group: '{name}'", hint=did_you_mean(name, known))
    required = [name for name in profile.groups.exclude if name in known and known[name].required]
    if required:
        listed = ", ".join(f"'{name}'" for name in required)
        raise ConfigError(f"Cannot exclude required groups: {listed}")
    return [known[name] for name in group_names(profile) if known[name].applies]
