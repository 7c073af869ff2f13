"""Freezes the shipped groups as a module.

Run ``python -m nono.policy.builtin.freeze`` when policy.json has changed.
"""

from posixpath import dirname, join
from pprint import pformat

from nono.policy.builtin import shipped

TARGET = join(dirname(__file__), "frozen_groups.py")


def frozen() -> str:
    """Return the text of the module."""
    groups = tuple(tuple(group) for group in shipped.groups_of_file().values())
    default = tuple(shipped.profile_document("default")["groups"]["include"])
    return (
        '"""The groups of data/policy.json and the default ones, by nono.policy.builtin.freeze."""\n\n'
        "from typing import Any\n\n"
        "# The fields of nono.policy.builtin.shipped.Group in their order.\n"
        f"GROUPS: tuple[tuple[Any, ...], ...] = (\n{pformat(groups, width=100)[1:]}\n\n"
        f"DEFAULT: tuple[str, ...] = (\n{pformat(default, width=100)[1:]}\n"
    )


if __name__ == "__main__":
    with open(TARGET, "w", encoding="utf-8") as file:
        file.write(frozen())
