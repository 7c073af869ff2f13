"""List what programs usually need: places that are granted whole, and exit codes that are answers."""

from __future__ import annotations

from posixpath import basename, dirname, join

from nono.named_tuple import NamedTuple
from nono.policy.capability import Access
from nono.policy.files.grants import opens_too_much
from nono.policy.path_expansion import Filesystem, PathContext, canonical_as_far, is_within
from nono.policy.profile.detection import AGENTS
from nono.policy.why.commands.words import Started


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


_C = _names(
    "cc c++ gcc g++ cpp clang clang++ tcc ld make gmake cmake ninja meson configure cargo rustc go "
    "node-gyp bear ccache"
)
NODE = _names("node npm npx pnpm yarn corepack tsc vite jest vitest eslint webpack next")
PYTHON = _names(
    "python python3 pip pip3 pipx uv uvx poetry pytest tox nox mypy ruff black flask ipython jupyter"
)
_RUST = _names("cargo rustc rustup rustfmt clippy-driver")
_GO = _names("go gofmt gopls golangci-lint")
_JAVA = _names("java javac mvn mvnw gradle gradlew kotlinc jshell")
RUBY = _names("ruby gem bundle bundler irb rake rails rspec rubocop")
PERL = _names("perl cpan cpanm prove")
_PHP = _names("php composer")
_HASKELL = _names("ghc ghci cabal stack runghc haskell-language-server")
_OCAML = _names("ocaml ocamlc ocamlopt ocamlfind dune utop opam")
_R = _names("R Rscript")
_GIT = _names("git gh glab tig lazygit pre-commit")
_TERMINALS = _names("script expect tmux screen tmate gemini aider")
_SHARED_MEMORY = _names(
    "python python3 pytest black flask ipython jupyter chromium google-chrome mpirun mpiexec prterun"
)
_PROCESSES = _names("ps top htop pgrep pkill killall pidof lsof uptime vmstat pstree")
_TLS = _names("curl wget git gh pip pip3 npm pnpm yarn cargo go openssl") | NODE | PYTHON
_POSTGRESQL = _names(
    "psql pg_dump pg_dumpall pg_restore pg_isready createdb dropdb createuser dropuser vacuumdb reindexdb"
)
_ANSIBLE = _names(
    "ansible ansible-config ansible-console ansible-doc ansible-galaxy ansible-inventory ansible-lint "
    "ansible-playbook ansible-pull ansible-vault molecule"
)
_ERLANG = _names("elixir iex mix erl")
_CONTAINERS = _names("podman buildah podman-compose")
SSH = _names("ssh scp sftp rsync")
REACHES_A_REMOTE = _names("push pull fetch clone ls-remote submodule")
# Programs that work on the directory where they start: some only read it, others write it too.
READ_HERE = NODE | PYTHON | _JAVA | _names("ls find rg tree du wc sort")
BUILD_HERE = (
    _C
    | _RUST
    | _GO
    | _GIT
    | frozenset(AGENTS)
    | _names(
        "javac mvn mvnw gradle gradlew npm npx pnpm yarn webpack next vite pip pip3 uv uvx poetry tox nox"
    )
)


class Row(NamedTuple):
    """One path that programs usually need."""

    path: str  # with ~
    access: Access
    purpose: str
    programs: frozenset[str] = frozenset()
    is_whole: bool = True  # True: grant all of it for any file below
    is_filled: bool = False  # True: the kernel puts the files there, and the user may not
    is_told_if_denied: bool = False  # True: named, without an option, although a rule denies it
    operands: frozenset[str] = frozenset()  # needed with one of these alone; empty: whatever the operands
    instead: str | None = None  # what to do, as no option helps
    is_service: bool = False  # a Unix socket at which a program outside listens
    options: tuple[str, ...] = ()  # needed with one of these alone; empty: whatever the options
    unless: tuple[str, ...] = ()  # options and operands with which it is not needed

    def fits(self, started: Started) -> bool:
        """Return True if a program that was started with these words usually needs the path."""
        return (
            started.program in self.programs
            and not (self.operands and self.operands.isdisjoint(started.operands))
            and (not self.options or started.has_option(*self.options))
            and not started.has_option(*self.unless)
            and set(self.unless).isdisjoint(started.operands)
        )


