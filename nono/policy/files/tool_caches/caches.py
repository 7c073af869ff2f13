"""Give a run its own caches for compilers and package managers, separate from the user's.

Later builds are made from what is in a cache. So a cache belongs to one working directory and one access to
it: a command that may write the cache may also write that project, and no other project uses the cache.
"""

from __future__ import annotations

from collections.abc import Iterable
from posixpath import basename, join, normpath

from nono.digests import sha256
from nono.named_tuple import NamedTuple
from nono.paths import CACHES
from nono.policy.capability import Access, Grant
from nono.policy.environment.inheritance import EnvironmentRules
from nono.policy.files.denials import DenyRules
from nono.policy.files.grants import GrantTable
from nono.policy.files.links import LinkGuard, Way
from nono.policy.files.tool_caches.project_settings import project_keeps_its_own
from nono.policy.path_expansion import Filesystem, PathContext, canonical_as_far, is_within

ROOT = f"$XDG_CACHE_HOME/{CACHES}"
_NAME_MAX = 40
_DIGEST_LENGTH = 16


class _Tool(NamedTuple):
    """A cache that a tool locates by a variable."""

    variable: str
    directory: str
    usual: str  # the tool's default location
    prefix: str = ""  # of the variable's value
    reading_is_enough: bool = False
    must_exist: bool = False  # a file without which the tool ends; it may be empty
    is_made: bool = False  # a directory that the tool leaves aside where it is not there
    is_first_of_list: bool = False  # the usual location may be a list, which this one would begin
    moves_with: str = ""  # a variable that moves the usual location too
    programs: tuple[str, ...] = ()  # where it installs programs, below its directory


