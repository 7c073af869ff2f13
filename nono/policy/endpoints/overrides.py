"""Find query parameters that some servers use as the method, instead of the request line's."""

from __future__ import annotations

import re
from urllib.parse import unquote_plus

# Spelled as `_name` returns them: Laravel, Symfony, Express' method-override; Salesforce; ASP.NET; OData;
# Google.
_PARAMETERS = frozenset(
    (
        "_method",
        "_httpmethod",
        "_http_method",
        "_method_override",
        "_methodoverride",
        "$httpmethod",
        "$httpheaders",  # contains header fields, possibly the method's
        "$method",
        "http_method_override",
        "method_override",
        "x_http_method",
        "x_http_method_override",
        "x_method_override",
    )
)
# Restlet takes the method from a parameter whose name is common elsewhere.
_WITH_METHODS = frozenset(("method", "httpmethod", "http_method"))
_METHODS = frozenset(("delete", "get", "head", "options", "patch", "post", "put"))
_SHOWN_CHARACTERS = 40  # of a name, which the command chooses


def overriding_parameter(query: str) -> str | None:
    """Return "the query parameter NAME" for the first that could replace the judged method, or None.

    query: of a canonical path (nono.proxy.http.target), so in printable ASCII.
    """
    if not query:
        return None
    # A semicolon separates parameters too, for some servers (HTML 4.01 appendix B.2.2).
    for pair in re.split("[&;]", query):
        raw, _, value = pair.partition("=")
        name = _name(raw)
        if name in _PARAMETERS or (name in _WITH_METHODS and unquote_plus(value).strip().lower() in _METHODS):
            return f"the query parameter {raw[:_SHOWN_CHARACTERS]}"
    return None


def overridden(what: str) -> str:
    """Return the sentence that refuses a request because of `what`."""
    return f"{what} makes another request of one that is judged by its method and path"


def _name(raw: str) -> str:
    """Return a name in one spelling.

    PHP skips blanks before it, ends it at a NUL, and reads a dot, a blank and an opening bracket as "_".
    """
    name = unquote_plus(raw).lower().lstrip().partition("\0")[0]
    return re.sub(r"[-. +\[]", "_", name.removesuffix("[]"))
