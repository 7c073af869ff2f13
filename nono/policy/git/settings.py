"""Find the settings of a git repository that make git run a program (git-config(1))."""

from __future__ import annotations

import re
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
    # The others are of Git Credential Manager.
    "credential": ("bitbuckethelper", "githubhelper", "gitlabhelper", "helper", "uihelper"),
    "delta": ("pager",),  # dandavison/delta, often core.pager
    "diff": ("command", "external", "guitool", "textconv", "tool"),
    "difftool": ("cmd", "path"),
    "filter": ("clean", "process", "smudge"),
    "gc": ("recentobjectshook",),
    "gitflow": ("hooks",),
    "gpg": ("program", "defaultkeycommand"),
    "guitool": ("cmd",),
    "hook": ("command",),
    "imap": ("tunnel",),
    "include": ("path",),  # includes more settings
    "includeif": ("path",),
    "init": ("templatedir",),
    "instaweb": ("browser", "gitwebdir", "httpd", "modulepath"),
    "interactive": ("difffilter",),
    "lfs": ("clean", "path", "smudge"),  # git-lfs-config(5)
    "man": ("cmd", "path"),
    "merge": ("driver", "guitool", "tool"),
    "mergetool": ("cmd", "layout", "path"),  # a shell evaluates the layout for Vim
    "pager": ("*",),
    "protocol": ("allow",),
    "receive": ("*",),
    "remote": ("receivepack", "uploadpack", "vcs"),
    "secrets": ("providers",),  # awslabs/git-secrets
    "sendemail": ("*",),
    "sequence": ("editor",),
    "submodule": ("update",),
    "svn": ("authorsprog",),
    "tar": ("command",),
    "tig": ("*",),
    "trailer": ("cmd", "command"),
    "uploadpack": ("packobjectshook",),
    "web": ("browser",),
}  # fmt: skip
# What git-annex and others call settings of theirs that a shell runs, as git does itself.
_NAMED_FOR_PROGRAMS = ("cmd", "command", "editor", "hook", "pager", "program")
# Settings that name another repository. Where that is a directory, git runs its hooks.
_LEAD = {
    "branch": ("pushremote", "remote"),
    "remote": ("pushdefault", "pushurl", "url"),
    "url": ("insteadof", "pushinsteadof"),
}
# Settings by which git may give a password to another machine, or take a file from one: curl writes the
# cookies of whatever machine git speaks with to the file that http.cookieFile names. By those of Git
# Credential Manager and git-credential-oauth, they send a refresh token elsewhere, show a person the page or
# the code of another login, or write passwords to a file or a socket that they name.
_EXPOSE = {
    "credential": (
        "allowunsaferemotes", "cacheoptions", "credentialstore", "httpproxy", "oauthauthorizeendpoint",
        "oauthauthurl", "oauthdeviceauthurl", "oauthdeviceendpoint", "oauthtokenendpoint", "oauthtokenurl",
        "plaintextstorepath", "protectprotocol", "sanitizeprompt", "trace", "tracesecrets",
    ),
    "http": (
        "cookiefile", "curloptresolve", "delegation", "emptyauth", "proxy", "proxysslcainfo", "savecookies",
        "sslcainfo", "sslcapath", "sslverify",
    ),
    "imap": ("host", "sslverify"),
    "remote": ("proxy",),
}  # fmt: skip
# Without "=" a switch is on, with nothing behind it off; here both read as nothing.
_STRICT = frozenset(
    [
        (name, on)
        for name in ("protectprotocol", "sanitizeprompt", "sslverify")
        for on in ("true", "yes", "on", "1")
    ]
    + [
        (name, off)
        for name in ("allowunsaferemotes", "emptyauth", "savecookies", "trace", "tracesecrets")
        for off in ("false", "no", "off", "0")
    ]
)
_PUSHED = frozenset({"pushdefault", "pushremote", "remote"})
_SWITCHES = frozenset({"", "true", "false", "yes", "no", "on", "off", "0", "1"})
# These may be switches instead. Anywhere else, a program or directory may be called "on".
_SWITCHED = frozenset({"core.fsmonitor", "pager.*", "receive.*", "sendemail.*", "tig.*"})
_TOOLS = ("guitool", "tool")  # names of files of git, which a shell reads: with a slash, of any file
# A line with those that continue it, until its comment; then the comment, which no line continues (config.c).
_NAMES_CHARACTERS_MAX = 64 << 20
_LINE = re.compile(r'((?:[^"\\\n#;]++|"(?:[^"\\\n]++|\\[\s\S])*+"|\\[\s\S]|")*+)([^\n]*+)(?:\n|\Z)')
_QUOTES = re.compile(r'\\(.)|"')
_HEADER = re.compile(r'\s*+\[([^]\s"]*+)\s*+(?:"((?:\\.|[^"\\])*+)")?+\s*+\]')