_EVERYTHING_ELSE = _Tool("XDG_CACHE_HOME", "xdg", "$XDG_CACHE_HOME")
# Neovim asks for Enter at each start and end where it cannot write there.
_STATE = _Tool("XDG_STATE_HOME", "state", "$XDG_STATE_HOME", reading_is_enough=True)
# R installs packages only in a directory that is there, and the user's own are not to be written.
_PACKAGES_OF_R = _Tool("R_LIBS_USER", "R", "~/R", reading_is_enough=True, is_made=True)
_TOOLS = (
    _EVERYTHING_ELSE,
    _STATE,
    # Its database lies beside its settings, which hold keys.
    _Tool("AIRFLOW_HOME", "airflow", "~/airflow"),
    _Tool("ANSIBLE_HOME", "ansible", "~/.ansible"),
    _Tool("BUNDLE_USER_HOME", "bundle", "~/.bundle", reading_is_enough=True),
    # Cabal and Stack end with an error if they cannot read their settings there.
    _Tool("CABAL_DIR", "cabal", "~/.cabal"),
    _Tool("CARGO_HOME", "cargo", "~/.cargo", programs=("bin",)),
    _Tool("CCACHE_DIR", "ccache", "$XDG_CACHE_HOME/ccache"),
    _Tool("CCACHE_TEMPDIR", "ccache/tmp", "$XDG_CACHE_HOME/ccache/tmp"),
    # Chromium does not start, headless either, where it cannot write its profile.
    _Tool("CHROME_CONFIG_HOME", "chrome", "$XDG_CONFIG_HOME/chromium"),
    # Composer ends with an error if it cannot read the settings there, which are beside its logins.
    _Tool("COMPOSER_HOME", "composer", "$XDG_CONFIG_HOME/composer", reading_is_enough=True),
    _Tool("CONAN_HOME", "conan", "~/.conan2"),
    # DVC ends with an error if it cannot lock a file there. All users of the machine share it.
    _Tool("DVC_SITE_CACHE_DIR", "dvc", "/var/tmp/dvc"),
    # Fossil ends with an error if it cannot open its database of settings.
    _Tool("FOSSIL_HOME", "fossil", "~/.fossil"),
    _Tool("GEM_HOME", "gem", "$XDG_DATA_HOME/gem", reading_is_enough=True),
    # Like some below, not a cache: gh refuses to start if it cannot read its settings, beside its login.
    _Tool("GH_CONFIG_DIR", "gh", "$XDG_CONFIG_HOME/gh", reading_is_enough=True),
    _Tool("GOCACHE", "go-build", "$XDG_CACHE_HOME/go-build"),
    _Tool("GOMODCACHE", "go-mod", "~/go/pkg/mod", moves_with="GOPATH"),
    # `go get` ends with an error if it cannot keep the head of the checksum database there.
    _Tool("GOPATH", "go", "~/go", is_first_of_list=True, programs=("bin",)),
    _Tool("GRADLE_USER_HOME", "gradle", "~/.gradle"),
    _Tool("HATCH_CACHE_DIR", "hatch/cache", "$XDG_CACHE_HOME/hatch"),
    # hatch writes its settings where there are none, and ends if it cannot.
    _Tool(
        "HATCH_CONFIG",
        "hatch.toml",
        "$XDG_CONFIG_HOME/hatch/config.toml",
        reading_is_enough=True,
        must_exist=True,
    ),
    _Tool("HATCH_DATA_DIR", "hatch/data", "$XDG_DATA_HOME/hatch"),
    _Tool("IPYTHONDIR", "ipython", "~/.ipython"),
    _Tool("JUPYTER_CONFIG_DIR", "jupyter/config", "~/.jupyter"),
    _Tool("JUPYTER_DATA_DIR", "jupyter/data", "$XDG_DATA_HOME/jupyter"),
    # lazygit makes its settings where there are none, and does not start if it cannot.
    _Tool(
        "LG_CONFIG_FILE",
        "lazygit.yml",
        "$XDG_CONFIG_HOME/lazygit/config.yml",
        reading_is_enough=True,
        must_exist=True,
    ),
    _Tool("MAVEN_ARGS", "maven", "~/.m2/repository", "-Dmaven.repo.local="),
    # Midnight Commander does not start where it cannot make its directories.
    _Tool("MC_PROFILE_ROOT", "mc", "$XDG_CONFIG_HOME/mc"),
    _Tool("MICRO_CONFIG_HOME", "micro", "$XDG_CONFIG_HOME/micro", reading_is_enough=True),
    # moon ends with an error if it cannot keep a number of this machine there.
    _Tool("MOON_HOME", "moon", "~/.moon"),
    # Where the project may only be read, mypy ends with an internal error.
    _Tool("MYPY_CACHE_DIR", "mypy", "$WORKDIR/.mypy_cache"),
    _Tool("MPLCONFIGDIR", "matplotlib", "$XDG_CONFIG_HOME/matplotlib"),
    # Octave ends each session with an error if it cannot write it.
    _Tool("OCTAVE_HISTFILE", "octave/history", "$XDG_DATA_HOME/octave/history"),
    # `sem` waits without end where it cannot make a semaphore there.
    _Tool("PARALLEL_HOME", "parallel", "~/.parallel"),
    _Tool("PDM_CONFIG_FILE", "pdm/config.toml", "$XDG_CONFIG_HOME/pdm/config.toml", reading_is_enough=True),
    # `pdm add`, `lock` and `install` end with an error if they cannot write a log there.
    _Tool("PDM_LOG_DIR", "pdm/log", "$XDG_STATE_HOME/pdm/log"),
    _Tool("PERL_CPANM_HOME", "cpanm", "~/.cpanm"),
    # pipx and uv refuse to run a program of a package if they could not install one.
    _Tool("PIPX_BIN_DIR", "pipx/bin", "~/.local/bin", programs=("",)),
    _Tool("PIPX_HOME", "pipx", "$XDG_DATA_HOME/pipx"),
    _Tool("PIPX_MAN_DIR", "pipx/man", "$XDG_DATA_HOME/man"),
    _Tool("PIP_CACHE_DIR", "pip", "$XDG_CACHE_HOME/pip"),
    # PlatformIO ends with an error if it cannot keep its state there.
    _Tool("PLATFORMIO_CORE_DIR", "platformio", "~/.platformio"),
    _Tool("PLAYWRIGHT_BROWSERS_PATH", "playwright", "$XDG_CACHE_HOME/ms-playwright"),
    # pm2 ends with an error if it cannot write its log there.
    _Tool("PM2_HOME", "pm2", "~/.pm2"),
    # From version 11 on, its programs are in bin.
    _Tool("PNPM_HOME", "pnpm", "$XDG_DATA_HOME/pnpm", programs=("", "bin")),
    _Tool("POETRY_CACHE_DIR", "poetry", "$XDG_CACHE_HOME/pypoetry"),
    # `poetry config`, with --local too, makes the directory first.
    _Tool("POETRY_CONFIG_DIR", "poetry-config", "$XDG_CONFIG_HOME/pypoetry", reading_is_enough=True),
    _Tool("PRE_COMMIT_HOME", "pre-commit", "$XDG_CACHE_HOME/pre-commit"),
    _PACKAGES_OF_R,
    # rr records nothing if it cannot make a directory there.
    _Tool("_RR_TRACE_DIR", "rr", "$XDG_DATA_HOME/rr"),
    # Ruff keeps it beside its settings, which may be in the home, and stops where it cannot write it.
    _Tool("RUFF_CACHE_DIR", "ruff", "~/.ruff_cache"),
    _Tool("SEMGREP_LOG_FILE", "semgrep/semgrep.log", "~/.semgrep/semgrep.log"),
    _Tool("SEMGREP_SETTINGS_FILE", "semgrep/settings.yml", "~/.semgrep/settings.yml", reading_is_enough=True),
    _Tool("STACK_ROOT", "stack", "~/.stack"),
    # TeX keeps formats and fonts there that it makes itself.
    _Tool("TEXMFVAR", "texmf-var", "~/.texlive2025/texmf-var"),
    _Tool("UV_CACHE_DIR", "uv", "$XDG_CACHE_HOME/uv"),
    _Tool("UV_PYTHON_INSTALL_DIR", "uv-python", "$XDG_DATA_HOME/uv/python", reading_is_enough=True),
    _Tool("UV_TOOL_BIN_DIR", "uv-bin", "~/.local/bin", programs=("",)),
    _Tool("UV_TOOL_DIR", "uv-tools", "$XDG_DATA_HOME/uv/tools"),
    # LibreOffice does not start, to convert a file either, where it cannot write its settings.
    _Tool("UserInstallation", "libreoffice", "$XDG_CONFIG_HOME/libreoffice", "file://"),
    # virtualenv, and so pre-commit, tox and pipenv, wait without end for a lock that they may not open.
    _Tool("VIRTUALENV_OVERRIDE_APP_DATA", "virtualenv", "$XDG_DATA_HOME/virtualenv"),
    _Tool("WORKON_HOME", "virtualenvs", "$XDG_DATA_HOME/virtualenvs"),  # of pipenv
    # xonsh runs no script where it cannot make the directory.
    _Tool("XONSH_DATA_DIR", "xonsh", "$XDG_DATA_HOME/xonsh"),
    _Tool("YARN_CACHE_FOLDER", "yarn", "$XDG_CACHE_HOME/yarn"),
    _Tool("YARN_GLOBAL_FOLDER", "yarn-berry", "~/.yarn/berry"),
    # zoxide ends with an error, at each prompt of a shell, if it cannot read its database there.
    _Tool("_ZO_DATA_DIR", "zoxide", "$XDG_DATA_HOME/zoxide", reading_is_enough=True),
    _Tool("npm_config_cache", "npm", "~/.npm"),
)


