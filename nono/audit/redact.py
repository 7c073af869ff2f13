"""Remove likely secrets from command lines before they are recorded or shown."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence, Set

from nono.audit.secret_options import names_program, secret_values
from nono.named_tuple import NamedTuple
from nono.policy.environment.secret_values import without_tokens

TYPE_CHECKING = False
if TYPE_CHECKING:
    from nono.settings.user_config import RedactionNames

REDACTED = "[REDACTED]"

# All names are compared case-insensitively.
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
    "ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN",
    "AZURE_OPENAI_API_KEY", "CEREBRAS_API_KEY", "CLAUDE_CODE_OAUTH_TOKEN", "CODEX_API_KEY",
    "COHERE_API_KEY", "CO_API_KEY", "DEEPSEEK_API_KEY", "FIREWORKS_AI_API_KEY", "FIREWORKS_API_KEY",
    "GEMINI_API_KEY", "GH_TOKEN", "GITHUB_TOKEN", "GITLAB_TOKEN", "GOOGLE_API_KEY", "GROQ_API_KEY",
    "HUGGINGFACE_API_TOKEN", "MISTRAL_API_KEY", "NONO_PROXY_TOKEN", "OPENAI_API_KEY", "OPENROUTER_API_KEY",
    "PERPLEXITYAI_API_KEY", "PERPLEXITY_API_KEY", "TOGETHER_API_KEY", "XAI_API_KEY",
)  # fmt: skip


class Redaction(NamedTuple):
    """The names that mark secrets."""

    flags: tuple[str, ...] = FLAGS
    headers: tuple[str, ...] = HEADERS
    query_keys: tuple[str, ...] = QUERY_KEYS
    env_names: tuple[str, ...] = ENV_NAMES

    def difference(self) -> dict[str, list[str]]:
        """Return the names added to and removed from the usual ones, for the audit log."""
        found = {}
        for field, names in self._asdict().items():
            usual = self._field_defaults[field]
            found[f"added_{field}"] = [name for name in names if name not in usual]
            found[f"removed_{field}"] = [name for name in usual if name not in names]
        return {title: names for title, names in found.items() if names}


USUAL = Redaction()


def redaction_of(names: RedactionNames) -> Redaction:
    """Return the usual names plus those a person adds and minus those they remove."""
    return Redaction(
        *(
            _changed(usual, getattr(names, f"add_{field}"), getattr(names, f"remove_{field}"))
            for field, usual in USUAL._asdict().items()
        )
    )


def _changed(usual: tuple[str, ...], added: Sequence[str], removed: Sequence[str]) -> tuple[str, ...]:
    gone = {name.strip().lower() for name in removed}
    names = {name.lower(): name for name in usual if name.lower() not in gone}
    for name in map(str.strip, added):
        names.setdefault(name.lower(), name)
    return tuple(names.values())


def redact_argv(argv: Sequence[str], redaction: Redaction = USUAL) -> list[str]:
    """Replace each secret in a command line by ``[REDACTED]``; the number of arguments stays the same.

    Each argument is also searched as text, because `sh -c '...'` carries a whole command line in one.
    """
    flags = {flag.lower() for flag in redaction.flags}
    redacted: list[str] = []
    value_follows = False
    for argument in argv:
        redacted.append(REDACTED if value_follows else _redact_argument(argument, flags, redaction))
        value_follows = not value_follows and argument.lower() in flags
    for number, begin in secret_values(argv):
        redacted[number] = argv[number][:begin] + REDACTED
    return redacted


def _redact_argument(argument: str, flags: Set[str], redaction: Redaction) -> str:
    flag, equals, _ = argument.partition("=")
    if equals and flag.lower() in flags:
        return f"{flag}={REDACTED}"  # to the end of the argument, including blanks
    return redact_text(argument, redaction)


def redact_text(text: str, redaction: Redaction = USUAL) -> str:
    """Redact free text: providers' tokens, URLs, `Name: value` headers, `NAME=value` assignments,
    `name: value` of JSON and YAML, flags.

    What is assigned to a name that suggests a secret is redacted too, unless a person has removed that name.
    """
    text = without_tokens(text, REDACTED)
    # Most arguments end here: importing re and compiling the patterns takes longer than many commands.
    if not any(mark in text for mark in _MARKS):
        return text
    text = _without_secret_options(text)
    text = _without_secret_assignments(text, redaction)
    if not _holds_name(text, redaction):
        return text
    # Imported here, as below: most runs type nothing that is searched.
    import re

    text = re.sub(_USERINFO, rf"\g<1>{REDACTED}@", text)
    for pattern in _patterns(redaction):
        text = re.sub(pattern, rf"\g<1>{REDACTED}", text, flags=re.IGNORECASE)
    return text


def _without_secret_assignments(text: str, redaction: Redaction) -> str:
    has_members = any(mark in text for mark in _MEMBER_MARKS)
    if "=" not in text and not has_members:
        return text
    from nono.policy.environment.secret_assignments import plain, secret_assignments, secret_members

    removed = _removed_from(redaction)
    text = _without(text, secret_assignments(text, removed))
    if not has_members:
        return text
    # Settings in JSON hold headers: {"Authorization": "Bearer x"}.
    return _without(text, secret_members(text, removed, {*map(plain, redaction.headers)}))


def _without(text: str, spans: Iterable[tuple[int, int]]) -> str:
    kept, at = [], 0
    for start, end in spans:
        kept.append(text[at:start])
        at = end
    return REDACTED.join((*kept, text[at:]))


def _removed_from(redaction: Redaction) -> set[str]:
    """Return the usual names of any kind that a person has taken away, as `plain` spells them."""
    if redaction == USUAL:
        return set()
    from nono.policy.environment.secret_assignments import plain

    kinds = zip(USUAL, redaction, strict=True)
    return {name for usual, names in kinds for name in {*map(plain, usual)}.difference(map(plain, names))}


def _without_secret_options(text: str) -> str:
    """Redact the values of known programs' options, in a text that may hold commands of a shell."""
    if " -" not in text or not names_program(text):
        return text
    import re

    kept, at = [], 0
    for command in re.finditer(_COMMAND, text):
        words = [*re.finditer(_COMMAND_WORD, command[0])]
        for number, begin in secret_values([word[0] for word in words]):
            start, end = words[number].span()
            kept.append(text[at : command.start() + start + begin])
            at = command.start() + end
    return REDACTED.join((*kept, text[at:]))


