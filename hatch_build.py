"""Puts man pages and completions into the wheel, written by the code that is packed.

It runs where no dependency of nono is installed; tests/unit/cli/help/test_pages.py holds help to that.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class ManualHook(BuildHookInterface):
    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        if self.target_name != "wheel" or version == "editable":
            return
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


def _texts(root: str) -> list[tuple[str, str]]:
    sys.path.insert(0, root)
    sys.dont_write_bytecode = True
    try:
        from nono.cli.command_table import offered_parsers
        from nono.cli.commands.completion import SCRIPTS, tree
        from nono.cli.completion.choices import choices
        from nono.cli.help.manual import completion_names, man_pages
        from nono.policy.builtin import shipped

        parsers = [*offered_parsers()]
        pages = [(f"share/man/man{name[-1]}/{name}", text) for name, text in man_pages(parsers, choices())]
        commands, profiles = tree(parsers), shipped.profile_names()
        scripts = [(place, SCRIPTS[shell](commands, profiles)) for shell, place in completion_names().items()]
        return [*pages, *scripts]
    finally:
        sys.path.remove(root)
