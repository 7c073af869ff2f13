"""Which variables of the command may hold a credential, or the phantom of one."""

import re

# Variables that decide what a program loads or runs.
FORBIDDEN_DESTINATIONS = frozenset(
    """LD_PRELOAD LD_LIBRARY_PATH LD_AUDIT DYLD_INSERT_LIBRARIES DYLD_LIBRARY_PATH DYLD_FRAMEWORK_PATH
    BASH_ENV ENV IFS CDPATH PROMPT_COMMAND NODE_OPTIONS NODE_PATH PYTHONSTARTUP PYTHONPATH PERL5OPT PERL5LIB
    RUBYOPT RUBYLIB JAVA_TOOL_OPTIONS _JAVA_OPTIONS DOTNET_STARTUP_HOOKS GOFLAGS PATH HOME
    SHELL""".split()  # noqa: SIM905 - a list of words reads better than one of literals
)

_VARIABLE = r"[A-Za-z_][A-Za-z0-9_]*"


def is_destination(variable: str) -> bool:
    """Whether a credential may be written to variable."""
    upper = variable.upper()
    forbidden = upper in FORBIDDEN_DESTINATIONS or upper.startswith(("LD_", "DYLD_", "NONO_"))
    return bool(re.fullmatch(_VARIABLE, variable, re.ASCII)) and not forbidden


def derived_variable(credential_key: str) -> str | None:
    """The variable that follows from a reference: of env:// its own name, of a bare name its upper case."""
    scheme, separator, name = credential_key.partition("://")
    if not separator:
        name = credential_key.upper()
    elif scheme != "env":
        return None
    return name if is_destination(name) else None
