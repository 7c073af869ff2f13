"""Keyring backends for the tests, selected by PYTHON_KEYRING_BACKEND=support.fake_keyring.<class>."""

from __future__ import annotations

import threading
from typing import ClassVar

from keyring.backend import KeyringBackend


class Memory(KeyringBackend):
    """A keyring that works."""

    priority = 5
    entries: ClassVar[dict[tuple[str, str], str]] = {}

    def get_password(self, service: str, username: str) -> str | None:
        return self.entries.get((service, username))

    def set_password(self, service: str, username: str, password: str) -> None:
        self.entries[service, username] = password

    def delete_password(self, service: str, username: str) -> None:
        del self.entries[service, username]


class Stuck(KeyringBackend):
    """A keyring that waits for a person who never comes, until the test releases it or a minute passes."""

    priority = 5
    released: ClassVar = threading.Event()

    def get_password(self, service: str, username: str) -> str | None:
        self.released.wait(60)
        return None

    def set_password(self, service: str, username: str, password: str) -> None:
        self.released.wait(60)


class Leaky(KeyringBackend):
    """A keyring whose errors quote the value."""

    priority = 5

    def get_password(self, service: str, username: str) -> str | None:
        raise RuntimeError(f"cannot decrypt {CANARY}")

    def set_password(self, service: str, username: str, password: str) -> None:
        raise RuntimeError(f"cannot store {password}")


CANARY = "c4n4ry-c4n4ry-c4n4ry"
