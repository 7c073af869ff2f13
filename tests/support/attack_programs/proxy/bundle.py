"""Try to read more of the session's certificate authority than its certificates, and to change those.

The report contains the outcome of each attempt, the variables about proxies and trust, and the bundle.
"""

from __future__ import annotations

import os
from pathlib import Path

from support.attack_programs.outcome import outcome, report

TRUST = ("PROXY", "CERT", "CA_", "CAINFO", "CA_BUNDLE", "NONO_")


def attempts(bundle: Path) -> dict[str, str]:
    folder, project = bundle.parent, Path.cwd()
    mine = project / "mine.pem"
    mine.write_text("mine")
    tried = {
        "read": lambda: bundle.read_bytes(),
        "write": lambda: bundle.write_bytes(b"mine"),
        "append": lambda: bundle.open("ab").close(),
        "truncate": lambda: os.truncate(bundle, 0),
        "remove": bundle.unlink,
        "rename away": lambda: bundle.rename(project / "theirs.pem"),
        "rename over": lambda: mine.rename(bundle),
        "link over": lambda: (folder / "other.pem").symlink_to(mine),
        "hard link out": lambda: (project / "linked.pem").hardlink_to(bundle),
        "make beside it": lambda: (folder / "new").write_text(""),
        "list beside it": lambda: os.listdir(folder),
        "list the sessions": lambda: os.listdir(folder.parent),
        "move its folder": lambda: folder.rename(project / "folder"),
        "write in the project": lambda: (project / "own").write_text("own"),
    }
    return {name: outcome(attempt) for name, attempt in tried.items()}


if __name__ == "__main__":
    place = Path(os.environ["SSL_CERT_FILE"])
    report(
        {
            "attempts": attempts(place),
            "bundle": place.read_text(),
            "path": str(place),
            "environment": {
                name: value
                for name, value in os.environ.items()
                if any(part in name.upper() for part in TRUST)
            },
        }
    )
