"""Zstandard (RFC 8878): of Python itself from 3.14 on, of a package before."""

from __future__ import annotations

import sys

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

__all__ = ("zstd",)