class Caches(NamedTuple):
    """The caches of one run."""

    grant: Grant  # on a directory that may not exist yet
    variables: tuple[tuple[str, str], ...]
    files: tuple[str, ...]  # to be made, empty, directly in that directory
    directories: tuple[str, ...]  # to be made there too
    programs: tuple[str, ...]  # directories for PATH, where the person's own are on it


def own_caches(
    grants: tuple[Grant, ...],
    denials: DenyRules,
    environment: EnvironmentRules,
    path_context: PathContext,
    fs: Filesystem,
) -> Caches | None:
    """Return the caches for a run with these grants.

    None if no cache is needed, or if their directory is denied or behind a link that a command could have
    planted.
    """
    workdir = canonical_as_far(path_context.workdir, fs)
    held = GrantTable(grants)
    settled = {*environment.passed, *dict(environment.fixed), *(environment.allow or ())}
    tools = [
        tool
        for tool in _TOOLS
        if tool.variable not in settled
        and _is_wanted(tool, grants, held, path_context, fs)
        and not project_keeps_its_own(tool.variable, workdir, held, denials, fs)
    ]
    spelled = path_context.of_group(ROOT)
    root = canonical_as_far(spelled, fs)
    # If another run has a grant here, it could plant a link or fill another project's caches.
    if not tools or held.accesses(root) is not None:
        return None
    guard = LinkGuard([(grant, Way(grant.path)) for grant in grants], path_context, fs)
    if guard.planted(Way(spelled)) is not None:
        return None
    path = join(root, _name(workdir, held.accesses(workdir)))
    # A denial below the caches would need a mask, and masks are already settled.
    if denials.covering(path) is not None or any(is_within(each.path, path) for each in denials.denials):
        return None
    variables = {tool.variable: _value(tool, path, path_context) for tool in tools}
    stay = {
        tool.variable: _usual(tool, path_context)
        for tool in _TOOLS
        if tool.moves_with in variables and tool.variable not in (*variables, *settled)
    }
    files = tuple(join(path, tool.directory) for tool in tools if tool.must_exist)
    directories = tuple(join(path, tool.directory) for tool in tools if tool.is_made)
    grant = Grant(path, Access.READWRITE, True, "system", path)
    programs = _programs(tools, path, path_context)
    return Caches(grant, tuple({**variables, **stay}.items()), files, directories, programs)


