"""Reads the frozen seccomp programs, ``<machine>/<name>.bpf``: struct sock_filter after struct sock_filter.

``python -m nono.kernel.filter_build`` makes them from the rules in nono/kernel/bpf.py. They are read rather
than built at start because loading libseccomp costs more than everything else a short run does.
"""

from __future__ import annotations

import os

DIRECTORY = os.path.dirname(__file__)
MACHINES = ("x86_64", "aarch64")  # as uname(2) spells them


def load(name: str, machine: str | None = None) -> bytes:
    """A program of nono.kernel.bpf by its name, such as ``tcp_only``, for a machine; None: this one.

    FileNotFoundError: there is none for that machine (or of that name), so nothing can be filtered there.
    """
    with open(os.path.join(DIRECTORY, machine or os.uname().machine, f"{name}.bpf"), "rb") as file:
        return file.read()
