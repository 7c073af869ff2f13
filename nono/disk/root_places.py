"""Find the places where OpenSSL looks for trusted root certificates."""

from __future__ import annotations

from nono.named_tuple import NamedTuple


class OpensslPlaces(NamedTuple):
    """A file and a search path of directories, each with the variable that overrides it."""

    file_variable: str
    file: str
    directories_variable: str
    directories: str


def of_openssl() -> OpensslPlaces:
    """Return the places compiled into the OpenSSL of this Python."""
    import _ssl  # ssl makes enums of all its constants: 5 ms of a start

    return OpensslPlaces(*_ssl.get_default_verify_paths())