def _is_wanted(
    tool: _Tool,
    grants: tuple[Grant, ...],
    held: GrantTable,
    path_context: PathContext,
    fs: Filesystem,
) -> bool:
    """Return False for a cache where the person's own is granted for writing."""
    usual = canonical_as_far(_first_usual(tool, path_context), fs)
    if tool is _EVERYTHING_ELSE and any(
        grant.is_users and grant.access.writes and is_within(grant.path, usual) for grant in grants
    ):
        return False  # the profile expects its program to find its cache there
    if tool in (_STATE, _PACKAGES_OF_R) and any(is_within(grant.path, usual) for grant in grants):
        # What is granted there is to be found, if only read: a profile of Nix, the packages of one R.
        return False
    access = held.accesses(usual)
    return access is None if tool.reading_is_enough else access is not Access.READWRITE


def _programs(tools: Iterable[_Tool], caches: str, path_context: PathContext) -> tuple[str, ...]:
    """Return where tools install programs instead of directories on the caller's PATH."""
    on_path = {normpath(entry) for entry in path_context.environ.get("PATH", "").split(":") if entry}
    return tuple(
        normpath(join(caches, tool.directory, place))
        for tool in tools
        for place in tool.programs
        if normpath(join(_first_usual(tool, path_context), place)) in on_path
    )


def _first_usual(tool: _Tool, path_context: PathContext) -> str:
    usual = _usual(tool, path_context)
    return usual.partition(":")[0] if tool.is_first_of_list else usual


def _usual(tool: _Tool, path_context: PathContext) -> str:
    """Return what the tool would use outside; of a list, all entries."""
    set_by_caller = path_context.environ.get(tool.variable, "")
    # MAVEN_ARGS says other things as well.
    return set_by_caller if set_by_caller.startswith("/") else path_context.of_group(tool.usual)


def _value(tool: _Tool, caches: str, path_context: PathContext) -> str:
    # Go searches the others for packages without modules alone, and with them scripts run programs in
    # `$(go env GOPATH)/bin`, which a list would lead nowhere.
    has_others = tool.is_first_of_list and path_context.environ.get("GO111MODULE") in ("off", "auto")
    behind = f":{_usual(tool, path_context)}" if has_others else ""
    return f"{tool.prefix}{join(caches, tool.directory)}{behind}"


def _name(workdir: str, held: Access | None) -> str:
    """Return a name unique to this directory and access, and recognisable for a person."""
    key = f"{held}\0{workdir}".encode("utf-8", "surrogateescape")
    label = "".join(letter if letter.isalnum() or letter in "._-" else "_" for letter in basename(workdir))
    return f"{label[:_NAME_MAX]}-{sha256(key).hexdigest()[:_DIGEST_LENGTH]}"
