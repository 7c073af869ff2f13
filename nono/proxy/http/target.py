"""Parse the request target into host and path, and bring the path into the spelling judged and sent."""

from __future__ import annotations

import re

from nono.named_tuple import NamedTuple
from nono.policy.hosts import hostname
from nono.proxy.http.message import MessageError, RequestHead

MAX_SEGMENTS = 1000  # rules compare each segment in several readings; 4,000 of them would take over 10 ms

_PATH = re.compile(rb"/[A-Za-z0-9\-._~!$&'()*+,;=:@%/]*")
_QUERY = re.compile(rb"[A-Za-z0-9\-._~!$&'()*+,;=:@%/?\[\]|^`{}\"<>]*")
# Nearly every path matches this: nothing escaped, no segment that is empty or begins with a dot.
_PLAIN = re.compile(rb"(?:/[A-Za-z0-9_~\-][A-Za-z0-9\-._~]*)+/?(?:\?[A-Za-z0-9\-._~=&]*)?")
_BAD_ESCAPE = re.compile(rb"%(?![0-9A-Fa-f]{2})")
# Forms that RFC 3629 section 3 forbids, as upper-case escapes.
_OVERLONG = re.compile(rb"%C[01]%[89AB][0-9A-F]|%E0%[89][0-9A-F]|%F0%8[0-9A-F]")
_ESCAPE = re.compile(rb"%([0-9A-Fa-f]{2})")
# A dot segment, also with what some server cuts off: a parameter, a query and blanks, decoded first or not.
_DOTS = re.compile(rb"(?:%20|%09)*\.\.?(?:%20|%09)*(?:(?:;|%3B|%3F|%23).*)?")
_UNRESERVED = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")


class AbsoluteTarget(NamedTuple):
    host: str  # canonical
    port: int
    path: bytes  # origin form, with the query


def parse_authority(raw: bytes, default_port: int | None = None) -> tuple[str, int]:
    """Parse ``host:port`` into a canonical host and a port. Raises MessageError if malformed."""
    text = raw.decode("ascii", "backslashreplace")
    try:
        if default_port is None:
            return hostname.parse_authority(text)
        host, port = hostname.split_optional_port(text)
        return hostname.canonical_host(host), port or default_port
    except hostname.HostError as fault:
        raise MessageError(f"not a host and port: {fault}") from None


def parse_absolute(target: bytes) -> AbsoluteTarget:
    """Parse an ``http://`` target (RFC 9112 section 3.2.2). Raises MessageError if malformed."""
    rest = target[len(b"http://") :]
    end = min((index for index in (rest.find(b"/"), rest.find(b"?")) if index >= 0), default=len(rest))
    if b"@" in rest[:end]:  # RFC 9110 section 4.2.4
        raise MessageError("the target has a user name before the host; it belongs in an Authorization field")
    host, port = parse_authority(rest[:end], 80)
    path = rest[end:]
    if not path.startswith(b"/"):
        path = b"/" + path
    if b"#" in path or b"\\" in path:
        raise MessageError("the target holds a fragment or a backslash")
    return AbsoluteTarget(host, port, path)


def in_absolute_form(head: RequestHead, host: str, port: int) -> RequestHead:
    """Return the head of a request to an origin server as a proxy would have been sent it.

    host: A canonical name, no address. Any other form of target is left as it is.
    """
    if not head.target.startswith(b"/"):
        return head
    return head._replace(target=f"http://{host}:{port}".encode("ascii") + head.target)


def split_service(path: bytes) -> tuple[str, bytes]:
    """Split ``/<service>/rest?query`` into the service and the rest, which begins with a slash.

    The service is compared byte by byte, so an escaped or dotted spelling matches no service.
    """
    before_query, mark, query = path.partition(b"?")
    service, _, rest = before_query[1:].partition(b"/")
    return service.decode("ascii", "replace"), b"/" + rest + mark + query


def _decode_unreserved(path: bytes) -> bytes:
    """Decode escapes of unreserved characters and upper-case the others (RFC 3986 section 6.2.2)."""

    def once(found: re.Match[bytes]) -> bytes:
        code = int(found[1], 16)
        return bytes((code,)) if code in _UNRESERVED else b"%%%02X" % code

    return _ESCAPE.sub(once, path)


def canonical(path: bytes, *, lenient: bool = False) -> bytes:
    """Return the canonical spelling of a path with its query. Raises MessageError if parsers could differ.

    `lenient` accepts an escaped slash and an empty segment, which registries and object stores use in names.
    Pass it only if no rule depends on the path. Dot segments, also after an escaped slash, are never
    accepted.

    Refused rather than repaired, because a repair could make the sent path differ from the judged one:
    backslash and fragment; an escaped slash, backslash, NUL, CR or LF; an escaped percent sign that hides a
    slash, dot, backslash or NUL; an empty segment; any dot segment, escaped or with a path parameter, whose
    ";" may be escaped (nginx may pass it on decoded, and Tomcat cuts it off); and overlong UTF-8, which old
    decoders read as the dot or slash it pads. A path of more than MAX_SEGMENTS is refused too.
    """
    if path.count(b"/") > MAX_SEGMENTS and path.partition(b"?")[0].count(b"/") > MAX_SEGMENTS:
        raise MessageError(f"the path has more than {MAX_SEGMENTS} segments", 414)
    if _PLAIN.fullmatch(path) is not None:
        return path
    raw_path, mark, query = path.partition(b"?")
    if _PATH.fullmatch(raw_path) is None or _BAD_ESCAPE.search(path) is not None:
        raise MessageError("the path holds a character that must be percent-encoded")
    if _QUERY.fullmatch(query) is None:
        raise MessageError("the query holds a character that must be percent-encoded")
    decoded = _decode_unreserved(raw_path)
    for code in (b"%5C", b"%00", b"%0A", b"%0D") if lenient else (b"%2F", b"%5C", b"%00", b"%0A", b"%0D"):
        if code in decoded:
            raise MessageError(f"the path holds an encoded separator or control character ({code.decode()})")
    if re.search(rb"%25(2[EeFf]|5[Cc]|00|25)", decoded) is not None:
        raise MessageError("the path is percent-encoded twice")
    if _OVERLONG.search(decoded) is not None:
        raise MessageError("the path holds a character in a longer form than UTF-8 has for it")
    segments = decoded.replace(b"%2F", b"/").split(b"/")[1:]
    if b"" in (segments[:1] if lenient and len(segments) > 1 else segments[:-1]):
        raise MessageError("the path holds an empty segment")
    if any(map(_DOTS.fullmatch, segments)):
        raise MessageError("the path holds a dot segment")
    return decoded + mark + query


def upstream_target(base_path: str, rest: bytes, *, lenient: bool = False) -> bytes:
    """Join `base_path` (``""`` or ``/v1``) and the canonical `rest`. Raises MessageError as `canonical`."""
    return base_path.encode("ascii") + canonical(rest, lenient=lenient)


def for_record(path: bytes) -> str:
    """Return the path for the audit log: query names without their values."""
    text = path.decode("ascii", "backslashreplace")
    before_query, mark, query = text.partition("?")
    if not mark:
        return before_query
    names = [pair.partition("=") for pair in query.split("&")]
    return f"{before_query}?{'&'.join(name + (sign and '=[REDACTED]') for name, sign, _ in names)}"
