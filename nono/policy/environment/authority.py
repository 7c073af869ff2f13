"""Recognise variables that point to authority: sockets of agents and engines, files that hold credentials."""

from collections.abc import Mapping

# Terminals, editors and window managers run commands outside for whoever connects.
_WINDOWS = frozenset(
    {
        "ALACRITTY_SOCKET",
        "I3SOCK",
        "NIRI_SOCKET",
        "NVIM",
        "RXVT_SOCKET",
        "SWAYSOCK",
        "VSCODE_IPC_HOOK",
        "WEZTERM_UNIX_SOCKET",
    }
)
_KITTY = "KITTY_LISTEN_ON"  # "unix:SOCKET"
_SOCKETS = (
    frozenset({"SSH_AUTH_SOCK", "VSCODE_GIT_IPC_HANDLE", "VSCODE_IPC_HOOK_CLI", "WATCHMAN_SOCK"}) | _WINDOWS
)
_TMUX = "TMUX"  # "SOCKET,PID,SESSION"; who connects runs commands outside, and tmux fails without the socket
# Those of assistive technology and input methods read what a person types, and type into windows; a service
# that was started finds its bus by the last.
_BUSES = frozenset(
    {
        "DBUS_SESSION_BUS_ADDRESS",
        "DBUS_SYSTEM_BUS_ADDRESS",
        "AT_SPI_BUS_ADDRESS",
        "IBUS_ADDRESS",
        "DBUS_STARTER_ADDRESS",
    }
)
_ENGINES = frozenset({"DOCKER_HOST", "CONTAINER_HOST", "BUILDKIT_HOST"})
_FILES = frozenset(
    """KUBECONFIG GOOGLE_APPLICATION_CREDENTIALS CLOUDSDK_CONFIG AWS_SHARED_CREDENTIALS_FILE AWS_CONFIG_FILE
    AWS_WEB_IDENTITY_TOKEN_FILE AZURE_CONFIG_DIR AZURE_FEDERATED_TOKEN_FILE DOCKER_CONFIG DOCKER_CERT_PATH
    GNUPGHOME GNOME_KEYRING_CONTROL PGPASSFILE NETRC KRB5CCNAME KRB5_KTNAME CREDENTIALS_DIRECTORY
    BOTO_CONFIG""".split()  # noqa: SIM905 - a list of words reads better than one of literals
)
SOCKET, FILES = "a Unix socket", "files"
POINTERS: Mapping[str, str] = {
    **dict.fromkeys(_SOCKETS | {_TMUX, _KITTY} | _BUSES | _ENGINES, SOCKET),
    **dict.fromkeys(_FILES, FILES),
}
# Where clients find the certificates that they trust, one variable for each way. These replace their own.
CERTIFICATE_BUNDLES = (
    "SSL_CERT_FILE",  # OpenSSL, so Python and Ruby; Go, so gh; uv, rustls-native-certs
    "NIX_SSL_CERT_FILE",  # OpenSSL from nixpkgs reads it before SSL_CERT_FILE
    "REQUESTS_CA_BUNDLE",
    "PIP_CERT",
    "HTTPLIB2_CA_CERTS",
    "CLOUDSDK_CORE_CUSTOM_CA_CERTS_FILE",  # gcloud, which bundles its own roots
    "AWS_CA_BUNDLE",
    "GRPC_DEFAULT_SSL_ROOTS_FILE_PATH",
    "CURL_CA_BUNDLE",
    "GIT_SSL_CAINFO",
    "CARGO_HTTP_CAINFO",
    "npm_config_cafile",  # a cafile in some npmrc would replace everything Node trusts; yarn, pnpm
)
# These add to the ones that the client brings.
ADDED_CERTIFICATES = ("NODE_EXTRA_CA_CERTS", "DENO_CERT")
CERTIFICATES = "NODE_EXTRA_CA_CERTS"  # Node warns at each start about a file of these that it cannot read

# Set in every window of a program that people type in all day: to withhold them is no news.
OF_TERMINALS = frozenset({_TMUX, _KITTY}) | _WINDOWS


def targets(name: str, value: str) -> tuple[str, ...] | None:
    """Return the paths that the pointer names, as written; None if it points to anything else."""
    if name in _BUSES:
        paths = [_bus_path(address) for address in value.split(";") if address]
    elif name == _TMUX:
        paths = [value.rsplit(",", 2)[0]]
    elif name == _KITTY:
        paths = [value.removeprefix("unix:")]
    elif name in _ENGINES:
        paths = [value.removeprefix("unix://") if value.startswith("unix://") else ""]
    elif name == "KUBECONFIG":
        paths = [path for path in value.split(":") if path]
    else:
        paths = [value.removeprefix("FILE:") if name.startswith("KRB5") else value]
    if not paths or not all(path.startswith("/") for path in paths):
        return None
    return tuple(paths)


def sockets_named(name: str, value: str) -> tuple[str, ...]:
    """Return the paths at which some client finds a socket by the pointer, whatever else it points to."""
    if name in _BUSES:
        return tuple(path for address in value.split(";") for path in targets(name, address) or ())
    if name in _ENGINES and value.startswith("unix:"):
        # podman takes any number of slashes, and the escapes of a URL.
        path = "/" + value.removeprefix("unix:").lstrip("/")
        return tuple(dict.fromkeys((path, _unescaped(path))))
    return targets(name, value) or ()


def programs_of(value: str, search_path: str, home: str) -> tuple[str, ...]:
    """Return the absolute paths at which a shell looks for the program of a command line such as EDITOR's.

    Empty for a path relative to the working directory. What a shell replaces is looked for as it stands.
    """
    word = next(iter(value.split()), "")
    if word.startswith("~/"):
        return (home + word[1:],) if home.startswith("/") else ()
    if "/" in word or not word:
        return (word,) if word.startswith("/") else ()
    return tuple(f"{each}/{word}" for each in search_path.split(":") if each.startswith("/"))


def flag_for(name: str) -> str:
    """Return the flag that grants what the pointer names, for a shell, which expands its value."""
    if name in _SOCKETS:
        return f'--allow-unix-socket "${name}"'
    if name == _TMUX:
        return f'--allow-unix-socket "${{{name}%,*,*}}"'
    if name == _KITTY:
        return f'--allow-unix-socket "${{{name}#unix:}}"'
    if name in _BUSES or name in _ENGINES:
        return f"--allow-unix-socket PATH, or --env {name}"
    return f'--read-file "${name}"'


def _bus_path(address: str) -> str:
    """Return the path of one D-Bus server address; "" if it has none."""
    transport, _, pairs = address.partition(":")
    found = dict(pair.partition("=")[::2] for pair in pairs.split(","))
    return _unescaped(found.get("path", "")) if transport == "unix" else ""


def _unescaped(value: str) -> str:
    """Return a value of a D-Bus address, or the path of a URL, with its bytes for `%20` and the like."""
    found, *escaped = value.encode("utf-8", "surrogateescape").split(b"%")
    for each in escaped:
        is_byte = len(each) > 1 and all(digit in b"0123456789abcdefABCDEF" for digit in each[:2])
        is_byte = is_byte and each[:2] != b"00"  # which no path has
        found += bytes((int(each[:2], 16),)) + each[2:] if is_byte else b"%" + each
    return found.decode("utf-8", "surrogateescape")
