"""Choose the keyring that answers here among those the `keyring` library knows."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing
from importlib import import_module
from importlib.util import find_spec

TYPE_CHECKING = False
if TYPE_CHECKING:
    from keyring.backend import KeyringBackend

# Named here rather than found by keyring.get_keyring(): that would read keyringrc.cfg from the configuration
# directory, where a `keyring-path` line puts any directory on sys.path. A sandboxed child that may write
# there would run its own code in the next supervisor.
_BACKENDS = (
    "keyring.backends.SecretService.Keyring",
    "keyring.backends.kwallet.DBusKeyring",
    "keyring.backends.libsecret.Keyring",
)
_NAMED = "PYTHON_KEYRING_BACKEND"
# With which the library reaches KWallet and libsecret. A virtual environment has neither.
_KWALLET_BINDING, _LIBSECRET_BINDING = "dbus", "gi"


class Library:
    """A keyring that the library reads."""

    def __init__(self, backend: KeyringBackend) -> None:
        self._backend = backend

    def close(self) -> None:
        """Do nothing: the library connects anew for each call."""

    def accounts(self, attributes: dict[str, str]) -> tuple[str, ...]:
        """Return the user names of the items with these attributes; sorted. Empty if it cannot list them."""
        if not is_secret_service(self._backend):
            return ()
        from nono.credentials.sources import secret_service

        answering = secret_service.connect()
        if answering is None:
            return ()
        with closing(answering):
            return answering.accounts(attributes)

    def password(self, service: str, account: str) -> str | None:
        """Return what is kept under these names, or None. Asks a person to unlock it if it is locked."""
        return self._backend.get_password(service, account)


def is_secret_service(backend: KeyringBackend) -> bool:
    """Return True for the library's backend of the Secret Service."""
    from keyring.backends import SecretService

    return isinstance(backend, SecretService.Keyring)


def prefers_secret_service(environ: Mapping[str, str]) -> bool:
    """Return True if choose() returns the Secret Service wherever there is one."""
    desktops = environ.get("XDG_CURRENT_DESKTOP", "").split(":")
    return not environ.get(_NAMED) and not ("KDE" in desktops and find_spec(_KWALLET_BINDING))


def may_find_another(environ: Mapping[str, str]) -> bool:
    """Return True if choose() may return anything but the Secret Service."""
    return bool(environ.get(_NAMED)) or any(map(find_spec, (_KWALLET_BINDING, _LIBSECRET_BINDING)))


def load() -> None:
    """Import what choose() and its caller ask a daemon with: on a slow machine that takes seconds."""
    for module in ("keyring.core", "keyring.backends.SecretService"):
        import_module(module)
    import_module("nono.credentials.sources.secret_service")


def choose(environ: Mapping[str, str]) -> KeyringBackend | None:
    """Return the backend that `environ` names, else the best of those that work; None if there is none.

    The library's null and fail backends stand for "no keyring" and have priorities below 1.
    """
    from keyring.core import load_keyring

    named = environ.get(_NAMED)
    working = []
    for name in (named,) if named else _BACKENDS:
        try:
            working.append(load_keyring(name))
        except Exception:  # any failure means that this backend does not work here
            continue
    working = [backend for backend in working if backend.priority >= 1]
    return max(working, key=lambda backend: backend.priority, default=None)
