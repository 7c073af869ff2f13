"""Use the kernel's keyrings: those of the user, and the request that starts one of root's helpers."""

from __future__ import annotations

import ctypes
import socket

from support.attack_programs.outcome import report_all, syscall

# <linux/keyctl.h>
KEYCTL_GET_KEYRING_ID, KEYCTL_UNLINK = 0, 9
SOL_ALG, ALG_SET_KEY_BY_KEY_SERIAL = 279, 7  # <linux/if_alg.h>
KEY_SPEC_PROCESS_KEYRING, KEY_SPEC_USER_KEYRING = -2, -4

_kept = [ctypes.create_string_buffer(text) for text in (b"user", b"nono attack", b"of no worth")]
TYPE, DESCRIPTION, CONTENT = map(ctypes.addressof, _kept)


def add() -> None:
    """Add a key to a keyring that ends with this process."""
    syscall("add_key", TYPE, DESCRIPTION, CONTENT, len(_kept[2].value), KEY_SPEC_PROCESS_KEYRING)


def take_for_cipher() -> None:
    """Set the key of a cipher by its number, on a socket of another kind: not all kernels have AF_ALG."""
    with socket.socket(socket.AF_UNIX) as ours:
        ours.setsockopt(SOL_ALG, ALG_SET_KEY_BY_KEY_SERIAL, 1)


report_all(
    {
        "key of a cipher": take_for_cipher,
        "request_key": lambda: syscall("request_key", TYPE, DESCRIPTION, 0, 0),
        "keyctl": lambda: syscall("keyctl", KEYCTL_GET_KEYRING_ID, KEY_SPEC_USER_KEYRING, 1),
        "add_key": add,
    }
)
