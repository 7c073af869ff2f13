"""Provide Zstandard (RFC 8878): from Python itself since 3.14, before that from a package."""

from __future__ import annotations

import sys

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

__all__ = ("zstd",)
