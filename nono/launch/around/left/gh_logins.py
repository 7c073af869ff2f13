"""Say that gh, GitHub's command line, has kept a token inside, where its login is not captured."""

from __future__ import annotations

import re
from collections.abc import Iterator

from nono.disk.regular_file import read_regular_file
from nono.printable import shell_word

MAX_BYTES = 64 * 1024
_HOST = re.compile(r"([A-Za-z0-9.-]+):\s*$")
_TOKEN = re.compile(r"""\s+oauth_token:\s*["']?(?!nono_)\w""")  # a placeholder begins with nono_


def told(file: str) -> Iterator[str]:
    """Yield a sentence about each host for which the command has left a token in gh's hosts.yml."""
    try:
        text = read_regular_file(file, MAX_BYTES).decode("utf-8", "replace")
    except OSError:
        return
    for host in hosts_with_token(text):
        yield (
            f"gh has kept a token of {host} in {shell_word(file)}, where commands in this directory can read "
            "it; `gh auth logout` inside removes it, and a login in `nono run --profile gh` is kept outside"
        )


def hosts_with_token(text: str) -> list[str]:
    """Return the hosts for which the text of a hosts.yml has a token, each once."""
    found, host = dict[str, None](), None
    for line in text.splitlines():
        if named := _HOST.match(line):
            host = named[1]
        elif host is not None and _TOKEN.match(line):
            found[host] = None
    return [*found]