_SSH_SETTINGS = ("~/.ssh/config", Access.READ, "your settings and names of hosts for ssh")
_KNOWN_HOSTS = ("~/.ssh/known_hosts", Access.READ, "the keys of hosts that ssh trusts")

_SETTINGS = (
    Row("/usr/include", Access.READ, "headers of C and C++", _C),
    Row("/usr/local/include", Access.READ, "headers of C and C++", _C),
    # Opening /dev/ptmx makes a terminal in /dev/pts, beside those of the user's other programs.
    Row("/dev/ptmx", Access.READWRITE, "makes terminals for others", _TERMINALS, is_whole=False),
    Row(
        *("/dev/pts", Access.READWRITE, "all terminals, yours among them", _TERMINALS),
        is_whole=False,
        is_filled=True,
    ),
    Row("/dev/shm", Access.READWRITE, "memory that processes share", _SHARED_MEMORY, is_whole=False),
    Row("/tmp", Access.READWRITE, "temporary files", _JAVA, is_whole=False),
    Row("/proc", Access.READ, "the processes of this host", _PROCESSES, is_whole=False),
    Row("/etc/ssl", Access.READ, "certificates of public authorities", _TLS),
    Row("~/.gitconfig", Access.READ, "your git settings", _GIT),
    Row("~/.config/git", Access.READ, "your git settings", _GIT),
    # They name programs that git runs outside.
    Row(
        *("~/.gitconfig", Access.WRITE, "your git settings", _names("git")),
        is_whole=False,
        operands=_names("config"),
        options=("--global",),
        instead="git config --local ..., for this repository alone; or run it outside",
    ),
    Row(
        *("~/.gitconfig", Access.WRITE, "your git settings", _names("git-lfs")),
        is_whole=False,
        operands=_names("install uninstall"),
        instead="git lfs install --local --skip-repo, for this repository alone, without hooks; or run it "
        "outside",
        unless=("--local", "--worktree", "--system", "--file"),
    ),
    Row("~/.byobu", Access.READ, "your settings of byobu", _names("byobu byobu-tmux byobu-screen")),
    Row(*_KNOWN_HOSTS, SSH, is_whole=False, is_told_if_denied=True),
    Row(*_KNOWN_HOSTS, _names("git"), is_whole=False, is_told_if_denied=True, operands=REACHES_A_REMOTE),
    Row(*_SSH_SETTINGS, SSH, is_whole=False, is_told_if_denied=True),
    Row(*_SSH_SETTINGS, _names("git"), is_whole=False, is_told_if_denied=True, operands=REACHES_A_REMOTE),
    Row(
        *("~/.gnupg", Access.READWRITE, "your keys of GnuPG", _names("gpg gpg2")),
        is_whole=False,
        is_told_if_denied=True,
        instead="mkdir -m 700 gnupg && gpg --homedir gnupg ..., which has keys of the project's own",
        unless=("--homedir",),
    ),
    Row(
        *("~/.m2/settings.xml", Access.READ, "Maven's settings", _names("mvn mvnw")),
        is_whole=False,
        is_told_if_denied=True,
        instead="mvn -s FILE, with settings that hold no password; or --read-file ~/.m2/settings.xml "
        "--bypass-protection ~/.m2/settings.xml, if yours hold none",
    ),
    Row(
        *("~/.npmrc", Access.READ, "npm's settings", _names("yarn yarnpkg")),
        is_whole=False,
        is_told_if_denied=True,
        instead="yarn --no-default-rc ..., which leaves out the project's .npmrc and .yarnrc too; or "
        "--read-file ~/.npmrc --bypass-protection ~/.npmrc, if yours holds no token",
    ),
    *(
        Row(
            *("~/.npmrc", Access.READ, "may name where npm installs for all projects", _names("npm")),
            is_whole=False,
            is_told_if_denied=True,
            instead="npx NAME, or npm install NAME in the project; npm install ../OTHER in place of npm link",
            options=options,
            operands=operands,
            unless=("run", "exec"),
        )
        for options, operands in ((("-g", "--global"), frozenset()), ((), _names("link ln")))
    ),
    Row(
        *("~/.distcc", Access.READWRITE, "where distcc keeps locks", _names("distcc")),
        is_whole=False,
        instead="DISTCC_DIR=DIR distcc ..., with a directory in the project and DISTCC_HOSTS for servers",
    ),
    # They may hold passwords, so no group grants them; the tools stop where they cannot read them.
    Row("~/.ansible.cfg", Access.READ, "Ansible's settings", _ANSIBLE, is_whole=False),
    # An Ansible outside would start what it copies there.
    *(
        Row(
            *("~/.ansible/tmp", Access.READWRITE, "where it manages localhost", _names(program)),
            is_whole=False,
            instead=f"{program} -e ansible_remote_tmp=/tmp ...",
            # As an operand it is the value of -e.
            unless=(
                *("ansible_remote_tmp=/tmp", "-eansible_remote_tmp=/tmp"),
                "--extra-vars=ansible_remote_tmp=/tmp",
            ),
        )
        for program in ("ansible", "ansible-playbook", "ansible-pull")
    ),
    Row("~/mise.toml", Access.READ, "settings of mise", _names("mise"), is_whole=False),
    Row("~/.mise.toml", Access.READ, "settings of mise", _names("mise"), is_whole=False),
    Row("~/uv.toml", Access.READ, "settings of uv", _names("uv uvx"), is_whole=False),
    Row("~/.bazelrc", Access.READ, "settings of Bazel", _names("bazel bazelisk"), is_whole=False),
    Row(
        *("~/.local/share/containers", Access.READWRITE, "your images and containers", _CONTAINERS),
        is_whole=False,
        instead="run it outside; a container takes mounts and a user namespace, which a run may not make",
    ),
    # Keys for registries may lie beside them, so no run reads them by itself.
    Row("/etc/containers", Access.READ, "settings for images of containers", _names("skopeo")),
    # What lies there is what the next build outside is made of, so it is not offered.
    Row(
        *("~/.cache/bazel", Access.READWRITE, "where Bazel builds", _names("bazel bazelisk")),
        is_whole=False,
        # In single quotes, because the variable is the run's.
        instead="""sh -c 'bazel --output_user_root="$XDG_CACHE_HOME/bazel" build ...', which builds in the """
        "caches of the run",
    ),
    # Its settings are beside its login.
    Row(
        *("~/.config/.wrangler", Access.READWRITE, "settings and login of Wrangler", _names("wrangler")),
        is_whole=False,
        instead="""sh -c 'XDG_CONFIG_HOME="$XDG_CACHE_HOME/config" wrangler ...', which has settings of """
        "the run's own, without your login",
    ),
    # They stop where they cannot make a directory there, which in a fresh home is not there to be granted.
    Row(
        *("~/.config", Access.READWRITE, "where it keeps your last answers", _names("create-next-app")),
        is_whole=False,
        instead="""sh -c 'XDG_CONFIG_HOME="$XDG_CACHE_HOME/config" npx create-next-app ...', which has """
        "settings of the run's own",
    ),
    Row(
        *("~/.config", Access.READWRITE, "where Verdaccio writes its settings", _names("verdaccio")),
        is_whole=False,
        instead="verdaccio --config FILE, with settings in the project",
        unless=("-c", "--config"),
    ),
    # Its plugins run outside too.
    Row(
        *("~/.vagrant.d", Access.READWRITE, "your boxes and plugins of Vagrant", _names("vagrant")),
        is_whole=False,
        instead="""sh -c 'VAGRANT_HOME="$XDG_CACHE_HOME/vagrant" vagrant ...', which has boxes of the """
        "run's own",
    ),
    # Browsers outside may trust its CA, whose key lies there.
    Row(
        *("~/.local/share/caddy", Access.READWRITE, "certificates and keys of Caddy", _names("caddy")),
        is_whole=False,
        instead="""sh -c 'XDG_DATA_HOME="$XDG_CACHE_HOME/data" caddy ...', which has a CA of the run's own""",
    ),
    # What was typed in the person's shells may hold secrets.
    Row(
        *("~/.local/share/atuin", Access.READWRITE, "what you have typed in your shells", _names("atuin")),
        is_whole=False,
        instead="""sh -c 'XDG_CONFIG_HOME="$XDG_CACHE_HOME/config" XDG_DATA_HOME="$XDG_CACHE_HOME/data" """
        """atuin ...', which has a history of the run's own""",
    ),
    # What they change there holds outside too.
    Row(
        *("~/.rustup", Access.READWRITE, "your toolchains of Rust", _names("rustup")),
        is_whole=False,
        operands=_names("component default install override target uninstall update"),
        instead="run it outside; inside, rust-toolchain.toml in the project or RUSTUP_TOOLCHAIN=NAME chooses "
        "one that is installed",
    ),
    Row(
        *("~/.pyenv", Access.READWRITE, "your versions of Python", _names("pyenv")),
        is_whole=False,
        operands=_names("global install rehash uninstall virtualenv"),
        instead="run it outside; inside, `pyenv local` or PYENV_VERSION=NAME chooses one that is installed",
    ),
    Row(
        *("~/.local/share/direnv", Access.READWRITE, "what you have allowed direnv", _names("direnv")),
        is_whole=False,
        operands=_names("allow permit grant block deny disallow revoke"),
        instead="run it outside, once: what it allows holds there too",
    ),
    # With it a command could start programs on the person's other nodes. Erlang makes it for reading only.
    *(
        Row(
            *("~/.erlang.cookie", access, "the secret of your other nodes", _ERLANG),
            is_whole=False,
            options=("--sname", "--name", "-sname", "-name"),
            instead="elixir --cookie WORD ..., erl -setcookie WORD ...: a word of your own",
            unless=("--cookie", "-setcookie"),
        )
        for access in (Access.READ, Access.READWRITE)
    ),
    # In namespaces a run has another /run/screen, with full access.
    Row(
        *("/run/screen", Access.READWRITE, "where your screens listen", _names("screen")),
        is_whole=False,
        instead="""sh -c 'mkdir -pm 700 "$TMPDIR/s"; SCREENDIR="$TMPDIR/s" screen ...', which finds no """
        "screens of yours",
    ),
    # Debian's psql asks it which server is meant, and ends with a word about a data directory.
    Row(
        *("/etc/postgresql", Access.READ, "servers of this machine", _POSTGRESQL),
        is_whole=False,
        unless=("-h", "--host"),
    ),
)
# Programs that a person has installed, which do not run without what lies beside them.
_INSTALLED = (
    Row("~/.nvm", Access.READ, "your versions of Node.js", NODE),
    Row("~/.fnm", Access.READ, "your versions of Node.js", NODE),
    Row("~/.local/share/fnm", Access.READ, "your versions of Node.js", NODE),
    Row("~/.volta", Access.READ, "your versions of Node.js", NODE),
    # A shim runs the manager, which reads what it has installed.
    Row("~/.local/share/mise", Access.READ, "programs that mise has installed"),
    Row("~/.asdf", Access.READ, "programs that asdf has installed"),
    Row("~/.rbenv", Access.READ, "your versions of Ruby", RUBY),
    Row("~/.rvm", Access.READ, "your versions of Ruby", RUBY),
    # Not the directories around these, in which gem and composer keep logins.
    Row("~/.gem/ruby", Access.READ, "your gems", RUBY),
    Row("~/.local/share/gem/ruby", Access.READ, "your gems", RUBY),
    Row("~/perl5", Access.READ, "your modules of Perl", PERL),
    Row("~/.config/composer/vendor", Access.READ, "your packages of PHP", _PHP),
    Row("~/.composer/vendor", Access.READ, "your packages of PHP", _PHP),
    Row("~/.ghcup", Access.READ, "your toolchains of Haskell", _HASKELL),
    Row("~/.opam", Access.READ, "your toolchains of OCaml", _OCAML),
    Row("~/R", Access.READ, "your packages of R", _R),
    Row("~/.pyenv", Access.READ, "your versions of Python", PYTHON),
    Row("~/.local/share/uv/python", Access.READ, "your versions of Python", PYTHON),
    Row("~/.local/share/uv/tools", Access.READ, "your programs of Python", PYTHON),
    Row("~/.local/share/pipx", Access.READ, "your programs of Python", PYTHON),
    Row("~/.local/lib", Access.READ, "your packages of Python", PYTHON),
    Row("~/.rustup", Access.READ, "your toolchains of Rust", _RUST),
    Row("~/.cargo/bin", Access.READ, "your programs of Rust", _RUST),
    Row("/usr/local/go", Access.READ, "the toolchain of Go", _GO),
    Row("~/.sdkman", Access.READ, "your versions of Java", _JAVA),
)
# What a shim runs, where that lies elsewhere. Cargo and rustc of rustup are links to it.
_RUN_BY = {"rustup": "~/.rustup"}
# Includes paths that shipped groups grant to most runs, because a profile may exclude a group and a manifest
# grants nothing by itself.
TABLE = (*_SETTINGS, *_INSTALLED)
# Programs that change files, by the operands they change.
WRITE_LAST = _names("cp mv ln install")
CHANGE_NAMES = _names("mkdir rm rmdir unlink")  # they write the parent directory
WRITE_ALL = CHANGE_NAMES | _names("touch tee truncate")
# Programs whose exit codes are answers, not failures.
ANSWERS = _names("test [ grep egrep fgrep zgrep rg ag diff cmp expr false pgrep pidof which type comm")
WORKDIR = "the working directory"
_MODULES = "/node_modules/"
_MARKS_OF_PYTHON = ("pyvenv.cfg", "conda-meta")  # of an environment: of Python itself, of conda


