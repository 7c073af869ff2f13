"""A command in nono-py's sandbox, as its documentation shows: apply(), then exec. Usage: COMMAND..."""

import os
import sys

import nono_py  # type: ignore[import-not-found]  # lives in .bench only

READABLE = ("/usr", "/bin", "/lib", "/lib64", "/etc")

capabilities = nono_py.CapabilitySet()
for path in READABLE:
    if os.path.isdir(path):
        capabilities.allow_path(path, nono_py.AccessMode.READ)
nono_py.apply(capabilities)
os.execvp(sys.argv[1], sys.argv[1:])
