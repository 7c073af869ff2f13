"""What the child's inherited environment becomes."""

from collections.abc import Mapping
from typing import NamedTuple

# Compared in upper case: some programs fold the case, and nobody needs a lower-case twin of these.
_NEVER_PREFIXES = ("LD_", "DYLD_", "BASH_FUNC_", "OP_SESSION_", "GIT_CONFIG_", "MALLOC_")
NEVER_INHERITED = frozenset(
    """BASH_ENV ENV CDPATH GLOBIGNORE PROMPT_COMMAND IFS SHELLOPTS BASHOPTS PS4 ZDOTDIR
    PYTHONSTARTUP PYTHONPATH PYTHONHOME NODE_OPTIONS NODE_PATH PERL5OPT PERL5LIB PERL5DB
    RUBYOPT RUBYLIB GEM_PATH GEM_HOME JAVA_TOOL_OPTIONS JDK_JAVA_OPTIONS _JAVA_OPTIONS
    DOTNET_STARTUP_HOOKS GOFLAGS GCONV_PATH GIT_SSH_COMMAND GIT_EXTERNAL_DIFF
    OP_SERVICE_ACCOUNT_TOKEN OP_CONNECT_TOKEN OP_CONNECT_HOST NONO_CAP_FILE NONO_SUPERVISOR_PATH
    NONO_DETACHED_LAUNCH NONO_DETACHED_SESSION_ID NONO_DETACHED_CWD_PROMPT_RESPONSE
    NONO_PROXY_TOKEN""".split()  # noqa: SIM905 - a list of words reads better than one of literals
)
# Worth inheriting now and then, so an exact entry of allow_vars lets each through: agents that hold keys,
# certificates and programs of the host, and the secrets of clouds.
INHERITED_BY_NAME_ONLY = frozenset(
    """SSH_AUTH_SOCK EDITOR PAGER NODE_EXTRA_CA_CERTS
    AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY AWS_SESSION_TOKEN AZURE_CLIENT_SECRET
    GOOGLE_APPLICATION_CREDENTIALS GOOGLE_OAUTH_ACCESS_TOKEN CLOUDSDK_AUTH_ACCESS_TOKEN
    DIGITALOCEAN_ACCESS_TOKEN CLOUDFLARE_API_TOKEN HCLOUD_TOKEN""".split()  # noqa: SIM905 - a list of words reads better than one of literals
)

_PATTERN = r"[^*=\0]+\*?|\*"
_NAME = r"[A-Za-z_][A-Za-z0-9_]*"


class EnvironmentRules(NamedTuple):
    """Which variables pass, and which have fixed values. Patterns have passed check_pattern."""

    allow: tuple[str, ...] | None = None  # None: all; (): none
    deny: tuple[str, ...] = ()
    fixed: tuple[tuple[str, str], ...] = ()
    withheld: frozenset[str] = frozenset()  # where a real key would sit that a phantom stands for


def child_environment(inherited: Mapping[str, str], rules: EnvironmentRules) -> dict[str, str]:
    """A new mapping: what may be inherited, then the fixed values over it.

    Names and values are text as os.environ has it; what is not UTF-8 (surrogates) is dropped.
    """
    kept = {
        name: value
        for name, value in inherited.items()
        if refusal(name, rules) is None and _is_utf8(name) and _is_utf8(value)
    }
    return kept | dict(rules.fixed)


def refusal(name: str, rules: EnvironmentRules) -> str | None:
    """Why the variable is not inherited; None when it is."""
    upper = name.upper()
    if upper in NEVER_INHERITED or upper.startswith(_NEVER_PREFIXES):
        return "it changes what programs load or run"
    if name in rules.withheld:
        return "a phantom takes the place of the key it may hold"
    if any(_matches(name, pattern) for pattern in rules.deny):
        return "environment.deny_vars"
    if rules.allow is not None and not any(_matches(name, pattern) for pattern in rules.allow):
        return "not in environment.allow_vars"
    if upper in INHERITED_BY_NAME_ONLY and name not in (rules.allow or ()):
        return "only an exact entry of environment.allow_vars lets it through"
    return None


def check_pattern(pattern: str) -> None:
    """ValueError unless pattern is a name, a prefix and one trailing ``*``, or ``*`` alone."""
    import re  # here, as in check_fixed_name: for profiles that name variables

    if not re.fullmatch(_PATTERN, pattern):
        raise ValueError(f"Invalid pattern '{pattern}': one '*' may stand, at the end")


def check_fixed_name(name: str) -> None:
    """ValueError unless environment.set_vars may set name."""
    import re

    if not re.fullmatch(_NAME, name):
        raise ValueError(f"Invalid set_vars key '{name}': not a variable name")
    if name == "PATH" or name.startswith("NONO_"):
        raise ValueError(f"Invalid set_vars key '{name}': reserved")


def _matches(name: str, pattern: str) -> bool:
    return name.startswith(pattern[:-1]) if pattern.endswith("*") else name == pattern


def _is_utf8(text: str) -> bool:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True
