"""Find the settings of a git repository that make git run a program (git-config(1))."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

# By section and last part of the name; "*" stands for the whole section.
_RUN_PROGRAMS = {
    "alias": ("*",),
    "browser": ("cmd", "path"),
    "core": (
        "alternaterefscommand", "askpass", "editor", "fsmonitor", "gitproxy", "hookspath", "pager",
        "sshcommand",
    ),
    "credential": ("helper",),
    "diff": ("command", "external", "textconv"),
    "difftool": ("cmd", "path"),
    "filter": ("clean", "process", "smudge"),
    "gpg": ("program", "defaultkeycommand"),
    "guitool": ("cmd",),
    "hook": ("command",),
    "imap": ("tunnel",),
    "include": ("path",),  # includes more settings
    "includeif": ("path",),
    "init": ("templatedir",),
    "interactive": ("difffilter",),
    "man": ("cmd", "path"),
    "merge": ("driver",),
    "mergetool": ("cmd", "path"),
    "pager": ("*",),
    "protocol": ("allow",),
    "receive": ("*",),
    "remote": ("receivepack", "uploadpack", "vcs"),
    "sendemail": ("*",),
    "sequence": ("editor",),
    "submodule": ("update",),
    "tar": ("command",),
    "trailer": ("cmd", "command"),
    "uploadpack": ("packobjectshook",),
    "web": ("browser",),
}  # fmt: skip
_SWITCHES = frozenset({"", "true", "false", "yes", "no", "on", "off", "0", "1"})

Setting = tuple[str, str]


def newly_run(before: str, after: str) -> tuple[str, ...]:
    """Return the names of settings that run programs and are new or changed in `after`, each once."""
    new = Counter(programs_of(after)) - Counter(programs_of(before))
    return tuple(dict.fromkeys(name for name, _ in new))


def programs_of(text: str) -> Iterator[Setting]:
    """Yield name and value of each setting in a configuration file that runs a program."""
    for name, value in _settings(text):
        section, _, rest = name.partition(".")
        last = rest.rpartition(".")[2].lower()
        known = _RUN_PROGRAMS.get(section.lower(), ())
        if ("*" in known or last in known) and value.lower() not in _SWITCHES:
            yield name, value


def _settings(text: str) -> Iterator[Setting]:
    """Yield every setting. In a file that git would reject, yield everything that looks like one."""
    section = ""
    joined = text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\\\n", "")
    for line in joined.split("\n"):
        line = line.strip()
        while line.startswith("["):
            header, line = _header(line)
            section = header
        if not line or line[0] in "#;":
            continue
        key, _, value = line.partition("=")
        yield f"{section}.{key.strip()}", value.strip()


def _header(line: str) -> tuple[str, str]:
    """Split ``[section "sub"] rest`` into ``section.sub`` and the rest."""
    is_quoted = False
    for place, letter in enumerate(line):
        if letter == '"' and line[place - 1] != "\\":
            is_quoted = not is_quoted
        elif letter == "]" and not is_quoted:
            section, _, sub = line[1:place].partition(" ")
            return f"{section.strip()}.{sub.strip().strip(chr(34))}".rstrip("."), line[place + 1 :].strip()
    return line[1:], ""
