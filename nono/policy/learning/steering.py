"""Name the files by which a command could run or steer programs outside its sandbox.

A command that can write one of them controls other programs of the user: the shell at the next login, git in
any repository, an editor, the desktop. `nono learn` lists such a path with its reason and offers no grant.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from posixpath import basename, join, normpath

from nono.named_tuple import NamedTuple
from nono.policy.learning.agent_programs import (
    HOMES,
    IN_HOMES,
    IN_ONE_HOME,
    IN_PROJECTS,
    INSTALLED,
    INSTALLED_IN_PROJECTS,
    RENDEZVOUS,
    settings_files,
    state_directories,
)
from nono.policy.path_expansion import Filesystem, PathContext, ancestry, canonical_as_far, is_within

_SHELL = "a shell outside reads it when it starts"
_LOGIN = "the desktop or a login outside runs what it names"
_SERVICE = "the service manager outside runs what it names"
_GIT = "git outside runs what it names"
_SSH = "ssh outside runs what it names"
_EDITOR = "an editor outside runs what it holds"
_TOOL = "a tool outside runs what it names, or fetches from where it says"
_LANGUAGE = "programs outside load it"
_PROGRAM = "programs outside are started from there"
_TERMINAL = "a terminal outside runs what it names"
_AGENT = "an agent outside runs what it names"
_SYSTEM = "the system outside is set up by it"

# Relative to the home directory. A name covers itself and everything below it.
_AT_HOME = {
    _SHELL: (
        ".profile", ".login", ".logout", ".bashrc", ".bash_profile", ".bash_login", ".bash_logout",
        ".bash_aliases", ".bash_completion", ".inputrc", ".zshrc", ".zshenv", ".zprofile", ".zlogin",
        ".zlogout", ".oh-my-zsh", ".zsh", ".kshrc", ".mkshrc", ".cshrc", ".tcshrc", ".envrc",
        ".direnvrc", ".asdf", ".asdfrc", ".nvm", ".pyenv", ".rbenv", ".sdkman", ".tool-versions",
        ".fzf.bash", ".fzf.zsh", ".fzf", ".bashrc.d", ".zshrc.d", ".p10k.zsh", ".xonshrc", ".elvish",
        ".local/share/bash-completion", ".local/share/fish", ".nix-profile",
    ),
    _LOGIN: (
        ".xinitrc", ".xprofile", ".xsession", ".xsessionrc", ".Xresources", ".pam_environment", ".dmrc",
        ".local/share/applications", ".local/share/dbus-1", ".local/share/kservices5", ".kde", ".kde4",
        ".local/share/nautilus", ".local/share/gnome-shell", ".forward", ".procmailrc",
        "Library/LaunchAgents", "Library/Preferences",
    ),
    _SERVICE: (".local/share/systemd",),
    _GIT: (
        ".gitconfig", ".git-credentials", ".git-templates", ".hgrc", ".lazygit", ".tigrc",
        ".gitattributes", ".subversion",
    ),
    _SSH: (".ssh", ".pki"),
    _EDITOR: (
        ".vimrc", ".gvimrc", ".ideavimrc", ".vim", ".exrc", ".nanorc", ".emacs", ".emacs.d",
        ".spacemacs", ".doom.d", ".vscode", ".vscode-server", ".vscode-oss", ".cursor", ".windsurf",
        ".idea", ".local/share/nvim", ".local/share/JetBrains", ".editorconfig",
    ),
    _TOOL: (
        ".npmrc", ".yarnrc", ".yarnrc.yml", ".pnpmrc", ".bunfig.toml", ".pip", ".pypirc",
        ".pydistutils.cfg", ".condarc", ".cargo/config", ".cargo/config.toml", ".cargo/env",
        ".rustup/settings.toml", ".rustup/toolchains", ".m2/settings.xml", ".mavenrc",
        ".m2/extensions.xml", ".gradle/gradle.properties", ".gradle/init.gradle",
        ".gradle/init.gradle.kts", ".gradle/init.d", ".sbt", ".gemrc", ".bundle/config", ".irbrc",
        ".pryrc", ".composer/config.json", ".curlrc", ".wgetrc", ".netrc", ".gdbinit", ".lldbinit",
        ".aws/config", ".kube", ".docker", ".terraformrc", ".ansible.cfg", ".makepkg.conf",
        ".rpmmacros", ".lesskey", ".psqlrc", ".my.cnf", ".sqliterc", ".gnupg", ".mailcap", ".dircolors",
        ".pylintrc", ".local/share/mise", ".local/share/virtualenvs", ".local/share/uv",
        ".local/share/pipx", ".muttrc", ".mutt", ".mailrc", ".msmtprc", ".mbsyncrc", ".latexmkrc",
        ".devscripts", ".quiltrc", ".vagrant.d", ".mozilla", ".thunderbird",
    ),
    _LANGUAGE: (
        ".pythonrc", ".pythonstartup", ".ipython", ".jupyter", ".ghci", ".iex.exs", ".lein",
        ".local/lib", ".node_modules", ".julia/config", ".Rprofile", ".Renviron",
    ),
    _PROGRAM: (
        "bin", ".bin", ".local/bin", ".cargo/bin", ".npm-global", "go/bin", ".bun/bin", ".deno/bin",
        ".yarn/bin",
    ),
    _TERMINAL: (".tmux.conf", ".tmux", ".screenrc", ".Xdefaults", ".wezterm.lua", ".hushlogin"),
    _AGENT: (
        ".claude/commands", ".claude/plugins", ".claude/hooks", ".claude/agents", ".claude/skills",
        ".claude.json", ".mcp.json", ".aider.conf.yml", ".pi",
    ),
}  # fmt: skip
# Relative to the configuration directory, ~/.config or $XDG_CONFIG_HOME.
_SETTINGS = {
    _SHELL: (
        "fish", "direnv", "starship.toml", "mise", "asdf", "zsh", "nushell", "powershell",
        "environment.d", "bash",
    ),
    _LOGIN: (
        "autostart", "autostart-scripts", "plasma-workspace", "sway", "i3", "hypr", "awesome", "bspwm",
        "sxhkd", "openbox", "kglobalshortcutsrc", "mimeapps.list", "dconf", "xfce4", "labwc", "niri",
        "river", "qtile", "user-dirs.dirs", "waybar", "polybar", "dunst",
    ),
    _SERVICE: ("systemd", "dbus-1", "pipewire", "pulse", "wireplumber", "user-tmpfiles.d"),
    _GIT: ("git", "gh", "glab-cli", "hg", "jj", "lazygit", "tig"),
    _EDITOR: (
        "nvim", "vim", "emacs", "doom", "helix", "kak", "micro", "nano", "zed", "Code", "Code - OSS",
        "VSCodium", "Cursor", "Windsurf", "sublime-text", "sublime-text-3", "JetBrains", "lite-xl",
    ),
    _TOOL: (
        "pip", "uv", "pypoetry", "pdm", "npm", "yarn", "pnpm", "composer", "NuGet", "containers",
        "docker", "helm", "k9s", "go", "ripgreprc", "broot", "ranger", "lf", "yazi", "nnn", "mc", "mpv",
        "aerc", "neomutt", "mutt", "gdb", "ccache", "curlrc", "wgetrc", "pre-commit", "matplotlib",
        "gcloud", "conda", "nix", "nixpkgs", "home-manager", "yt-dlp", "youtube-dl", "qutebrowser",
        "chromium", "google-chrome", "BraveSoftware", "microsoft-edge",
    ),
    _LANGUAGE: ("ipython", "python", "bpython", "ptpython", "jupyter"),
    _TERMINAL: (
        "tmux", "kitty", "alacritty", "wezterm", "foot", "ghostty", "terminator", "konsole", "zellij",
        "rofi",
    ),
    _AGENT: ("opencode", "claude", "Claude", "codex", "goose", "crush"),
}  # fmt: skip
# In any directory: a program that works there outside the sandbox reads it.
_ANYWHERE = {
    _GIT: (
        ".git/config", ".git/hooks", ".git/info/attributes", ".git/modules", ".gitmodules", ".githooks",
        ".husky", ".lfsconfig",
        ".hg/hgrc", ".jj/repo/config.toml",
    ),
    _EDITOR: (
        ".vscode", ".idea", ".exrc", ".nvimrc", ".nvim.lua", ".dir-locals.el", ".vimrc", ".zed",
        ".cursor",
    ),
    _SHELL: (".envrc", ".mise", ".mise.toml", "mise.toml", ".config/mise", ".tool-versions"),
    _TOOL: (
        ".npmrc", ".yarnrc", ".yarnrc.yml", "pip.conf", ".cargo/config", ".cargo/config.toml",
        ".pre-commit-config.yaml", ".gdbinit", ".pnp.cjs", ".pnpmfile.cjs", ".yarn/releases",
        ".yarn/plugins", ".mvn",
    ),
    _LANGUAGE: (
        "sitecustomize.py", "usercustomize.py", ".pdbrc", ".irbrc", ".pryrc", ".Rprofile", ".Renviron",
        ".ghci", ".iex.exs", ".ocamlinit",
    ),
    _AGENT: (*IN_PROJECTS, *INSTALLED_IN_PROJECTS),
}  # fmt: skip
# In the state directory of an agent, which a variable may move.
_OF_AGENTS = {
    state: (
        *(IN_HOMES if state in HOMES else ()),
        *(name for name in IN_ONE_HOME.get(state, ()) if "*" not in name),
        *INSTALLED.get(state, ()),
        *RENDEZVOUS.get(state, ()),
    )
    for state in dict.fromkeys((*HOMES, *INSTALLED, *RENDEZVOUS))
}
_BELOW_SYSTEM = (
    "/etc",
    "/usr",
    "/opt",
    "/boot",
    "/lib",
    "/lib64",
    "/bin",
    "/sbin",
    "/var/spool",
    "/Library",
    "/run",
)
_SUFFIXES = {
    ".pth": _LANGUAGE,  # in any site-packages
    ".code-workspace": _EDITOR,
    ".sublime-project": _EDITOR,
}


class SteeringPaths(NamedTuple):
    """One user's canonical paths, each with its reason."""

    reasons: dict[str, str]

    def reason(self, path: str) -> str | None:
        """Return why granting write access to `path`, canonical, would affect programs outside, or None."""
        for above in ancestry(path):
            if (found := self.reasons.get(above)) is not None:
                return found
        if (found := _by_name(path)) is not None:
            return found
        inside = next((each for each in self.reasons if is_within(each, path)), None)
        return None if inside is None else f"{basename(inside)} is below it: {self.reasons[inside]}"


