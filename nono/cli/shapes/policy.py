"""Define the shapes of output about rules: profiles, groups, hosts, `nono why`, instruction files."""

from __future__ import annotations

from nono.cli.shapes.parts import (
    ANY,
    Schema,
    an_object,
    flag,
    from_tuple,
    listed,
    mapping,
    maybe,
    never_null,
    number,
    text,
)
from nono.policy.why.paths import Answer, MatchingCapability
from nono.sandbox.plan.scope_query import ScopeAnswer
from nono.trust.verdict import Status

_SOURCE = text("built-in, user, user (overrides built-in), or file")
_ANYTHING = mapping(ANY)

PROFILE_LISTED: dict[str, Schema] = {
    "name": text(),
    "source": _SOURCE,
    "pack": maybe(text("null: there are no packs yet")),
}
PROFILE_LISTED_MORE: dict[str, Schema] = {
    "description": maybe(text()),
    "extends": listed(text()),
    "error": text("why it cannot be used; the two fields above are missing then"),
}
PROFILE_SHOWN: dict[str, Schema] = {
    "name": maybe(text()),
    "description": maybe(text()),
    "extends": listed(text(), "as in its own file"),
    "groups": an_object({"include": listed(text(), "all that are in force"), "exclude": listed(text())}),
    **{
        name: mapping(ANY, "as in a profile file; null: not set")
        for name in ("security", "commands", "filesystem", "network", "workdir", "rollback")
    },
}
PROFILE_SHOWN_MORE: dict[str, Schema] = {"version": text("of the profile"), "author": text("of the profile")}

_LISTS = mapping(ANY, "added, removed and changed for lists and maps, else from, to and changed")
PROFILE_COMPARED: dict[str, Schema] = {
    "groups": _LISTS,
    "capability_elevation": _LISTS,
    "wsl2_proxy_policy": _LISTS,
}

VALIDATED: dict[str, Schema] = {
    "file": text("or built-in NAME"),
    "valid": flag("a run with it would start here; the exit code is 1 otherwise"),
    "errors": listed(text()),
    "warnings": listed(text()),
    "deprecated_keys": number("keys with an old name; with --strict the exit code is 2 then"),
}

_PLATFORM: dict[str, Schema] = {
    "name": text(),
    "description": text(),
    "platform": text("linux, macos or cross-platform"),
    "required": flag("it cannot be excluded"),
}
_COUNTS = {access: number("paths") for access in ("read", "write", "readwrite")}
GROUP_LISTED: dict[str, Schema] = {
    **_PLATFORM,
    "allow": an_object(_COUNTS),
    "deny": an_object({"access": number("paths"), "commands": number(), "unlink": flag("macOS only")}),
}
_PATHS = listed(
    an_object({"raw": text("as written"), "expanded": maybe(text("here; null: a variable has no value"))})
)
GROUP_SHOWN: dict[str, Schema] = {
    **_PLATFORM,
    "allow": an_object(dict.fromkeys(_COUNTS, _PATHS)),
    "deny": an_object({"access": _PATHS, "commands": listed(text()), "unlink": flag("macOS only")}),
    "symlink_pairs": mapping(ANY, "empty: macOS only"),
}

NETWORK_PROFILE: dict[str, Schema] = {"network_profile": text(), "hosts": number()}
HOSTS: dict[str, Schema] = {
    "network_profile": maybe(text("null: the name is that of a group of hosts")),
    "groups": mapping(listed(text()), "the hosts of each group"),
}

_WHY = {
    "status": "the answer",
    "reason": "a fixed word, such as granted_path or path_not_granted",
    "granted_path": "the grant that allows it",
    "source": "where the grant comes from: an option, a group, a profile",
    "details": "a sentence",
    "policy_source": "where the denial comes from",
    "matching_capability": "a grant of the path that lacks the access",
    "suggested_flag": "the option that would allow it",
    "enforced_by": "what would enforce it here, or why nothing does",
}
_ANSWER = from_tuple(Answer, _WHY, without=("endpoint_rules", "matching_capability"))
_ALWAYS = {name: _ANSWER[name] for name in ("status", "reason")}
_OPTIONAL = {
    **{name: never_null(each) for name, each in _ANSWER.items() if name not in _ALWAYS},
    "matching_capability": an_object(from_tuple(MatchingCapability), _WHY["matching_capability"]),
    "endpoint_rules": listed(an_object({"method": text(), "path": text()}), "the rules that allow requests"),
}
ANSWER = an_object(_ALWAYS, "about a path, host or variable", _OPTIONAL)
_SCOPE = from_tuple(
    ScopeAnswer, {"kernel_abi": "of Landlock, such as V6", "requested": "the run asks for it"}
)
_LEFT_OUT = ("kernel_abi", "details")
SCOPE = an_object(
    {"status": text("", "scope"), **{name: each for name, each in _SCOPE.items() if name not in _LEFT_OUT}},
    "about --scope",
    {name: never_null(_SCOPE[name]) for name in _LEFT_OUT},
)
NOT_SANDBOXED = an_object(
    {"status": text("", "not_sandboxed"), "message": text()}, "of --self outside a run that keeps its rules"
)

TRUSTED: dict[str, Schema] = {
    "file": text("relative to the project"),
    "status": text("approved: by you, without a signature", "verified", "approved", "unsigned", "failed"),
    "state": text("more exactly", *(each.value for each in Status)),
}
TRUSTED_MORE: dict[str, Schema] = {
    "signer": text("of a file that is trusted"),
    "reason": text("why the file is not trusted"),
}
