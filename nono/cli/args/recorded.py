"""Choose which options of a run its log keeps for judging it again later, and read them back."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import groupby

from nono.audit.redact import Redaction, redact_text
from nono.cli.args.options import OPTIONS, WHY, Kind, Option, ports_of
from nono.cli.args.parse import Given

_BETWEEN_WORDS = str.maketrans(dict.fromkeys("/:=?&#@,;", " "))
_WITH_PATHS = ("allow_domain", "deny_domain", "allow_endpoint")
RANDOM_CHARACTERS = 20
# Cut by all else: the token of a Telegram bot follows a colon, that of other hooks an at sign or a full stop.
_LONG_PARTS = rf"[A-Za-z0-9_-]{{{RANDOM_CHARACTERS},}}"
CHARACTERS_MAX = 64 * 1024  # of all values together
# None of these can stand beside one of the others, whichever of them is given.
_ALL_OR_NOTHING = ("block_net", "allow_net")
_OF_NETWORK = (
    *_ALL_OR_NOTHING, "network_profile", "allow_domain", "deny_domain", "credential", "allow_endpoint",
    "max_cost", "mcp_server", "upstream_proxy", "upstream_bypass", "allow_connect_port",
)  # fmt: skip


def recordable(given: Given, redaction: Redaction) -> tuple[dict[str, object], list[str]]:
    """Return the options that say what a run may do, by their names, and the flags of those left out.

    An option is left out if one of its values may be secret, or is no text.
    """
    found, left_out = dict[str, object](), list[str]()
    left = CHARACTERS_MAX
    for option in _judging():
        if option.dest not in given.values:
            continue
        value = _plain(option, given)
        texts = [value] if isinstance(value, str) else value if isinstance(value, list) else []
        left -= sum(map(len, texts))
        is_open = all(_is_open(text, redaction) for text in texts)
        if left < 0 or not is_open or (option.dest in _WITH_PATHS and any(map(_has_random_part, texts))):
            left_out.append(option.flags[0])
        else:
            found[option.dest] = value
    return found, left_out


def _judging() -> Iterator[Option]:
    """Yield the options on which a verdict depends. `nono why` asks nobody, so it has no --ask."""
    return (option for option in OPTIONS if WHY in option.commands or option.dest == "ask")


def _plain(option: Option, given: Given) -> str | list[str] | bool:
    match option.kind:
        case Kind.VALUE:
            return given.value(option.dest) or ""
        case Kind.LIST:
            return list(given.list(option.dest))
        case Kind.PORTS | Kind.PORT_RANGES:
            return list(_ranges(given.ports(option.dest)))
        case Kind.FLAG | Kind.COUNT | Kind.PAIRS:  # of the last two no command is judged by
            return given.flag(option.dest)


def _ranges(ports: Iterable[int]) -> Iterator[str]:
    """Yield ports as typed: 8080, or 3000-3010."""
    for _, run in groupby(enumerate(sorted(set(ports))), lambda each: each[1] - each[0]):
        numbers = [port for _, port in run]
        yield str(numbers[0]) if len(numbers) == 1 else f"{numbers[0]}-{numbers[-1]}"


def _is_open(text: str, redaction: Redaction) -> bool:
    """Return True if a value can be recorded unchanged."""
    # Imported here: a run without options needs none of it.
    from nono.credentials.values.shapes import looks_like_key

    is_text = text.isascii() or not any(0xD800 <= ord(each) <= 0xDFFF for each in text)
    words = text.translate(_BETWEEN_WORDS).split()
    return is_text and redact_text(text, redaction) == text and not any(map(looks_like_key, words))


def _has_random_part(text: str) -> bool:
    """Return True if a part of a URL's path looks random: the path of a webhook is a secret by itself."""
    # Imported here: few options name the path of a URL.
    import re

    _, _, path = (text.partition("://")[2] or text).partition("/")
    return any(map(_is_mixed, re.findall(_LONG_PARTS, path)))


def _is_mixed(part: str) -> bool:
    """Return True for letters with digits, or of both cases, as words of a path seldom are."""
    has_letters = part.upper() != part.lower()
    return has_letters and (not (part.isupper() or part.islower()) or any(map(str.isdigit, part)))


def from_record(options: object) -> Given:
    """Return the options that recordable() gave. What is not understood is left out."""
    values = dict[str, object]()
    for option in _judging():
        value = options.get(option.dest) if isinstance(options, Mapping) else None
        match option.kind, value:
            case (Kind.FLAG, True) | (Kind.VALUE, str()):
                values[option.dest] = value
            case (Kind.LIST, list()) if all(isinstance(each, str) for each in value):
                values[option.dest] = value
            case (Kind.PORTS | Kind.PORT_RANGES, list()):
                ports = [each for text in value for each in ports_of(str(text)) or ()]
                values[option.dest] = ports
    return Given(values, ())


def laid_over(was: Given, given: Given) -> Given:
    """Return the options of a run, overridden by others, which also drop the options that they rule out."""
    values = dict(was.values)
    if "profile" in given.values:
        for dest in ("config", "extends"):
            values.pop(dest, None)
    if "config" in given.values:
        for option in OPTIONS:
            if option.in_manifest:
                values.pop(option.dest, None)
    decides = any(dest in given.values for dest in _ALL_OR_NOTHING)
    for dest in _OF_NETWORK if decides else _ALL_OR_NOTHING if _is_of_network(given) else ():
        values.pop(dest, None)
    return given._replace(values={**values, **given.values})


def _is_of_network(given: Given) -> bool:
    return any(dest in given.values for dest in _OF_NETWORK)
