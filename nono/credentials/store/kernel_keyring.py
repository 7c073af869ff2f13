"""Keep a key in the kernel's user keyring for some hours (keyrings(7), user-keyring(7)).

Commands in a sandbox cannot make these calls. Other programs of the user can, just as they can read what a
person types.
"""

from __future__ import annotations

import ctypes

from nono.kernel.libc import syscall, syscall_number

_USER_KEYRING = -4  # linux/keyctl.h: KEY_SPEC_USER_KEYRING
_SETPERM, _SEARCH, _READ, _SET_TIMEOUT = 5, 10, 11, 15
# View, read and search for every process with this uid: the session of another terminal does not possess the
# key.
_PERMISSIONS = 0x3F0B0000
_MAX_BYTES = 4096


def keep(name: str, value: bytes, seconds: int) -> None:
    """Keep `value` under `name`, replacing an older one. Raises OSError, EPERM in most containers."""
    payload = ctypes.create_string_buffer(value, len(value))
    kind, description = _text(b"user"), _text(name.encode())
    number = syscall(
        syscall_number("add_key"),
        *map(ctypes.addressof, (kind, description, payload)),
        len(value),
        _USER_KEYRING,
        tried="add_key",
    )
    _keyctl(_SETPERM, number, _PERMISSIONS)
    _keyctl(_SET_TIMEOUT, number, seconds)


def kept(name: str) -> bytes | None:
    """Return the value kept under `name`, or None."""
    kind, description = _text(b"user"), _text(name.encode())
    value = ctypes.create_string_buffer(_MAX_BYTES)
    try:
        number = _keyctl(_SEARCH, _USER_KEYRING, ctypes.addressof(kind), ctypes.addressof(description), 0)
        length = _keyctl(_READ, number, ctypes.addressof(value), _MAX_BYTES)
    except OSError:
        return None
    return value.raw[:length] if length <= _MAX_BYTES else None


def _keyctl(*arguments: int) -> int:
    return syscall(syscall_number("keyctl"), *arguments, tried="keyctl")


def _text(octets: bytes) -> ctypes.Array[ctypes.c_char]:
    return ctypes.create_string_buffer(octets)