def _holds_name(text: str, redaction: Redaction) -> bool:
    """Return False if no pattern can match: `text` has no user information, and no name with its mark.

    What is not ASCII counts as a name: re.IGNORECASE takes a long s for an s.
    """
    if "://" in text or not text.isascii():
        return True
    lowered = text.lower()
    return any(
        mark in text and any(not name.isascii() or name.lower() in lowered for name in names)
        for mark, names in zip(_BEHIND_NAMES, redaction, strict=True)
    )


def _patterns(redaction: Redaction) -> Iterator[str]:
    """Yield patterns whose first group is the text before the secret."""
    flags, headers, query_keys, env_names = map(_any_of, redaction)
    # RFC 3986 section 3.4; `;` also separates pairs, and implicit OAuth replies use the fragment.
    yield rf"([?&;#]{query_keys}=)[^\s&;#\"']+"
    # To the end of the line or of the quoted word: a Cookie's value contains blanks.
    # curl also accepts -HName:value.
    yield rf"((?:(?<![\w-])|(?<=-H)){headers}\s*:[ \t]*)[^\r\n\"']+"
    yield rf"((?<!\w){env_names}=){_WORD}"
    yield rf"((?<![\w-]){flags}(?:=|\s+)){_WORD}"


def _any_of(names: Iterable[str]) -> str:
    """Return a pattern for any of the names, which never matches if there are none."""
    import re

    return "(?:" + ("|".join(re.escape(name) for name in names) or r"(?!)") + ")"


# Every pattern needs one of these characters, which include the blanks.
_MARKS = (":", "=", "@", " ", "\t", "\n", "\r", "\v", "\f")

# What the colon of a member of JSON or YAML stands beside. URLs and addresses have none of these.
_MEMBER_MARKS = (": ", ":\t", ':"', ":'", '":', "':", '" :', "' :", ":\\")

# What else a pattern needs besides a flag, a header, a key of a query or a variable.
_BEHIND_NAMES = ("", ":", "=", "=")

# A command up to an operator of the shell, and its words, which may be quoted in parts.
_COMMAND = r"""(?:"[^"]*"?|'[^']*'?|[^;|&()\r\n"'])+"""
_COMMAND_WORD = r"""(?:"[^"]*"?|'[^']*'?|[^\s"'])+"""

# A shell word: quoted as a whole, or up to the next blank or quote.
_WORD = r"""(?:"[^"]*"?|'[^']*'?|[^\s"']+)"""

# RFC 3986 section 3.2.1. Everything up to the last @ before the path, because `u:p@ss@host` occurs too. The
# scheme is not matched: a pattern that begins with it takes quadratic time in a long argument.
_USERINFO = r"(://)[^\s/?#\"']*@"
