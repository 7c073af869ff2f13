"""Read from a Secret Service without the `keyring` library, which takes long to import (ADR 84).

The specification is freedesktop.org's Secret Service API 0.2. Every call may wait for a daemon, or for a
person who unlocks a collection.
"""

from __future__ import annotations

from contextlib import ExitStack, closing, suppress

import secretstorage
from secretstorage.defines import SS_PATH, SS_PREFIX
from secretstorage.exceptions import LockedException
from secretstorage.util import DBusAddressWrapper

TYPE_CHECKING = False
if TYPE_CHECKING:
    from jeepney.io.blocking import DBusConnection


class SecretService:
    """A connection to the session bus, on which a Secret Service runs or can be started."""

    def __init__(self, connection: DBusConnection) -> None:
        """Take over a connection."""
        self._connection = connection

    def close(self) -> None:
        self._connection.close()

    def accounts(self, attributes: dict[str, str]) -> tuple[str, ...]:
        """Return the user names of all items with these attributes, locked or not; sorted."""
        items = secretstorage.search_items(self._connection, attributes)
        return tuple(sorted(item.get_attributes().get("username", "") for item in items))

    def password(self, service: str, account: str) -> str | None:
        """Return what the default collection keeps under these names, as `keyring` stores it, or None.

        Asks a person to unlock the collection if it is locked. Raises LockedException if they do not.
        """
        collection = secretstorage.get_default_collection(self._connection)
        _unlock(collection)
        for item in collection.search_items({"service": service, "username": account}):
            _unlock(item)
            return item.get_secret().decode()
        return None


def connect() -> SecretService | None:
    """Return the Secret Service on the session bus of the environment, or None. The caller closes it.

    Waits for as long as the service does not answer.
    """
    with ExitStack() as stack:
        try:
            connection = stack.enter_context(closing(secretstorage.dbus_init()))
            if not secretstorage.check_service_availability(connection):
                return None
            # A daemon that is stuck has its name on the bus. No daemon asks a person before it answers this.
            DBusAddressWrapper(SS_PATH, f"{SS_PREFIX}Service", connection).get_property("Collections")
        except Exception:  # any failure means that there is none: the bus has ended, or is somebody else's
            return None
        stack.pop_all()
        return SecretService(connection)


def _unlock(what: secretstorage.Collection | secretstorage.Item) -> None:
    if not what.is_locked():
        return
    # A dismissed prompt may complete with any value, as KeePassXC's does with an empty text; the library
    # asserts that it is a list.
    with suppress(AssertionError):
        what.unlock()
    if what.is_locked():
        raise LockedException("not unlocked")
