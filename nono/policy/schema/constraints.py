"""Express constraints on profile fields beyond their types, in the terms of JSON Schema.

nono.policy.export.json_schema passes them to editors. The sentences a person reads about a mistake come from
nono.policy.document.semantics; a test keeps the two consistent, mutant by mutant.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from nono.named_tuple import NamedTuple


class Conditional(NamedTuple):
    """Lets an object replace a string: it holds the string under `key`, and a `when` condition."""

    key: str


class Says:
    """Schema rules of a field beyond its type. Hashed by identity: typing hashes annotations often."""

    __slots__ = ("schema",)

    def __init__(self, schema: Mapping[str, Any]) -> None:
        self.schema = schema


_PATH = Says({"minLength": 1, "pattern": "^[^\\u0000]+$"})
_NAME = r"[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?"

Path = Annotated[str, _PATH, Conditional("path")]
GroupName = Annotated[str, Says({"minLength": 1}), Conditional("name")]
Origin = Annotated[str, Says({"pattern": "^https?://[^/?#@\\s]+/?$"}), Conditional("origin")]
Port = Annotated[int, Says({"minimum": 1, "maximum": 65535})]
PortRange = tuple[Port, Port]
VariablePattern = Annotated[str, Says({"pattern": r"^([^*=\u0000]+\*?|\*)$"})]
Variable = Annotated[str, Says({"pattern": "^[A-Za-z0-9_]+$"})]
Text = Annotated[str, Says({"pattern": "^[^\\u0000]*$"})]
PackName = Annotated[str, Says({"pattern": "^[^/@\\s]+/[^/@\\s]+$"})]
DirectoryName = Annotated[str, Says({"pattern": "^[^/\\u0000]+$", "not": {"enum": [".", ".."]}})]
Duration = Annotated[str, Says({"pattern": "^0*[1-9][0-9]*[smhd]?$"})]
DurationS = Annotated[int, Says({"minimum": 1})]
NOT_NEGATIVE = Says({"minimum": 0})
NotNegative = Annotated[int, NOT_NEGATIVE]
Usd = Annotated[float, NOT_NEGATIVE]
AbsolutePath = Annotated[str, Says({"pattern": "^/"})]
CacheSeconds = Annotated[int, Says({"minimum": 0, "maximum": 3600})]
Command = Annotated[tuple[Text, ...], Says({"minItems": 1})]
Header = Annotated[str, Says({"pattern": "^[A-Za-z0-9!#$%&'*+.^_`|~-]+$"})]
Format = Annotated[str, Says({"pattern": r"^[ -z|~]*\{\}[ -z|~]*$"})]
PathPart = Annotated[
    str, Says({"pattern": r"^[A-Za-z0-9._~!$&'()*+,;=:@/-]*\{\}[A-Za-z0-9._~!$&'()*+,;=:@/-]*$"})
]
QueryName = Annotated[str, Says({"pattern": "^[A-Za-z0-9_-]+$"})]
HttpsOrigin = Annotated[str, Says({"pattern": "^https://[^/?#@\\s]+/?$"})]
When = str | tuple[str, ...]
Seconds = Annotated[float, Says({"exclusiveMinimum": 0})]
SET_VARS = Says(
    {"propertyNames": {"pattern": "^[A-Za-z_][A-Za-z0-9_]*$", "not": {"pattern": "^(PATH$|NONO_)"}}}
)
SERVICES = Says({"propertyNames": {"pattern": "^[A-Za-z0-9][A-Za-z0-9_-]*$"}})
CAPTURES = Says({"propertyNames": {"pattern": "^[A-Za-z0-9_]+$"}})
PROFILE_NAME = f"^{_NAME}$"

# Values of which a field takes one.
Reach = Literal["isolated", "allow_same_sandbox", "allow_all"]
DecisionWord = Literal["allow", "approve", "deny"]
InjectMode = Literal["header", "url_path", "query_param", "basic_auth"]
OnLimit = Literal["refuse", "ask"]
# Client authentication (RFC 6749 section 2.3.1), by the names of RFC 7591 section 2.
AuthMethod = Literal["client_secret_post", "client_secret_basic"]


def one_of(*names: str) -> Says:
    """Require exactly one of the fields."""
    return Says(
        {"oneOf": [{"required": [name], "properties": {name: {"not": {"type": "null"}}}} for name in names]}
    )