Setting = tuple[str, str]


def newly_run(before: str, after: str) -> tuple[str, ...]:
    """Return the names of settings that run programs and are new or changed in `after`, each once."""
    new = Counter(programs_of(after)) - Counter(programs_of(before))
    return tuple(dict.fromkeys(name for name, _ in new))


def newly_exposing(before: str, after: str) -> tuple[str, ...]:
    """Return the names of settings, new or changed in `after`, by which a password may go elsewhere."""
    new = Counter(exposing(after)) - Counter(exposing(before))
    return tuple(dict.fromkeys(name for name, _ in new))


def no_longer_run(before: str, after: str) -> tuple[str, ...]:
    """Return the names of settings that run programs in `before` and are not, or switched off, in `after`."""
    names = {name.lower() for name, _ in programs_of(after)}
    return tuple(dict.fromkeys(name for name, _ in programs_of(before) if name.lower() not in names))


def programs_of(text: str) -> Iterator[Setting]:
    """Yield name and value of each setting in a configuration file that runs a program.

    A push to a repository on this machine runs that repository's hooks.
    """
    remotes = set[str]()
    pushed: list[tuple[str, Setting]] = []  # the remote or path that a push without a name goes to
    for name, value in settings_of(text):
        section, _, rest = name.partition(".")
        lower = section.lower()
        known = _RUN_PROGRAMS.get(lower, ())
        place, _, key = rest.rpartition(".")
        key = key.lower()
        is_named = key.endswith(_NAMED_FOR_PROGRAMS)
        if not known and not is_named and lower not in _LEAD:
            continue
        value = unquoted(value)
        if lower == "remote" and place:
            remotes.add(place)
        if lower in _LEAD and key in _LEAD[lower]:
            if key in _PUSHED:
                pushed.append((value, (name, value)))
            elif _is_here(place if lower == "url" else value):
                yield name, value
            continue
        last = "*" if "*" in known else key
        may_be_switch = f"{lower}.{last}" in _SWITCHED or last not in known
        is_switch = may_be_switch and value.lower() in _SWITCHES
        if last in _TOOLS and "/" not in value:
            continue
        # Without a value nothing is run, but with an empty directory of hooks none of the others either.
        if (last in known or is_named) and not is_switch and (value or last == "hookspath"):
            yield name, value
    yield from (setting for to, setting in pushed if to not in remotes and to != "." and _is_here(to))


def exposing(text: str) -> Iterator[Setting]:
    """Yield name and value of each setting in a configuration file by which a password may go elsewhere."""
    for name, value in settings_of(text):
        section, _, rest = name.partition(".")
        known = _EXPOSE.get(section.lower())
        key = rest.rpartition(".")[2].lower()
        if known is not None and key in known and (key, unquoted(value).lower()) not in _STRICT:
            yield name, unquoted(value)


def _is_here(url: str) -> bool:
    """Check that git takes `url` for a path, or for a helper that it runs (gitremote-helpers(7))."""
    before, colon, _ = url.partition(":")
    if not colon or "/" in before or before == "file":
        return bool(url)
    return url.startswith(f"{before}::") and all(each.isalnum() or each in "+-." for each in before)


def paths_of(text: str, section: str, name: str) -> Iterator[str]:
    """Yield the values of a plain key, or of those of all subsections, without quotes."""
    for full, value in settings_of(text):
        first, _, rest = full.partition(".")
        if first.lower() == section and rest.rpartition(".")[2].lower() == name:
            yield unquoted(value)


def settings_of(text: str) -> Iterator[Setting]:
    """Yield every setting, its value with quotes and escapes. A command may have written a million.

    In a file that git would reject, yields everything that looks like one.
    """
    section = ""
    for found in _LINE.finditer(text.removeprefix("\ufeff").replace("\r\n", "\n")):
        line, place = found[1].replace("\\\n", ""), 0
        while (header := _HEADER.match(line, place)) is not None:
            name, sub = header.groups()
            section = name if sub is None else f"{name}.{unquoted(sub)}"
            place = header.end()
        key, _, value = line[place:].partition("=")
        key = key.strip()
        if key.startswith("["):
            section = key[1:]
        elif key:
            yield f"{section}.{key}", value.strip()


def is_too_large(text: str) -> bool:
    """Return True if the names of all settings would fill the memory: each has that of its section."""
    left = _NAMES_CHARACTERS_MAX
    for name, _ in settings_of(text):
        left -= len(name)
        if left < 0:
            return True
    return False


def unquoted(value: str) -> str:
    """Drop quotes, and the backslash of each escape; those of blanks and control characters do not matter."""
    return _QUOTES.sub(r"\1", value)
