"""What programs of a user share by the kernel: a key, System V IPC, a POSIX queue."""

from __future__ import annotations

import ctypes
import os
from pathlib import Path
from typing import Any

libc = ctypes.CDLL(None, use_errno=True)
libc.syscall.restype = ctypes.c_long
libc.shmat.restype = ctypes.c_void_p
IPC_CREAT, IPC_EXCL, GETVAL = 0o1000, 0o2000, 12
KEYS = {"shm": 0x68756E01, "msg": 0x68756E02, "sem": 0x68756E03}
KEYRING_CALLS = {"x86_64": (248, 250), "aarch64": (217, 219)}[os.uname().machine]
USER_KEYRING = -4
KEYCTL_DESCRIBE, KEYCTL_UNLINK, KEYCTL_READ = 6, 9, 11
QUEUE = b"/hunt-canary"
SEMAPHORES = 3


class Shared:
    """All of it with a secret in it, but the semaphores."""

    def __init__(self, secret: str) -> None:
        text = secret.encode()
        self.segment = _shared_memory(text)
        self.messages = libc.msgget(KEYS["msg"], IPC_CREAT | IPC_EXCL | 0o666)
        libc.msgsnd(self.messages, (1).to_bytes(8, "little") + text, len(text), 0)
        self.semaphores = libc.semget(KEYS["sem"], SEMAPHORES, IPC_CREAT | IPC_EXCL | 0o666)
        # In the user's keyring, which other hunts of the same user have too.
        name = b"hunt-canary-" + text[-8:]
        self.key = int(libc.syscall(KEYRING_CALLS[0], b"user", name, text, len(text), USER_KEYRING))
        self.queue = libc.mq_open(QUEUE, os.O_CREAT | os.O_RDWR | os.O_NONBLOCK, 0o600, None)
        libc.mq_send(self.queue, text, len(text), 0)

    def ids(self) -> dict[str, int]:
        numbers = {"shm": self.segment, "msg": self.messages, "sem": self.semaphores, "key": self.key}
        return numbers | {f"{name}key": key for name, key in KEYS.items()}

    def look(self) -> dict[str, Any]:
        values = [libc.semctl(self.semaphores, at, GETVAL) for at in range(SEMAPHORES)]
        return {
            "ipc": {name: Path(f"/proc/sysvipc/{name}").read_text().splitlines()[1:] for name in KEYS},
            "values": [f"{at}={value}" for at, value in enumerate(values)],
            "key": self._key_state(),
            "queue": self._queue_state(),
        }

    def _key_state(self) -> list[str]:
        """Return the content and description of this key only: other programs of the user have keys too."""
        content = ctypes.create_string_buffer(256)
        length = libc.syscall(KEYRING_CALLS[1], KEYCTL_READ, self.key, content, len(content))
        described = ctypes.create_string_buffer(256)
        libc.syscall(KEYRING_CALLS[1], KEYCTL_DESCRIBE, self.key, described, len(described))
        return [content.raw[: max(length, 0)].hex(), described.value.decode("ascii", "replace")]

    def _queue_state(self) -> list[int]:
        """Count the messages in the queue, and say whether it still has its name."""
        attributes = (ctypes.c_long * 8)()
        libc.mq_getattr(self.queue, attributes)
        again = libc.mq_open(QUEUE, os.O_RDWR)
        if again >= 0:
            os.close(again)
        return [int(attributes[3]), int(again >= 0)]

    def end(self) -> None:
        libc.syscall(KEYRING_CALLS[1], KEYCTL_UNLINK, self.key, USER_KEYRING)
        libc.mq_unlink(QUEUE)


def _shared_memory(text: bytes) -> int:
    number = libc.shmget(KEYS["shm"], 4096, IPC_CREAT | IPC_EXCL | 0o666)
    if number >= 0:
        where = libc.shmat(number, None, 0)
        ctypes.memmove(where, text, len(text))
        libc.shmdt(ctypes.c_void_p(where))
    return int(number)
