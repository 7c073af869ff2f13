"""Freeze the shipped groups and the variables of the shipped services as a module.

Run ``make freeze-policy`` when policy.json or network-policy.json has changed.
"""

from posixpath import dirname, join
from pprint import pformat

from nono.policy.builtin import shipped

TARGET = join(dirname(__file__), "frozen_groups.py")


def frozen() -> str:
    """Return the text of the module."""
    groups = tuple(tuple(group) for group in shipped.groups_of_file().values())
    default = tuple(shipped.profile_document("default")["groups"]["include"])
    services = shipped.network_policy().services
    readers = {variable: name for name in reversed([*services]) for variable in services[name]["env_vars"]}
    return (
        '"""The groups of data/policy.json and the default ones, by nono.policy.builtin.freeze."""\n\n'
        "from __future__ import annotations\n\n"
        "TYPE_CHECKING = False\n"
        "if TYPE_CHECKING:\n"
        "    from typing import Any\n\n"
        "# The fields of nono.policy.builtin.shipped.Group in their order.\n"
        f"GROUPS: tuple[tuple[Any, ...], ...] = (\n{pformat(groups, width=100)[1:]}\n\n"
        f"DEFAULT: tuple[str, ...] = (\n{pformat(default, width=100)[1:]}\n\n"
        "# The shipped service that reads its key from a variable, by variable.\n"
        f"READERS: dict[str, str] = {pformat(readers, width=100)}\n"
    )


if __name__ == "__main__":
    with open(TARGET, "w", encoding="utf-8") as file:
        file.write(frozen())
