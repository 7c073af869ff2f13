"""Say where a person's own permissions refuse what no option of nono could then allow."""

from __future__ import annotations

import os

from nono.policy.capability import Access
from nono.policy.why.paths import Answer


def within_permissions(answer: Answer, path: str, access: Access) -> Answer:
    """Return the answer, with a warning and without a fix if this user may not open what is at `path`.

    path: absolute. What does not exist is left: it may be made.
    """
    mode = (os.R_OK if access.reads else 0) | (os.W_OK if access.writes else 0)
    if answer.warning is not None or _is_missing(path) or os.access(path, mode):
        return answer
    verb = {Access.READ: "read", Access.WRITE: "write", Access.READWRITE: "read and write"}[access]
    warning = f"you may not {verb} it outside a run either"
    return answer._replace(warning=warning, suggested_flag=None)


def _is_missing(path: str) -> bool:
    try:
        os.stat(path)
    except PermissionError:  # it may be there, below a directory that this user may not enter
        return False
    except (OSError, ValueError):
        return True
    return False
