"""Look up whose a user id is that its number does not tell (subuid(5), passwd(5))."""

from __future__ import annotations

PATH = "/etc/subuid"
_READ_BYTES = 1024 * 1024
_NO_LOGIN = ("nologin", "false")  # the shells of accounts that are no person's


def owner_of(uid: int) -> int | None:
    """Return the user whose programs may have this id: it is delegated to that user, or an account's own.

    None: as far as this machine knows, it is nobody's who logs in.
    """
    try:
        with open(PATH, "rb", buffering=0) as file:
            delegated_to = owner_listed_in(file.read(_READ_BYTES), uid)
    except OSError:
        delegated_to = None
    return _uid_of(delegated_to) if delegated_to is not None else _own(uid)


def owner_listed_in(subuid: bytes, uid: int) -> str | None:
    """Return the name, or the id, of the user to whom the lines of a subuid file delegate `uid`."""
    for line in subuid.decode("utf-8", "surrogateescape").splitlines():
        owner, _, span = line.partition(":")
        first, _, count = span.partition(":")
        if _is_number(first) and _is_number(count) and 0 <= uid - int(first) < int(count):
            return owner
    return None


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= 10


def _uid_of(owner: str) -> int | None:
    # Imported here: hardly any run has to know.
    import pwd

    try:
        return int(owner) if _is_number(owner) else pwd.getpwnam(owner).pw_uid
    except (KeyError, ValueError):
        return None


def _own(uid: int) -> int | None:
    import pwd

    try:
        shell = pwd.getpwuid(uid).pw_shell
    except (KeyError, OverflowError):
        return None
    return None if shell.endswith(_NO_LOGIN) else uid
