"""An agent in sandlock's sandbox. Usage: PORT WRITABLE[:WRITABLE]... READABLE[:READABLE]... COMMAND..."""

import os
import sys

from sandlock import Sandbox  # type: ignore[import-not-found]  # lives in .bench only

READABLE = ("/usr", "/bin", "/lib", "/lib64", "/etc", "/proc", "/sys", "/run")

port, writable, readable = sys.argv[1:4]
ended = Sandbox(
    fs_readable=[path for path in (*READABLE, *readable.split(":")) if os.path.isdir(path)],
    fs_writable=[*writable.split(":"), "/tmp", "/dev"],
    net_allow=[f"tcp://127.0.0.1:{port}"],
    net_allow_bind=["*"],
).run(sys.argv[4:])
sys.exit(0 if ended.success else 1)
