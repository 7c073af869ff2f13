"""Recognise secret values by their shape: tokens of known providers, connection strings, keys.

This avoids re and string, which a run without a profile does not import.
"""

from collections.abc import Collection, Iterator, Sequence

from nono.named_tuple import NamedTuple

_BASE62 = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789")
_URL_SAFE = _BASE62 | {"_", "-"}

PROVIDER_TOKEN = "it has the shape of a provider's token"
URL_PASSWORD = "it holds a URL with a password"
CONNECTION_PASSWORD = "it is a connection string with a password"
PRIVATE_KEY = "it holds a private key"


class _Shape(NamedTuple):
    """A prefix, then at least `least` characters of the alphabet, which are no words."""

    prefix: str
    least: int
    alphabet: frozenset[str] = _BASE62


# From the providers' documentation and the rules of public secret scanners.
_SHAPES = (
    _Shape("sk-", 20, _URL_SAFE),  # OpenAI, Anthropic, OpenRouter, DeepSeek
    _Shape("sk_", 20, _URL_SAFE),  # Stripe, ElevenLabs
    _Shape("rk_", 20, _URL_SAFE),
    *(_Shape(prefix, 30) for prefix in ("ghp_", "gho_", "ghs_", "ghu_", "ghr_")),
    _Shape("github_pat_", 22, _URL_SAFE),
    *(_Shape(prefix, 20, _URL_SAFE) for prefix in ("glpat-", "gldt-", "glrt-", "glptt-")),
    _Shape("AIza", 30, _URL_SAFE),  # Google
    _Shape("ya29.", 20, _URL_SAFE),
    _Shape("GOCSPX-", 20, _URL_SAFE),
    _Shape("AKIA", 16),  # AWS
    _Shape("ASIA", 16),
    *(_Shape(f"xox{kind}-", 10, _URL_SAFE) for kind in "abeprs"),  # Slack
    _Shape("xapp-", 10, _URL_SAFE),
    _Shape("hf_", 30),
    _Shape("npm_", 36),
    _Shape("pypi-", 40, _URL_SAFE),
    _Shape("rubygems_", 40),
    _Shape("dckr_pat_", 20, _URL_SAFE),
    _Shape("dop_v1_", 40),
    _Shape("gsk_", 40),  # Groq
    _Shape("xai-", 40),
    _Shape("pplx-", 40),
    _Shape("nvapi-", 40, _URL_SAFE),
    _Shape("r8_", 36),  # Replicate
    _Shape("SG.", 20, _URL_SAFE),  # SendGrid
    _Shape("glsa_", 30, _URL_SAFE),  # Grafana
    _Shape("hvs.", 20, _URL_SAFE),  # Vault
    _Shape("shpat_", 30),
    _Shape("lin_api_", 30),
    _Shape("tskey-", 20, _URL_SAFE),
)  # fmt: skip
_SHORTEST = min(len(shape.prefix) + shape.least for shape in _SHAPES)

_IN_PATHS = _URL_SAFE | {"/", ".", ":"}
_IN_JWTS = _URL_SAFE | {"."}
# The path of a webhook is its secret.
_WEBHOOKS = ("hooks.slack.com/services/", "discord.com/api/webhooks/")
# ODBC, libpq, JDBC and query strings; Azure's connection strings.
_ASSIGNMENTS = ("password=", "passwd=", "pwd=", "accountkey=", "sharedaccesskey=", "sharedaccesssignature=")
_SEPARATORS = frozenset(";?& \t\n'\"")
_ENCODED_BEGIN = "LS0tLS1CRUdJTi"  # -----BEGIN and a blank, in base64


def secret_in(value: str) -> str | None:
    """Return why the value is taken for a secret, without quoting it; None if it is not."""
    if ("-----BEGIN" in value and "PRIVATE KEY" in value) or _is_encoded_key(value):
        return PRIVATE_KEY
    if "://" in value and "@" in value:
        pieces = value.split("://")
        if any(map(_has_password, pieces[1:], pieces)):
            return URL_PASSWORD
    if "=" in value and _assigns_password(value.lower()):
        return CONNECTION_PASSWORD
    return PROVIDER_TOKEN if _holds_token(value) else None


def _is_encoded_key(value: str) -> bool:
    """Check for a private key in PEM in base64, in which variables of CI keep it: it has no line ends."""
    start = value.find(_ENCODED_BEGIN)
    if start < 0:
        return False
    # Imported here: few values begin so.
    from binascii import a2b_base64

    try:
        return b"PRIVATE KEY" in a2b_base64(value[start : start + 64])
    except ValueError:
        return False


