"""Tell that a failed agent was to use a model in a cloud, whose login stays outside."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from nono.policy.why.commands.words import started

_AGENT = "claude"
_CLOUDS: Mapping[str, str] = {
    "CLAUDE_CODE_USE_BEDROCK": "Amazon Bedrock",
    "CLAUDE_CODE_USE_VERTEX": "Google Vertex AI",
    "CLAUDE_CODE_USE_FOUNDRY": "Azure AI Foundry",
}
_OFF = frozenset({"", "0", "false", "no", "off"})


def cloud_of_agent(
    argv: Sequence[str], environ: Mapping[str, str], given: Collection[str]
) -> tuple[str, str] | None:
    """Return the variable of the person's environment that names the cloud, and the cloud; None without one.

    given: The variables that options and the profile set. A profile that sets it has the credential too.
    """
    if not any(each.program == _AGENT for each in started(argv)):
        return None
    asked = ((name, cloud) for name, cloud in _CLOUDS.items() if environ.get(name, "").lower() not in _OFF)
    return next((each for each in asked if each[0] not in given), None)
