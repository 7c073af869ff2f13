"""Find the hosts that the files of a project name for its packages, submodules and remotes."""

from __future__ import annotations

import re
from collections.abc import Mapping

from nono.policy.hosts.hostname import HostError, canonical_host

MAX_HOSTS = 20
_URL = r"(?:git\+)?(?:https?|ssh|git)://(?:[^/\s\"'@]{1,200}@)?([A-Za-z0-9._-]{1,253})"

# What precedes the URL of something to be fetched. Other URLs are home pages.
_BEFORE = {
    "package-lock.json": r'"resolved":\s{0,8}"',
    "npm-shrinkwrap.json": r'"resolved":\s{0,8}"',
    "yarn.lock": r'\bresolved "',
    "pnpm-lock.yaml": r"\btarball: ",
    ".npmrc": r"\bregistry\s{0,8}=\s{0,8}",
    "uv.lock": r'\b(?:registry|url|git) = "',
    "poetry.lock": r'\burl = "',
    "Pipfile": r'\burl\s{0,8}=\s{0,8}"',
    "requirements.txt": r"(?:--(?:extra-)?index-url[ =]|-i |@ |^)",
    "Cargo.lock": r'\bsource = "(?:registry\+|sparse\+|(?=git\+))',
    ".gitmodules": r"\burl = ",
    ".git/config": r"\burl = ",
}
# git's short form of ssh: user@host:path.
_SCP = re.compile(r"\burl = (?:[\w.-]{1,64}@)([A-Za-z0-9.-]{1,253}):(?!//)", re.MULTILINE)

FILES = tuple(_BEFORE)


def hosts_named(texts: Mapping[str, str]) -> dict[str, str]:
    """Return the hosts, each with the first file that names it. `texts`: files by their names in FILES."""
    found: dict[str, str] = {}
    for name, text in texts.items():
        spelled = re.findall(f"{_BEFORE[name]}{_URL}", text, re.MULTILINE)
        if name in (".gitmodules", ".git/config"):
            spelled += _SCP.findall(text)
        for host in dict.fromkeys(spelled):
            try:
                found.setdefault(canonical_host(host), name)
            except HostError:
                continue
    return dict([*found.items()][:MAX_HOSTS])
