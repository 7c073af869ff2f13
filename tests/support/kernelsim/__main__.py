"""Runs CMD as on another kernel; see command_line."""

from __future__ import annotations

import os
import sys

# Isolated, or run by its path, it is not found as a package; its own directory may be first on the path.
sys.path.append(os.path.abspath(os.path.join(os.path.realpath(__file__), *[os.pardir] * 3)))

from support.kernelsim.command_line import parse
from support.kernelsim.tree import end_like, run

if __name__ == "__main__":
    end_like(run(*parse(sys.argv[1:])))