def steering_paths(path_context: PathContext, fs: Filesystem) -> SteeringPaths:
    """Return the paths for the user of `path_context`, with the directories of PATH."""
    found: dict[str, str] = {}
    for path, reason in _named(path_context):
        found.setdefault(canonical_as_far(path, fs), reason)
    return SteeringPaths(found)


def _named(path_context: PathContext) -> Iterator[tuple[str, str]]:
    home = path_context.home
    for entry in path_context.environ.get("PATH", "").split(":"):
        if entry.startswith("/"):
            yield entry, _PROGRAM
    yield from _below(home, _AT_HOME)
    for settings in {
        join(home, ".config"),
        path_context.built_in("XDG_CONFIG_HOME") or join(home, ".config"),
    }:
        yield from _below(settings, _SETTINGS)
    for state, names in _OF_AGENTS.items():
        for directory in state_directories(state, path_context, normpath):
            yield from ((join(directory, name), _AGENT) for name in names)
    yield from ((path, _AGENT) for path in settings_files(path_context, normpath))
    for path in _BELOW_SYSTEM:
        yield path, _SYSTEM


def _below(directory: str, names: dict[str, tuple[str, ...]]) -> Iterator[tuple[str, str]]:
    for reason, paths in names.items():
        for path in paths:
            yield join(directory, path), reason


def _by_name(path: str) -> str | None:
    parts = path.split("/")
    for reason, names in _ANYWHERE.items():
        if any(_occurs(name.split("/"), parts) or _ends_above(name.split("/"), parts) for name in names):
            return reason
    return next((reason for suffix, reason in _SUFFIXES.items() if path.endswith(suffix)), None)


def _occurs(name: Sequence[str], parts: Sequence[str]) -> bool:
    starts = range(len(parts) - len(name) + 1)
    return any(list(parts[at : at + len(name)]) == list(name) for at in starts)


def _ends_above(name: Sequence[str], parts: Sequence[str]) -> bool:
    """Return True for a directory that contains such a file, as ``.git`` contains ``.git/hooks``."""
    return any(list(parts[-count:]) == list(name[:count]) for count in range(1, len(name)))