def usual_place(
    path: str, access: Access, path_context: PathContext, fs: Filesystem
) -> tuple[str, str] | None:
    """Return the directory around `path` that is usually granted whole, and its purpose, or None.

    `path` is canonical. A directory is returned only if `access` is usually needed there.
    """
    rows = (*TABLE, Row(path_context.workdir, Access.READWRITE, WORKDIR))
    return _place_of(rows, path, access, path_context, fs)


def place_of_program(path: str, path_context: PathContext, fs: Filesystem) -> str | None:
    """Return the directory without which a program does not run, or None if its file is enough.

    `path` is canonical. A program of Python belongs to a virtual environment, one of Node.js to the modules
    that were installed with it.
    """
    usual = _place_of(_INSTALLED, path, Access.READ, path_context, fs)
    if usual is not None:
        return usual[0]
    environment = dirname(dirname(path))
    if _MODULES in path:
        place = path.partition(_MODULES)[0] + _MODULES.rstrip("/")  # packages that it needs lie beside it
    elif any(fs.kind(join(environment, name)) is not None for name in _MARKS_OF_PYTHON):
        place = environment
    else:
        return None
    return None if opens_too_much(place, path_context, fs) else place


def places_of_program(path: str, path_context: PathContext, fs: Filesystem) -> tuple[str, ...]:
    """Return the directories without which a program does not run; empty if its file is enough."""
    place = place_of_program(path, path_context, fs)
    if place is None:
        return ()
    runs = canonical_as_far(path_context.of_flag(_RUN_BY.get(basename(path), place)), fs)
    return (place,) if fs.kind(runs) is None else tuple(dict.fromkeys((place, runs)))


def _place_of(
    rows: tuple[Row, ...], path: str, access: Access, path_context: PathContext, fs: Filesystem
) -> tuple[str, str] | None:
    for row in rows:
        place = canonical_as_far(path_context.of_flag(row.path), fs)
        is_covered = row.is_whole and row.access.covers(access) and is_within(path, place)
        if is_covered and not opens_too_much(place, path_context, fs):
            return place, row.purpose
    return None
