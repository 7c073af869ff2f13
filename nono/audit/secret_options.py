"""Find the values of options that hold a password or a token in one program, and something else in others."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from nono.named_tuple import NamedTuple


class _Options(NamedTuple):
    """The options of one program whose value is secret. Case matters."""

    long: frozenset[str] = frozenset()  # the value follows, as the next word or behind "="
    short: str = ""  # the value follows, as the next word or in the same one
    before: str = ""  # letters without a value, which may stand before one of `short` in a word
    glued: str = ""  # the value is in the same word only: `mysql -p DATABASE` asks for the password
    subcommand: str | None = None  # the options mean that behind this word only
    starts_another: bool = False  # the first operand is a program, whose options are its own


_CURL = _Options(
    frozenset(("--user", "--proxy-user", "--oauth2-bearer", "--pass", "--proxy-pass", "--tlspassword")),
    "uU",
    "#0123456:BGIJLMNORSVZafgijklnpqsv",
)
_GLUED = _Options(glued="p")
_HTTPIE = _Options(short="a")
_LDAP = _Options(short="w")
_LOGIN = _Options(short="p", subcommand="login")
_MONGO = _Options(short="p")
_ZIP = _Options(short="P")

_PROGRAMS = {
    "7z": _GLUED,
    "az": _LOGIN,
    "curl": _CURL,
    "docker": _LOGIN,
    "gitlab": _Options(frozenset(("--private-token",))),
    "gpg": _Options(frozenset(("--passphrase",))),
    "helm": _LOGIN,
    "http": _HTTPIE,
    "https": _HTTPIE,
    "ldapadd": _LDAP,
    "ldapmodify": _LDAP,
    "ldapsearch": _LDAP,
    "mariadb": _GLUED,
    "mariadb-admin": _GLUED,
    "mariadb-dump": _GLUED,
    "mongodump": _MONGO,
    "mongorestore": _MONGO,
    "mongosh": _MONGO,
    "mysql": _GLUED,
    "mysqladmin": _GLUED,
    "mysqldump": _GLUED,
    "oc": _LOGIN,
    "openssl": _Options(frozenset(("-pass", "-passin", "-passout"))),
    "podman": _LOGIN,
    "redis-cli": _Options(frozenset(("--pass",)), "a"),
    "s3cmd": _Options(frozenset(("--secret_key", "--access_token"))),
    "sqlcmd": _Options(short="P"),
    "ssh-keygen": _Options(short="NP"),
    "sshpass": _Options(short="p", starts_another=True),
    "twine": _Options(short="p"),
    "unzip": _ZIP,
    "wget": _Options(frozenset(("--http-password", "--ftp-password", "--proxy-password"))),
    "zip": _ZIP,
}


def secret_values(words: Sequence[str]) -> Iterator[tuple[int, int]]:
    """Yield the number of each word with a secret value, and where in it the value begins.

    A program counts wherever it stands, because `env`, `timeout`, `sudo` and others start one.
    """
    options: _Options | None = None
    has_subcommand = value_follows = False
    for number, word in enumerate(words):
        if value_follows:
            yield number, 0
            value_follows = False
        elif word.startswith("-"):
            begin = _value_begin(word, options) if options is not None and has_subcommand else None
            value_follows = begin == len(word) and not word.endswith("=")
            if begin is not None and begin < len(word):
                yield number, begin
        elif "://" not in word and (named := _PROGRAMS.get(word.rpartition("/")[2])) is not None:
            options, has_subcommand = named, named.subcommand is None
        elif options is not None:
            has_subcommand |= word == options.subcommand
            options = None if options.starts_another else options


def names_program(text: str) -> bool:
    """Return True if `text` may hold one of the programs."""
    return any(name in text for name in _PROGRAMS)


def _value_begin(word: str, options: _Options) -> int | None:
    """Return where the secret value of an option begins; None if it has none.

    At the end of the word, the value is the next one.
    """
    name, equals, _ = word.partition("=")
    if name in options.long:
        return len(name) + len(equals)
    if word.startswith("--"):
        return None
    letter = word[1:2]
    if letter and letter in options.glued:
        return 2 if len(word) > 2 else None
    rest = word[1:].lstrip(options.before or "-")
    return len(word) - len(rest) + 1 if rest[:1] and rest[0] in options.short else None
