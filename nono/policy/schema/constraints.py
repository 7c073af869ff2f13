"""What the type of a profile's field does not say: rules for its values, in the words of JSON Schema.

Read by nono.policy.export.json_schema for editors. What a person is told of a mistake comes from
nono.policy.document.semantics, in sentences; a test holds the two together, mutant by mutant.
"""

from collections.abc import Mapping
from typing import Annotated, Any

from nono.named_tuple import NamedTuple


class Conditional(NamedTuple):
    """In the place of a string an object may stand: the string under key, and `when` it counts."""

    key: str


class Says:
    """More of a field's schema than its type. Hashed by identity, which typing does a lot."""

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


def one_of(*names: str) -> Says:
    """Exactly one of the fields is given."""
    return Says(
        {"oneOf": [{"required": [name], "properties": {name: {"not": {"type": "null"}}}} for name in names]}
    )
