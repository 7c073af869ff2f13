"""List the shapes by command."""

from __future__ import annotations

from collections.abc import Mapping

from nono.cli.shapes import kept, machine, policy, sessions
from nono.cli.shapes.parts import Schema, an_object, listed
from nono.cli.shapes.printed import FORMAT
from nono.named_tuple import NamedTuple

DIALECT = "https://json-schema.org/draft/2020-12/schema"
FOLDER = "https://nono.sh/schemas"
_SAYS: Mapping[str, Schema] = {"format": {"description": "version of this shape", "const": FORMAT}}
_MORE = "Fields may be added: pass over those that you do not know."


class Shape(NamedTuple):
    """The JSON output of one command."""

    command: str  # as it is typed after `nono`
    title: str
    schema: Schema

    @property
    def file(self) -> str:
        """Return the name of its file, such as nono-audit-list.schema.json."""
        words = "".join(c if c.isalnum() else " " for c in self.command.lower()).split()
        return f"nono-{'-'.join(word for word in words if word != 'json')}.schema.json"

    @property
    def document(self) -> Schema:
        """Return the JSON Schema of the output."""
        about = {"$schema": DIALECT, "$id": f"{FOLDER}/{self.file}", "title": f"nono {self.command}"}
        return {**about, "description": f"{self.title}. {_MORE}", **self.schema}


def _one(fields: Mapping[str, Schema], more: Mapping[str, Schema] = {}) -> Schema:
    return an_object({**_SAYS, **fields}, optional=more)


def _many(fields: Mapping[str, Schema], more: Mapping[str, Schema] = {}) -> Schema:
    return listed(_one(fields, more))


def _open(schema: Schema) -> Schema:
    """Allow fields that are not listed in an object."""
    return {**schema, "additionalProperties": True}


def _any_of(*schemas: Schema) -> Schema:
    return {
        "anyOf": [
            {**each, "properties": {**_SAYS, **each["properties"]}, "required": ["format", *each["required"]]}
            for each in schemas
        ]
    }


SHAPES = (
    Shape("ps --json", "The sessions; with --watch such an array on one line, whenever it changes",
          _many(sessions.SESSION)),
    Shape("inspect SESSION --json", "One session", _one(sessions.SESSION, {"live": sessions.LIVE})),
    Shape("logs SESSION --json", "The events of a session, as Events lists them; with -f one on each line",
          listed(_open(_one(sessions.EVENT, sessions.NUMBERED)))),
    Shape("approvals --json", "The open questions of all sessions", _many(sessions.LISTED_QUESTION)),
    Shape("report SESSION --json", "What one session did", _one(kept.REPORT)),
    Shape("report --last PERIOD --json", "What many sessions did together", _one(kept.TOTALS)),
    Shape("replay --json", "What another profile would have decided", _one(kept.REPLAY)),
    Shape("audit list --json", "The sessions with an audit log", _many(kept.AUDIT_LISTED)),
    Shape("audit show SESSION --json", "What the log of one session recorded", _one(kept.AUDIT_SHOWN)),
    Shape("audit verify SESSION --json", "Whether the log of a session is as it was written",
          _one(kept.AUDIT_VERIFIED)),
    Shape("audit status --json", "What collectors have not received yet", _one(kept.AUDIT_DELIVERY)),
    Shape("audit sync --json", "The same, after another try to send it", _one(kept.AUDIT_DELIVERY)),
    Shape("rollback list --json", "The runs that can be undone", _many(kept.ROLLBACK_LISTED)),
    Shape("rollback show SESSION --json", "What one run changed", _one(kept.ROLLBACK_SHOWN)),
    Shape("profile list --json", "The profiles, shipped and yours",
          _many(policy.PROFILE_LISTED, policy.PROFILE_LISTED_MORE)),
    Shape("profile show PROFILE --json", "A profile, with what it inherits",
          _open(_one(policy.PROFILE_SHOWN, policy.PROFILE_SHOWN_MORE))),
    Shape("profile diff PROFILE OTHER --json", "What differs between two profiles, by field",
          _open(_one(policy.PROFILE_COMPARED))),
    Shape("profile validate PROFILE --json", "What is wrong with a profile", _one(policy.VALIDATED)),
    Shape("profile groups --json", "The groups of paths, with counts", _many(policy.GROUP_LISTED)),
    Shape("profile groups GROUP --json", "One group of paths", _one(policy.GROUP_SHOWN)),
    Shape("profile hosts --json", "The network profiles", _many(policy.NETWORK_PROFILE)),
    Shape("profile hosts NAME --json", "The hosts of one", _one(policy.HOSTS)),
    Shape("why --json", "Whether something would be allowed, and why",
          _any_of(policy.ANSWER, policy.SCOPE, policy.NOT_SANDBOXED)),
    Shape("trust list --json", "The files that instruct an agent",
          _many(policy.TRUSTED, policy.TRUSTED_MORE)),
    Shape("credential list --json", "The stored keys", _many(machine.CREDENTIAL)),
    Shape("credential logins --json", "The captured logins", _many(machine.LOGIN)),
    Shape("doctor --json", "What works on this machine", _one(machine.DOCTOR, machine.DOCTOR_MORE)),
    Shape("run --diagnostics-json", "Why a run failed, on standard error after its end",
          _one(machine.DIAGNOSTICS, machine.DIAGNOSTICS_MORE)),
)  # fmt: skip
