"""Takes what is likely a secret out of command lines before they are recorded or shown."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

REDACTED = "[REDACTED]"

# All names are compared without regard to case.
FLAGS = (
    "--token", "--password", "--api-key", "--apikey", "--secret", "--auth", "--bearer", "--access-token",
    "--client-secret",
)  # fmt: skip
HEADERS = ("authorization", "proxy-authorization", "x-api-key", "x-auth-token", "cookie", "set-cookie")
QUERY_KEYS = (
    "token", "access_token", "api_key", "apikey", "key", "secret", "password", "code", "state", "nonce",
    "client_secret",
)  # fmt: skip
ENV_NAMES = (
    "ANTHROPIC_API_KEY", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AZURE_OPENAI_API_KEY",
    "COHERE_API_KEY", "GEMINI_API_KEY", "GH_TOKEN", "GITHUB_TOKEN", "GITLAB_TOKEN", "GOOGLE_API_KEY",
    "HUGGINGFACE_API_TOKEN", "MISTRAL_API_KEY", "NONO_PROXY_TOKEN", "OPENAI_API_KEY", "TOGETHER_API_KEY",
)  # fmt: skip


def redact_argv(argv: Sequence[str]) -> list[str]:
    """The command line with each secret it names replaced by ``[REDACTED]``; as many arguments as before.

    An argument is searched as text too, because `sh -c '...'` carries a whole command line in one.
    """
    redacted: list[str] = []
    value_follows = False
    for argument in argv:
        redacted.append(REDACTED if value_follows else _redact_argument(argument))
        value_follows = not value_follows and argument.lower() in FLAGS
    return redacted


def _redact_argument(argument: str) -> str:
    flag, equals, _ = argument.partition("=")
    if equals and flag.lower() in FLAGS:
        return f"{flag}={REDACTED}"  # to the end of the argument, blanks and all
    return redact_text(argument)


def redact_text(text: str) -> str:
    """The same for free text: URLs, `Name: value` headers, `NAME=value` assignments and flags."""
    if not any(mark in text for mark in _MARKS):
        return text  # most arguments; compiling the patterns takes longer than many a command
    text = re.sub(_USERINFO, rf"\g<1>{REDACTED}@", text)
    for pattern in (_QUERY, _HEADER, _ASSIGNMENT, _FLAG):
        text = re.sub(pattern, rf"\g<1>{REDACTED}", text, flags=re.IGNORECASE)
    return text


def _any_of(names: Iterable[str]) -> str:
    return "(?:" + "|".join(re.escape(name) for name in names) + ")"


# Every pattern below asks for one of these, or for a blank.
_MARKS = (":", "=", "@", " ", "\t", "\n", "\r", "\v", "\f")

# A shell word: quoted as a whole, or up to the next blank or quote.
_WORD = r"""(?:"[^"]*"?|'[^']*'?|[^\s"']+)"""

# RFC 3986 section 3.2.1. Everything up to the last @ before the path: `u:p@ss@host` is written that way too.
# The scheme itself is not looked at: a pattern that begins with it is quadratic in a long argument.
_USERINFO = r"(://)[^\s/?#\"']*@"
# RFC 3986 section 3.4; `;` separates pairs as well, and implicit OAuth replies use the fragment.
_QUERY = rf"([?&;#]{_any_of(QUERY_KEYS)}=)[^\s&;#\"']+"
# To the end of the line or of the quoted word: a Cookie's value holds blanks. curl takes -HName:value too.
_HEADER = rf"((?:(?<![\w-])|(?<=-H)){_any_of(HEADERS)}\s*:[ \t]*)[^\r\n\"']+"
_ASSIGNMENT = rf"((?<!\w){_any_of(ENV_NAMES)}=){_WORD}"
_FLAG = rf"((?<![\w-]){_any_of(FLAGS)}(?:=|\s+)){_WORD}"
