"""Which variables of the command may hold a credential, or the phantom of one."""

import re

from nono.policy.environment import is_dangerous

# Inherited, as they must be, but no place for a credential.
_FORBIDDEN_DESTINATIONS = frozenset({"PATH", "HOME", "SHELL"})

_VARIABLE = r"[A-Za-z_][A-Za-z0-9_]*"


def may_hold_credential(variable: str) -> bool:
    """Whether a credential may be written to variable."""
    upper = variable.upper()
    forbidden = upper in _FORBIDDEN_DESTINATIONS or upper.startswith("NONO_") or is_dangerous(variable)
    return bool(re.fullmatch(_VARIABLE, variable, re.ASCII)) and not forbidden


def derived_variable(credential_key: str) -> str | None:
    """The variable that follows from a reference: of env:// its own name, of a bare name its upper case."""
    scheme, separator, name = credential_key.partition("://")
    if not separator:
        name = credential_key.upper()
    elif scheme != "env":
        return None
    return name if may_hold_credential(name) else None
