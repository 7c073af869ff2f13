"""Parse a credential reference: the text in a profile that names a secret's place, never the secret."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from nono.credentials.values.shapes import looks_like_key
from nono.errors import CredentialError
from nono.named_tuple import NamedTuple

KEYRING_SERVICE = "nono"  # the service of bare names in the system keyring

_NAME = r"[A-Za-z0-9_][A-Za-z0-9_-]{0,63}"  # a leading dash would read as a flag
_VARIABLE = r"[A-Za-z0-9_]+"
_SCHEME = r"([A-Za-z][A-Za-z0-9+.-]*)://"
_MAX_REFERENCE_BYTES = 1024

# Characters with a meaning in shells. No shell is used here, but a reference that contains one was almost
# certainly meant for a shell.
_FORBIDDEN_IN_PATH = frozenset("\0\n\r;`|$&><")
_FORBIDDEN_IN_ENTRY = frozenset(";|&$`(){}<>!\\\"'\n\r\0")

# Variables that steer a loader or an interpreter: a secret may be neither read from one nor put into one.
STEERING_VARIABLES = frozenset(
    {"LD_PRELOAD", "LD_LIBRARY_PATH", "LD_AUDIT"}
    | {"DYLD_INSERT_LIBRARIES", "DYLD_LIBRARY_PATH", "DYLD_FRAMEWORK_PATH"}
    | {"BASH_ENV", "ENV", "IFS", "CDPATH", "PROMPT_COMMAND", "PATH", "HOME", "SHELL"}
    | {
        "NODE_OPTIONS",
        "NODE_PATH",
        "PYTHONSTARTUP",
        "PYTHONPATH",
        "PERL5OPT",
        "PERL5LIB",
        "RUBYOPT",
        "RUBYLIB",
    }
    | {"JAVA_TOOL_OPTIONS", "_JAVA_OPTIONS", "DOTNET_STARTUP_HOOKS", "GOFLAGS"}
)

_FOREIGN = frozenset({"apple-password", "apple-passwords"})


class EnvironmentReference(NamedTuple):
    """`env://NAME`: a variable of the environment nono was started with."""

    name: str

    def redacted(self) -> str:
        return f"env://{self.name}"


class FileReference(NamedTuple):
    """`file:///abs`: the content of a file."""

    path: str

    def redacted(self) -> str:
        directory, _, _ = self.path.rpartition("/")
        return f"file://{directory}/[REDACTED]"


class KeyringReference(NamedTuple):
    """`keyring://service/account`: an entry of the system keyring, perhaps another program's."""

    service: str
    account: str
    go_keyring: bool = False  # the entry holds `go-keyring-base64:` and the value in base64

    def redacted(self) -> str:
        return f"keyring://{self.service}/<redacted>" + ("?decode=go-keyring" if self.go_keyring else "")


class StoredReference(NamedTuple):
    """A bare name: a value stored by `nono credential set NAME`, embedded or in the system keyring."""

    name: str

    def redacted(self) -> str:
        return self.name

    def in_keyring(self) -> KeyringReference:
        return KeyringReference(KEYRING_SERVICE, self.name)


class OnePasswordReference(NamedTuple):
    """`op://vault/item[/section]/field`: read by 1Password's `op`."""

    path: str  # what follows op://

    def redacted(self) -> str:
        vault, item, *_ = self.path.split("/")
        return f"op://{vault}/{item}/<redacted>"


class BitwardenReference(NamedTuple):
    """`bw://item[/field]`: read by Bitwarden's `bw`."""

    item: str  # its id, or any text by which `bw get` finds exactly one item
    field: str | None = None  # None: the password

    def redacted(self) -> str:
        return "bw://<redacted>" + ("" if self.field is None else f"/{self.field}")


class PassReference(NamedTuple):
    """`pass://path/to/entry`: the first line of an entry of the standard Unix password manager, pass(1)."""

    entry: str

    def redacted(self) -> str:
        directory, slash, _ = self.entry.rpartition("/")
        return f"pass://{directory}{slash}<redacted>"


class CaptureReference(NamedTuple):
    """`cmd://name`: the output of that `credential_capture` command, run when a request needs it."""

    name: str

    def redacted(self) -> str:
        return f"cmd://{self.name}"


CredentialReference = (
    EnvironmentReference
    | FileReference
    | KeyringReference
    | OnePasswordReference
    | BitwardenReference
    | PassReference
    | CaptureReference
    | StoredReference
)

_SCHEMES_HINT = (
    "use env://NAME, file:///path, keyring://service/account, op://vault/item/field, bw://item, "
    "pass://entry, or nono credential set NAME"
)


def parse_reference(text: str) -> CredentialReference:
    """Parse a reference. Raises CredentialError, which names the part that is wrong.

    No message repeats the reference, because people sometimes paste the key itself.
    """
    match = re.match(_SCHEME, text, re.ASCII)
    if match is None:
        return StoredReference(check_name(text))
    scheme, rest = match[1], text[match.end() :]
    if (parse := _PARSERS.get(scheme)) is not None:
        return parse(rest)
    if scheme in _FOREIGN:
        raise CredentialError(f"{scheme}:// credentials exist on macOS only", hint="nono credential set NAME")
    raise CredentialError(
        f"credential reference: unknown scheme {scheme!r}",
        hint=_SCHEMES_HINT,
    )


