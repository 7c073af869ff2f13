"""Decide which of the caller's variables the command inherits."""

from collections.abc import Mapping

from nono.named_tuple import NamedTuple
from nono.policy.environment.authority import CERTIFICATES, OF_TERMINALS, POINTERS, flag_for
from nono.policy.environment.secret_names import is_switch, says_secret
from nono.policy.environment.secret_values import secret_in

# Compared in upper case, because some programs ignore case and nobody needs a lower-case variant.
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
    NONO_PROXY_TOKEN NONO_PROXY_PASS NONO_CREDENTIAL NONO_PROXY_CREDENTIAL NONO_ENV_CREDENTIAL
    """.split()  # noqa: SIM905 - a list of words reads better than one of literals
)
# Programs of the host, which the run may not be able to execute; an exact name passes each of them.
OF_THE_HOST = frozenset("EDITOR VISUAL PAGER GIT_EDITOR GIT_PAGER".split())  # noqa: SIM905 - as above

# The sockets of the session are there. Some programs keep locks or scripts there (pnpm 12, just), and end
# where they may not write there; without the variable they keep them elsewhere.
RUNTIME_DIRECTORY = "XDG_RUNTIME_DIR"

_PATTERN = r"[^*=\0]+\*?|\*"
_NAME = r"[A-Za-z_][A-Za-z0-9_]*"


PHANTOM = "phantom"  # the rule for a variable that would hold a key of a service in use
# The rules that keep a secret outside. The others protect the command's programs from being changed.
SECRET_RULES = frozenset({"service_key", "secret_name", "secret_value", "points_to_authority", "loaded_key"})


class EnvironmentRules(NamedTuple):
    """Rules for inherited variables, and the fixed values. Patterns have passed check_pattern()."""

    allow: tuple[str, ...] | None = None  # None: all; (): none
    deny: tuple[str, ...] = ()
    fixed: tuple[tuple[str, str], ...] = ()
    withheld: frozenset[str] = frozenset()  # would hold the real key behind a phantom
    granted: frozenset[str] = frozenset()  # pointers, and names of programs, whose target is granted
    left_directory: str | None = None  # the shell's directory (PWD) if --workdir changes it
    passed: frozenset[str] = frozenset()  # passed on by --env, whatever their values
    set_by_flag: frozenset[str] = frozenset()  # --env gives them their values
    services: Mapping[str, str] = {}  # the service that reads its key from a variable


class Inherited(NamedTuple):
    """A variable that is passed on."""

    rule: str  # a fixed word
    reason: str


class Withheld(NamedTuple):
    """A variable that is not passed on. No field quotes its value."""

    name: str
    rule: str  # a fixed word
    reason: str
    fix: str | None = None  # the option that changes it, if one does

    @property
    def is_secret(self) -> bool:
        return self.rule in SECRET_RULES


def child_environment(inherited: Mapping[str, str], rules: EnvironmentRules) -> dict[str, str]:
    """Return a new mapping: inherited variables, then the fixed values over them.

    Names and values are text as os.environ holds it; those that are not UTF-8 (surrogates) are dropped.
    """
    kept = {name: value for name, value in inherited.items() if _passes(name, value, rules)}
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
        if value is not None and name not in fixed and _passes(name, value, rules)
    }


def not_inherited(inherited: Mapping[str, str], rules: EnvironmentRules) -> tuple[Withheld, ...]:
    """Return the variables that child_environment() leaves out, by name, except those with a fixed value."""
    fixed = dict(rules.fixed)
    verdicts = (judge(name, inherited[name], rules) for name in sorted(inherited) if name not in fixed)
    return tuple(verdict for verdict in verdicts if isinstance(verdict, Withheld))


def judge(name: str, value: str, rules: EnvironmentRules) -> Inherited | Withheld:
    """Decide whether the command inherits a variable."""
    refusal = refused_by_name(name, value, rules)
    if refusal is not None:
        return refusal
    if name in rules.passed:
        return Inherited("passed_on", "--env passes it on")
    if rules.allow is not None and name in rules.allow:
        return Inherited("passed_on", "environment.allow_vars names it")
    if rules.allow is not None and not any(_matches(name, pattern) for pattern in rules.allow):
        return Withheld(name, "allow_vars", "not in environment.allow_vars", _by_name(name))
    if name.upper() in OF_THE_HOST and name not in rules.granted:
        reason = "it names a program of the host that the run may not execute"
        return Withheld(name, "named_only", reason, _by_name(name))
    if name == CERTIFICATES and name not in rules.granted:
        return Withheld(name, "named_only", "its file cannot be read inside", flag_for(name))
    if name == RUNTIME_DIRECTORY and name not in rules.granted:
        return Withheld(name, "named_only", "nothing in that directory is granted", _by_name(name))
    return _as_secret(name, value, rules) or Inherited("inherited", "nothing withholds it")


def is_dangerous(name: str) -> bool:
    """Return True if `name` is never inherited and may never hold a credential, whatever a profile says."""
    upper = name.upper()
    return upper in _NEVER_INHERITED or upper.startswith(_NEVER_PREFIXES)


def _passes(name: str, value: str, rules: EnvironmentRules) -> bool:
    return isinstance(judge(name, value, rules), Inherited)


def refused_by_name(name: str, value: str, rules: EnvironmentRules) -> Withheld | None:
    """Return the refusal of a name that no option can pass on, or None."""
    if is_dangerous(name):
        return Withheld(name, "steers_programs", "it changes what programs load or run, or is nono's own")
    if not (_is_utf8(name) and _is_utf8(value)):
        return Withheld(name, "not_utf8", "not UTF-8")
    if name in rules.withheld:
        return Withheld(name, PHANTOM, "a placeholder takes the place of the key it may hold")
    if any(_matches(name, pattern) for pattern in rules.deny):
        return Withheld(name, "deny_vars", "environment.deny_vars")
    return None


def _as_secret(name: str, value: str, rules: EnvironmentRules) -> Withheld | None:
    """Return the refusal of a variable that holds a secret or points to one, or None."""
    if is_switch(value) or name in rules.granted:
        return None
    if name in POINTERS:
        reason = f"it points to {POINTERS[name]} that the command is not granted"
        rule = "terminal_socket" if name in OF_TERMINALS else "points_to_authority"
        return Withheld(name, rule, reason, flag_for(name))
    if name in rules.services:
        service = rules.services[name]
        return Withheld(name, "service_key", f"{service} reads its key from it", f"--credential {service}")
    if says_secret(name, value):
        return Withheld(name, "secret_name", "its name says that it is a secret", _by_name(name))
    shape = secret_in(value)
    return None if shape is None else Withheld(name, "secret_value", shape, _by_name(name))


def _by_name(name: str) -> str | None:
    """Return the flag that passes `name` on, quoted for a shell; None for a name that nobody would type."""
    if name.isidentifier():
        return f"--env {name}"
    return f"--env '{name}'" if name.isprintable() and "'" not in name else None


def check_pattern(pattern: str) -> None:
    """Raise ValueError unless `pattern` is a name, a prefix and one trailing ``*``, or ``*`` alone."""
    import re  # here, as in check_fixed_name: only profiles that name variables need it

    if not re.fullmatch(_PATTERN, pattern):
        raise ValueError(f"Invalid pattern '{pattern}': only one '*' is allowed, at the end")


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
