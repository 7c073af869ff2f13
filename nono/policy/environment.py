"""Filters the environment that the child inherits."""

from collections.abc import Mapping

from nono.named_tuple import NamedTuple

# Compared in upper case: some programs fold case, and nobody needs a lower-case twin of these.
_NEVER_PREFIXES = ("LD_", "DYLD_", "BASH_FUNC_", "OP_SESSION_", "GIT_CONFIG_", "MALLOC_")
_NEVER_INHERITED = frozenset(
    """BASH_ENV ENV CDPATH GLOBIGNORE PROMPT_COMMAND IFS SHELLOPTS BASHOPTS PS4 ZDOTDIR
    PYTHONSTARTUP PYTHONPATH PYTHONHOME PYTHONUSERBASE NODE_OPTIONS NODE_PATH
    PERL5OPT PERL5LIB PERLLIB PERL5DB
    RUBYOPT RUBYLIB GEM_PATH GEM_HOME JAVA_TOOL_OPTIONS JDK_JAVA_OPTIONS _JAVA_OPTIONS
    DOTNET_STARTUP_HOOKS GOFLAGS GCONV_PATH GLIBC_TUNABLES
    GIT_SSH GIT_SSH_COMMAND GIT_PROXY_COMMAND GIT_EXEC_PATH GIT_EXTERNAL_DIFF
    OP_SERVICE_ACCOUNT_TOKEN OP_CONNECT_TOKEN OP_CONNECT_HOST NONO_CAP_FILE NONO_SUPERVISOR_PATH
    NONO_DETACHED_LAUNCH NONO_DETACHED_SESSION_ID NONO_DETACHED_CWD_PROMPT_RESPONSE
    NONO_PROXY_TOKEN NONO_PROXY_PASS""".split()  # noqa: SIM905 - a list of words reads better than one of literals
)
# Sometimes worth inheriting, so an exact entry of allow_vars lets each through: agents that hold keys,
# certificates and programs of the host, and cloud secrets.
_INHERITED_BY_NAME_ONLY = frozenset(
    """SSH_AUTH_SOCK EDITOR VISUAL PAGER GIT_EDITOR GIT_PAGER GIT_ASKPASS SSH_ASKPASS NODE_EXTRA_CA_CERTS
    AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY AWS_SESSION_TOKEN AWS_CONTAINER_AUTHORIZATION_TOKEN
    AZURE_CLIENT_SECRET ARM_CLIENT_SECRET
    GOOGLE_APPLICATION_CREDENTIALS GOOGLE_CREDENTIALS GOOGLE_OAUTH_ACCESS_TOKEN CLOUDSDK_AUTH_ACCESS_TOKEN
    DIGITALOCEAN_ACCESS_TOKEN CLOUDFLARE_API_TOKEN HCLOUD_TOKEN""".split()  # noqa: SIM905 - a list of words reads better than one of literals
)

_PATTERN = r"[^*=\0]+\*?|\*"
_NAME = r"[A-Za-z_][A-Za-z0-9_]*"


class EnvironmentRules(NamedTuple):
    """Rules for inherited variables, and the fixed values. Patterns have passed check_pattern()."""

    allow: tuple[str, ...] | None = None  # None: all; (): none
    deny: tuple[str, ...] = ()
    fixed: tuple[tuple[str, str], ...] = ()
    withheld: frozenset[str] = frozenset()  # would hold the real key that a phantom replaces
    granted: frozenset[str] = frozenset()  # inherited by name only; the sockets they name are granted
    left_directory: str | None = None  # the directory --workdir leaves, as the caller's shell spells it


def child_environment(inherited: Mapping[str, str], rules: EnvironmentRules) -> dict[str, str]:
    """Return a new mapping: inherited variables, then the fixed values over them.

    Names and values are text as os.environ holds it; those that are not UTF-8 (surrogates) are dropped.
    """
    kept = {name: value for name, value in inherited.items() if _refusal(name, value, rules) is None}
    return kept | dict(rules.fixed)


def started_in(directory: str, environment: Mapping[str, str], rules: EnvironmentRules) -> dict[str, str]:
    """Set PWD for a command that starts in `directory`, and OLDPWD if --workdir left another.

    A pattern that refuses them or a fixed value has the last word.
    """
    known = {"PWD": directory, "OLDPWD": rules.left_directory}
    fixed = dict(rules.fixed)
    return dict(environment) | {
        name: value
        for name, value in known.items()
        if value is not None and name not in fixed and _refusal(name, value, rules) is None
    }


def not_inherited(inherited: Mapping[str, str], rules: EnvironmentRules) -> dict[str, list[str]]:
    """Return the names child_environment() leaves out, sorted, grouped by reason."""
    found: dict[str, list[str]] = {}
    for name in sorted(inherited):
        reason = _refusal(name, inherited[name], rules)
        if reason is not None:
            found.setdefault(reason, []).append(name)
    return found


def is_dangerous(name: str) -> bool:
    """Return True if `name` is never inherited and may never hold a credential, whatever a profile says."""
    upper = name.upper()
    return upper in _NEVER_INHERITED or upper.startswith(_NEVER_PREFIXES)


def _refusal(name: str, value: str, rules: EnvironmentRules) -> str | None:
    """Return the reason the variable is not inherited; None if it is."""
    if is_dangerous(name):
        return "it changes what programs load or run, or is nono's own"
    if not (_is_utf8(name) and _is_utf8(value)):
        return "not UTF-8"
    if name in rules.withheld:
        return "a phantom takes the place of the key it may hold"
    if any(_matches(name, pattern) for pattern in rules.deny):
        return "environment.deny_vars"
    if rules.allow is not None and not any(_matches(name, pattern) for pattern in rules.allow):
        return "not in environment.allow_vars"
    by_name = (*(rules.allow or ()), *rules.granted)
    if name.upper() in _INHERITED_BY_NAME_ONLY and name not in by_name:
        return "only an exact entry of environment.allow_vars lets it through"
    return None


def check_pattern(pattern: str) -> None:
    """Raise ValueError unless `pattern` is a name, a prefix and one trailing ``*``, or ``*`` alone."""
    import re  # here, as in check_fixed_name: only profiles that name variables need it

    if not re.fullmatch(_PATTERN, pattern):
        raise ValueError(f"Invalid pattern '{pattern}': one '*' may stand, at the end")


def check_fixed_name(name: str) -> None:
    """Raise ValueError if environment.set_vars may not set `name`."""
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
