"""What is read of a thread whose call is performed for it."""

from __future__ import annotations

import os
import threading

from nono.supervisor.calls.caller_paths import umask_of


def test_the_mask_of_a_thread_is_read() -> None:
    before = os.umask(0o027)
    try:
        assert umask_of(threading.get_native_id()) == 0o027
        os.umask(0o022)
        assert umask_of(threading.get_native_id()) == 0o022
    finally:
        os.umask(before)
