"""Typed mirrors of the Linux interfaces that nono enforces with."""