def key_arguments(argv: Sequence[str]) -> list[int]:
    """Return the positions of arguments that hold a provider's token or a private key."""
    return [n for n, text in enumerate(argv) if secret_in(text) in (PROVIDER_TOKEN, PRIVATE_KEY)]


def without_tokens(text: str, instead: str) -> str:
    """Return `text` with each provider's token and JWT, path of a webhook and private key replaced."""
    if len(text) < _SHORTEST:
        return text
    kept, at = [], 0
    for start, end in sorted(_secrets(text)):
        if start >= at:
            kept += [text[at:start], instead]
        at = max(at, end)
    return "".join((*kept, text[at:]))


def _secrets(text: str) -> Iterator[tuple[int, int]]:
    """Yield where secrets that secret_in() takes for tokens or keys begin and end."""
    if "-----BEGIN" in text and "PRIVATE KEY" in text:
        yield text.find("-----BEGIN"), len(text)
    for webhook in _WEBHOOKS:
        yield from ((at + len(webhook), end) for at, end in _words(text, webhook, _IN_PATHS))
    if ".eyJ" in text:
        yield from (each for each in _words(text, "eyJ", _IN_JWTS) if ".eyJ" in text[slice(*each)])
    for shape in _SHAPES:
        yield from _tokens(text, shape)


def _words(text: str, beginning: str, alphabet: Collection[str]) -> Iterator[tuple[int, int]]:
    """Yield where words that begin so begin and end, one after the other: in linear time."""
    at = text.find(beginning)
    while at >= 0:
        end = _end(text, at, alphabet)
        yield at, end
        at = text.find(beginning, end)


def _end(text: str, start: int, alphabet: Collection[str]) -> int:
    return next((at for at in range(start, len(text)) if text[at] not in alphabet), len(text))


def _has_password(after: str, before: str) -> bool:
    """Return True if the text after ``://`` begins with ``user:password@`` (RFC 3986 section 3.2.1)."""
    word = after.split(maxsplit=1)[0] if after and not after[0].isspace() else ""
    authority = word
    for end in "/?#\"'":
        authority = authority.partition(end)[0]
    if "@" in authority:
        user, colon, password = authority.rpartition("@")[0].partition(":")
        host = authority.rpartition("@")[2]
        return bool(colon and password) and not _is_own_proxy(before, user, host)
    # A password with an unescaped slash, which some clients accept. Otherwise a port follows the colon.
    _, colon, rest = authority.partition(":")
    is_port = not rest or rest.isdecimal() or authority.startswith("[")
    return bool(colon) and not is_port and "@" in word


def _is_own_proxy(before: str, user: str, host: str) -> bool:
    """Recognise the proxy of an outer nono, whose token is worthless anywhere else."""
    return before.endswith("http") and user == "nono" and host.startswith(("127.0.0.1:", "[::1]:"))


def _assigns_password(lowered: str) -> bool:
    for name in _ASSIGNMENTS:
        at = lowered.find(name)
        while at >= 0:
            follows = lowered[at + len(name) : at + len(name) + 1]
            if (at == 0 or lowered[at - 1] in _SEPARATORS) and follows and follows not in _SEPARATORS:
                return True
            at = lowered.find(name, at + 1)
    return False


def _holds_token(value: str) -> bool:
    if len(value) < _SHORTEST:
        return False
    if any(webhook in value for webhook in _WEBHOOKS) or ("eyJ" in value and ".eyJ" in value):  # a JWT
        return True
    return any(True for shape in _SHAPES for _ in _tokens(value, shape))


def _tokens(value: str, shape: _Shape) -> Iterator[tuple[int, int]]:
    """Yield where tokens of a shape begin and end."""
    at = value.find(shape.prefix)
    while at >= 0:
        start = at + len(shape.prefix)
        if at == 0 or value[at - 1] not in _URL_SAFE:
            end = _end(value, start, shape.alphabet)
            if end - start >= shape.least and _is_random(value[start:end]):
                yield at, end
        at = value.find(shape.prefix, start)


def _is_random(text: str) -> bool:
    """Return True if a digit, or letters of both cases, tell `text` from words.

    One of GitLab's tokens in 30 has no digit.
    """
    return any(map(str.isdecimal, text)) or text not in (text.lower(), text.upper())
