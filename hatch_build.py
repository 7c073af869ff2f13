"""Puts man pages, completions and JSON Schemas into the wheel, written by the code that is packed.

It runs where no dependency of nono is installed. What a command imports of them has a stand-in meanwhile: a
parser calls none of it.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class ManualHook(BuildHookInterface):
    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        if self.target_name != "wheel" or version == "editable":
            return
        if sys.version_info < (3, 12):  # noqa: UP036 - pip reads requires-python once this has run
            raise RuntimeError("nono needs Python 3.12 or newer.")
        self.folder = tempfile.TemporaryDirectory()
        shared: dict[str, str] = {}
        for place, text in _texts(self.root):
            path = Path(self.folder.name, place.replace("/", "-"))
            path.write_text(text, encoding="utf-8")
            shared[str(path)] = place
        build_data["shared_data"] = shared

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        if hasattr(self, "folder"):
            self.folder.cleanup()


class _AnyName(type):
    """A class that has whatever is asked of it, so that it may stand for a module, a base or an error."""

    def __getattr__(cls, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return _AnyName(name, (Exception,), {})


class _StandIn(ModuleType):
    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return _AnyName(name, (Exception,), {})


class _StandIns(MetaPathFinder, Loader):
    """The last finder: makes a module of any name that no other finds, nono's own excepted."""

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: Any = None
    ) -> ModuleSpec | None:
        return None if name.partition(".")[0] == "nono" else ModuleSpec(name, self, is_package=True)

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        return _StandIn(spec.name)

    def exec_module(self, module: ModuleType) -> None:
        pass


@contextmanager
def _importable(root: str) -> Iterator[None]:
    """Let nono be imported from root. What was imported meanwhile is forgotten: some of it stands in."""
    before, finder, bytecode = {*sys.modules}, _StandIns(), sys.dont_write_bytecode
    sys.path.insert(0, root)
    sys.meta_path.append(finder)
    sys.dont_write_bytecode = True
    try:
        yield
    finally:
        sys.dont_write_bytecode = bytecode
        sys.meta_path.remove(finder)
        sys.path.remove(root)
        for name in {*sys.modules} - before:
            del sys.modules[name]


def _texts(root: str) -> list[tuple[str, str]]:
    with _importable(root):
        from nono.cli.command_table import offered_parsers
        from nono.cli.commands.completion import SCRIPTS, tree
        from nono.cli.completion.choices import choices
        from nono.cli.help.manual import completion_names, man_pages
        from nono.cli.shapes.table import SHAPES
        from nono.policy.builtin import shipped
        from nono.policy.export.json_schema import schema

        parsers = [*offered_parsers()]
        pages = [(f"share/man/man{name[-1]}/{name}", text) for name, text in man_pages(parsers, choices())]
        commands, profiles = tree(parsers), shipped.profile_names()
        scripts = [(place, SCRIPTS[shell](commands, profiles)) for shell, place in completion_names().items()]
        schemas = [("nono-profile.schema.json", schema()), *((each.file, each.document) for each in SHAPES)]
        return [
            *pages,
            *scripts,
            *((f"share/nono/schemas/{name}", f"{json.dumps(each, indent=2)}\n") for name, each in schemas),
        ]
