"""Return the values that only nono's data contain: names of network profiles, services and groups."""

from __future__ import annotations

from nono.cli.completion.tree import Words
from nono.policy.builtin import shipped
from nono.policy.capability import Namespaces, SandboxPolicy
from nono.settings.user_config import THEMES

SHELLS = ("bash", "zsh", "fish")


def choices() -> Words:
    """Return the values by option, or by the metavar of an operand."""
    network = shipped.network_policy()
    return {
        "--network-profile": tuple(network.profiles),
        "--credential": tuple(network.services),
        "--sandbox-policy": tuple(SandboxPolicy),
        "--namespaces": tuple(Namespaces),
        "--theme": THEMES,
        "SHELL": SHELLS,
    }


def groups() -> tuple[str, ...]:
    """Return the names of the groups of paths that have a meaning here."""
    return tuple(name for name, group in shipped.groups().items() if group.applies)
