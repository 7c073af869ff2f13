"""Describe the command to execute, and nono's exit statuses when it is not executed."""

from __future__ import annotations

from nono.named_tuple import NamedTuple

STATUS_NOT_RESTRICTED = 126
STATUS_NOT_EXECUTED = 127


class Command(NamedTuple):
    """The command to execute: `program` is an absolute path, argv[0] the name that the program sees.

    PWD of the environment, where it is the canonical `workdir`, becomes `spelled` if that path leads there.
    """

    program: str
    argv: tuple[str, ...]
    environment: dict[str, str]
    workdir: str
    spelled: str | None = None  # the working directory as the person wrote it, perhaps through links
