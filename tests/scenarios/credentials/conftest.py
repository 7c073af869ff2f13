"""Shared by the scenarios of credentials: their environments."""

from __future__ import annotations

from support.credentials.environments import environ, with_keyring, with_stuck_keyring

__all__ = ["environ", "with_keyring", "with_stuck_keyring"]