def check_name(text: str) -> str:
    """Return `text` if it can name a stored credential. Raises CredentialError, which does not quote it."""
    if looks_like_key(text):
        raise CredentialError(
            "a credential is referred to by its name, and this looks like a key itself",
            hint="store the key with: nono credential set NAME, and put NAME here",
        )
    if not re.fullmatch(_NAME, text, re.ASCII):
        raise CredentialError(
            "a credential's name has 1 to 64 letters, digits, '_' or '-', and does not start with '-'"
        )
    return text


def _environment(name: str) -> EnvironmentReference:
    if not re.fullmatch(_VARIABLE, name, re.ASCII):
        raise CredentialError("env:// reference: a variable's name has letters, digits and '_', and no other")
    if name.upper() in STEERING_VARIABLES:
        raise CredentialError(f"env:// reference: {name} steers programs and is no place for a secret")
    return EnvironmentReference(name)


def _file(path: str) -> FileReference:
    if not path.startswith("/"):
        raise CredentialError(
            "file:// reference: the path must be absolute", hint="write file:///home/me/key"
        )
    if not path.strip("/"):
        raise CredentialError("file:// reference: the path is the root directory")
    if ".." in path.split("/"):
        raise CredentialError("file:// reference: the path must not contain '..'")
    _refuse_characters("file:// reference", path, _FORBIDDEN_IN_PATH)
    return FileReference(path)


def _keyring(rest: str) -> KeyringReference:
    where = "keyring:// reference"
    entry, question, query = rest.partition("?")
    if question and query != "decode=go-keyring":
        raise CredentialError(f"{where}: the only query is '?decode=go-keyring'")
    segments = _segments("keyring", entry)
    if len(segments) != 2:
        raise CredentialError(f"{where}: it has a service and an account, as in keyring://service/account")
    return KeyringReference(segments[0], segments[1], go_keyring=bool(question))


def _one_password(rest: str) -> OnePasswordReference:
    segments = _segments("op", rest)
    if not 3 <= len(segments) <= 4:
        raise CredentialError(
            "op:// reference: it has a vault, an item and a field, as in op://vault/item/field"
        )
    return OnePasswordReference(rest)


def _bitwarden(rest: str) -> BitwardenReference:
    where = "bw:// reference"
    segments = _segments("bw", rest)
    if len(segments) > 2:
        raise CredentialError(f"{where}: it has an item and at most a field, as in bw://item/field")
    if "=" in rest:
        raise CredentialError(f"{where}: the character '=' is not allowed")
    _refuse_dash(where, segments)
    return BitwardenReference(*segments)


def _pass(rest: str) -> PassReference:
    where = "pass:// reference"
    segments = _segments("pass", rest)
    if not {".", ".."}.isdisjoint(segments):
        raise CredentialError(f"{where}: the entry must not contain '.' or '..' as a part")
    _refuse_dash(where, segments)
    return PassReference(rest)


def _capture(name: str) -> CaptureReference:
    if not re.fullmatch(_VARIABLE, name, re.ASCII) or looks_like_key(name):
        raise CredentialError("cmd:// reference: a capture's name has letters, digits and '_', and no other")
    return CaptureReference(name)


def _segments(scheme: str, entry: str) -> list[str]:
    """Split an entry of a password manager into parts, none of which may be empty or look like a key."""
    where = f"{scheme}:// reference"
    if len(f"{scheme}://{entry}".encode("utf-8", "surrogateescape")) > _MAX_REFERENCE_BYTES:
        raise CredentialError(f"{where}: longer than {_MAX_REFERENCE_BYTES} bytes")
    if "#" in entry:
        raise CredentialError(f"{where}: a fragment ('#') has no meaning here")
    if "?" in entry:
        raise CredentialError(f"{where}: a query ('?') has no meaning here")
    _refuse_characters(where, entry, _FORBIDDEN_IN_ENTRY)
    segments = entry.split("/")
    if not all(segments):
        raise CredentialError(f"{where}: a part of it is empty")
    if any(looks_like_key(segment) for segment in segments):
        raise CredentialError(f"{where}: a part of it looks like a key itself; name where the key is kept")
    return segments


def _refuse_dash(where: str, segments: list[str]) -> None:
    """Refuse parts that start with '-': a program that ignored `--` would read them as options."""
    if any(segment.startswith("-") for segment in segments):
        raise CredentialError(f"{where}: no part of it may start with '-'")


def _refuse_characters(where: str, text: str, forbidden: frozenset[str]) -> None:
    found = sorted(set(text) & forbidden)
    if found:
        raise CredentialError(f"{where}: the character {found[0]!r} is not allowed")


_PARSERS: Mapping[str, Callable[[str], CredentialReference]] = {
    "env": _environment,
    "file": _file,
    "keyring": _keyring,
    "op": _one_password,
    "bw": _bitwarden,
    "pass": _pass,
    "cmd": _capture,
}
