"""Find a key in git's settings, which every run may read: git ends with an error where it may not."""

from nono.policy.environment.secret_names import is_switch, says_secret
from nono.policy.environment.secret_values import secret_in

# Without one of these there is nothing to look for.
_WORDS = ("://", "extraheader", "key", "pass", "secret", "token")
_PLACES = ("dir", "file", "path", "store")  # ends of names whose value is a path


def line_with_key(text: str) -> int | None:
    """Return the number of the first line that seems to hold a key, counted from 1."""
    if not any(word in text.lower() for word in _WORDS):
        return None
    is_alias = False
    for number, line in enumerate(text.splitlines(), 1):
        start = line.lstrip().lower()
        if start.startswith("["):
            is_alias = start.startswith("[alias]")
        if not start.startswith(("#", ";")) and _holds_key(line, is_alias=is_alias):
            return number
    return None


def _holds_key(line: str, *, is_alias: bool) -> bool:
    """is_alias: The name is a person's own word for a command."""
    if secret_in(line) is not None:
        return True
    if is_alias:
        return False
    before, _, after = line.partition("=")
    name, value = before.split("]")[-1].strip().lower(), after.strip().strip('"')
    if name == "extraheader":
        header, _, credential = value.partition(":")
        is_login = header.lower().endswith("authorization")  # of the server, or of a proxy
        return is_login or says_secret(header.replace("-", "_"), credential.strip())
    is_place = name.endswith(_PLACES) and value.startswith(("/", "~/"))
    is_program = name == "askpass" or (value.startswith("!") and name != "smtppass")  # helpers
    is_secret = name == "smtppass" or says_secret(name.replace("-", "_"), value)
    return is_secret and not is_place and not is_program and not is_switch(value)
