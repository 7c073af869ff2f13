"""Recognise variables whose name suggests that they hold a secret."""

# Words of a name in upper case: found anywhere, at the end, or as the last word.
_ANYWHERE = ("PASSWORD", "PASSWD", "PASSPHRASE", "SECRET")
_AT_END = (
    "TOKEN", "CREDENTIALS", "CREDENTIAL", "ASKPASS", "APIKEY", "AUTHKEY",
    "API_KEY", "API_KEYS", "ACCESS_KEY", "ACCESS_KEY_ID", "PRIVATE_KEY", "AUTH_KEY", "ENCRYPTION_KEY",
    "SIGNING_KEY", "MASTER_KEY", "ACCOUNT_KEY", "SERVICE_KEY", "SERVICE_ROLE_KEY", "LICENSE_KEY",
)  # fmt: skip
_LAST_WORD = frozenset({"TOKENS", "PASS", "SSHPASS", "PAT", "JWT", "BEARER"})
_WHOLE = frozenset({"BW_SESSION", "COMPOSER_AUTH", "DOCKER_AUTH_CONFIG", "NPM_CONFIG__AUTH", "REDISCLI_AUTH"})

_ABOUT_A_FILE = ("_FILE", "_PATH", "_DIR")
_SWITCHES = frozenset({"", "0", "1", "true", "false", "yes", "no", "on", "off", "none"})
_PUBLISHED = frozenset({"PUBLIC", "PUBLISHABLE"})
_FINGERPRINTS = frozenset({"GPG_KEY"})
_RANDOM_MIN = 20  # minimum length for a value to count as a key if the name ends in KEY


def is_switch(value: str) -> bool:
    """Return True for a value too short to be a secret, such as that of USE_TOKEN=1."""
    return value.lower() in _SWITCHES


def says_secret(name: str, value: str) -> bool:
    """Return True if the name of a variable suggests that it holds a secret.

    The value tells a count of tokens from a token, the name of a secret from a secret, and a path, about
    which the grants decide, from a password.
    """
    upper = name.upper()
    words = upper.split("_")
    is_path = value.startswith(("/", "~/"))
    if is_path and upper.endswith(_ABOUT_A_FILE):
        return False
    if words[-1] == "NAME" and not _looks_random(value):
        return False
    if upper in _WHOLE or any(part in upper for part in _ANYWHERE):
        return True
    if words[-1] in ("TOKENS", "PAT") and value.isdecimal():
        return False
    if "KEY" in words and not _PUBLISHED.isdisjoint(words):
        return False
    if upper.endswith(_AT_END) or words[-1] in _LAST_WORD:
        return True
    if words[-1] == "PWD" and len(words) > 1:  # MYSQL_PWD, but not PWD or OLD_PWD
        return not is_path
    return words[-1] == "KEY" and upper not in _FINGERPRINTS and _looks_random(value)


def _looks_random(value: str) -> bool:
    """Return True for a long word of letters and digits, unlike a cache key, a file or a keyboard setting."""
    letters = value.replace("-", "").replace("_", "").replace("+", "").rstrip("=")
    has_both = any(map(str.isdecimal, letters)) and any(map(str.isalpha, letters))
    return len(letters) >= _RANDOM_MIN and letters.isascii() and letters.isalnum() and has_both
