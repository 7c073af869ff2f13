"""Read and write capability manifests: resolved paths, and otherwise the fields of a profile.

Reading turns a manifest into a profile, so default groups, denials and protected roots apply as always.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from nono.named_tuple import NamedTuple
from nono.policy.builtin import shipped as builtin
from nono.policy.capability import Limits, NetworkMode
from nono.policy.document.jsonc import Node
from nono.policy.document.source import Mistake, Source
from nono.policy.export.dump import plain
from nono.policy.export.resources import limits_of, unknown
from nono.policy.files.active_groups import group_names
from nono.policy.network_request import merge_network, mode_of
from nono.policy.path_expansion import PathContext, UnsetVariableError
from nono.policy.request import RunRequest
from nono.policy.schema.profile import Profile

VERSION = "1"
MODES = {NetworkMode.ALLOWED: "unrestricted", NetworkMode.BLOCKED: "blocked", NetworkMode.PROXY: "proxy"}

_Lists = Mapping[tuple[object, object], str]  # the two fields of an entry -> list of a profile

_GRANTS: _Lists = {
    (access, kind): f"{field}{'_file' if kind == 'file' else ''}"
    for access, field in (("read", "read"), ("write", "write"), ("readwrite", "allow"))
    for kind in ("any", "file")
}
_SOCKETS: _Lists = {
    (scope, binds): f"unix_socket{suffix}{'_bind' if binds else ''}"
    for scope, suffix in (("file", ""), ("dir_children", "_dir"), ("dir_subtree", "_subtree"))
    for binds in (False, True)
}
_PATHS = (
    "state_dir",
    "deny",
    "deny_if_present",
    "bypass_protection",
    "suppress_save_prompt",
)  # lists of paths, as in a profile
_FILES = ("grants", "sockets", *_PATHS)
# Profile fields that a manifest has already resolved, or expresses differently.
_NOT_ITS_OWN = ("extends", "replace", "platform_overrides", "workdir", "packs", "allow_gpu")
_NOT_OF_NETWORK = ("block", "network_profile")


class Beside(NamedTuple):
    """What a manifest says and a profile cannot."""

    mode: NetworkMode | None = None  # the network mode, if given
    limits: Limits = Limits()


class _Shape(NamedTuple):
    """An entry with a path: values and default of its other two fields, and the list for each combination."""

    fields: tuple[tuple[str, tuple[object, ...], object], ...]
    lists: _Lists


_GRANT = _Shape((("access", ("read", "write", "readwrite"), None), ("type", ("any", "file"), "any")), _GRANTS)
_SOCKET = _Shape(
    (("scope", ("file", "dir_children", "dir_subtree"), "file"), ("binds", (False, True), False)),
    _SOCKETS,
)


def manifest_of(profile: Profile, path_context: PathContext) -> dict[str, Any]:
    """Return the manifest of a resolved profile. Skips paths that name an unset variable, as a run does."""
    files = profile.filesystem
    grants = [
        {"path": path, "access": access, **({"type": kind} if kind == "file" else {})}
        for (access, kind), field in _GRANTS.items()
        for path in _absolute(getattr(files, field), path_context)
    ]
    sockets = [
        {"path": path, "scope": scope, "binds": binds}
        for (scope, binds), field in _SOCKETS.items()
        for path in _absolute(getattr(files, field), path_context)
    ]
    lists = {name: list(_absolute(getattr(files, name), path_context)) for name in _PATHS}
    filesystem = {"grants": grants, "sockets": sockets, **lists}
    document: dict[str, Any] = {
        "version": VERSION,
        "groups": list(group_names(profile)),
        "filesystem": {name: entries for name, entries in filesystem.items() if entries},
        "network": _network(profile),
    }
    for name, value in profile._asdict().items():
        if name not in (*document, *_NOT_ITS_OWN) and value != Profile._field_defaults[name]:
            document[name] = plain(value)
    return document


def to_profile(source: Source) -> tuple[Beside, list[Mistake]]:
    """Turn the tree of `source` into that of a profile; its nodes keep their positions in the file.

    Also returns the mistakes found so far.
    """
    root = source.root
    assert isinstance(root.value, dict)
    fields = root.value
    mistakes: list[Mistake] = []
    fields.pop("$schema", None)
    version = fields.pop("version", None)
    if version is None or version.value != VERSION:
        at = root if version is None else version
        mistakes.append(Mistake(("version",), f'expected "{VERSION}"', at=at.start))
    for name in _NOT_ITS_OWN:
        if name in fields:
            mistakes.append(unknown(fields.pop(name), ()))
    if "groups" in fields:
        fields["groups"] = _groups(fields["groups"], mistakes)
    if "filesystem" in fields:
        fields["filesystem"] = _files(fields["filesystem"], mistakes)
    mode, limits = None, limits_of(fields.pop("resources", None), mistakes)
    network = fields.get("network")
    if network is not None and isinstance(network.value, dict):
        mode = _mode(network.value.pop("mode", None), mistakes)
        for name in _NOT_OF_NETWORK:
            if name in network.value:
                mistakes.append(unknown(network.value.pop(name), ("mode",)))
        if mode is NetworkMode.BLOCKED:
            network.value["block"] = network._replace(value=True)
    return Beside(mode, limits), mistakes


def _absolute(texts: tuple[str, ...], path_context: PathContext) -> Iterator[str]:
    for text in texts:
        try:
            yield path_context.of_profile(text)
        except UnsetVariableError:
            continue


def _network(profile: Profile) -> dict[str, Any]:
    network = profile.network
    request = RunRequest()
    mode = mode_of(merge_network(request, profile), request)
    hosts = None if network.allow_domain is None else [plain(each) for each in network.allow_domain]
    if network.network_profile is not None:
        shipped = builtin.network_policy()
        groups = shipped.profiles.get(network.network_profile, ())
        hosts = [*(hosts or ()), *(host for group in groups for host in shipped.groups[group])]
    if mode is NetworkMode.PROXY and network.block:
        hosts = []  # block together with denials means a proxy that refuses everything
    fields = {
        name: plain(value)
        for name, value in network._asdict().items()
        if name not in (*_NOT_OF_NETWORK, "allow_domain") and value != network._field_defaults[name]
    }
    return {"mode": MODES[mode]} | ({} if hosts is None else {"allow_domain": hosts}) | fields


def _groups(node: Node, mistakes: list[Mistake]) -> Node:
    """Turn the names of all groups in force into a profile's include and exclude lists."""
    entries = node.value if isinstance(node.value, list) else [node]
    names = {str(each.value): each for each in entries if isinstance(each.value, str)}
    mistakes += (
        Mistake(each.path, "expected a name", at=each.start)
        for each in entries
        if not isinstance(each.value, str)
    )
    if not isinstance(node.value, list):
        mistakes.append(Mistake(node.path, "expected a list of names", at=node.start))
    default, known = builtin.default_group_names(), builtin.groups()
    missing = [name for name in default if name not in names]
    required = [name for name in missing if known[name].required]
    if required and isinstance(node.value, list):
        what = f"these are in force whatever it says, and so have to be named: {', '.join(required)}"
        mistakes.append(Mistake(node.path, what, at=node.start))
    excluded = [node._replace(value=name) for name in missing if name not in required]
    included = [each for name, each in names.items() if name not in default]
    return node._replace(
        value={"include": node._replace(value=included), "exclude": node._replace(value=excluded)}
    )


def _files(node: Node, mistakes: list[Mistake]) -> Node:
    if not isinstance(node.value, dict):
        return node  # the schema reports it
    lists: dict[str, list[Node]] = {}
    for name, entries in node.value.items():
        if name not in _FILES:
            mistakes.append(unknown(entries, _FILES))
            continue
        if not isinstance(entries.value, list):
            mistakes.append(Mistake(entries.path, "expected a list", at=entries.start))
            continue
        for entry in entries.value:
            if name in _PATHS:
                field, path = name, entry
            else:
                found = _entry(entry, _GRANT if name == "grants" else _SOCKET, mistakes)
                if found is None:
                    continue
                field, path = found
            if isinstance(path.value, str) and path.value.startswith("/") and "$" not in path.value:
                lists.setdefault(field, []).append(path)
            else:
                what = "expected an absolute path, without variables"
                mistakes.append(Mistake(path.path, what, at=path.start))
    return node._replace(value={field: node._replace(value=nodes) for field, nodes in lists.items()})


def _entry(node: Node, shape: _Shape, mistakes: list[Mistake]) -> tuple[str, Node] | None:
    """Return the profile list an entry belongs to, and the node of its path."""
    if not isinstance(node.value, dict):
        mistakes.append(Mistake(node.path, "expected an object", at=node.start))
        return None
    before = len(mistakes)
    fields = dict(node.value)
    path = fields.pop("path", None)
    if path is None:
        mistakes.append(Mistake((*node.path, "path"), "required", at=node.start))
    said = []
    for name, values, default in shape.fields:
        given = fields.pop(name, None)
        value = default if given is None else given.value
        said.append(value)
        if not any(value is each or value == each for each in values) or isinstance(
            value, bool
        ) != isinstance(values[0], bool):
            at = node if given is None else given
            words = ", ".join(str(each).lower() for each in values)
            what = "required: one of" if given is None else "expected one of"
            mistakes.append(Mistake((*node.path, name), f"{what} {words}", at=at.start))
    known = ("path", *(name for name, _, _ in shape.fields))
    mistakes += (unknown(each, known) for each in fields.values())
    if path is None or len(mistakes) > before:
        return None
    return shape.lists[said[0], said[1]], path


def _mode(node: Node | None, mistakes: list[Mistake]) -> NetworkMode | None:
    if node is None:
        return None
    for mode, word in MODES.items():
        if node.value == word:
            return mode
    mistakes.append(Mistake(node.path, f"expected one of {', '.join(MODES.values())}", at=node.start))
    return None
