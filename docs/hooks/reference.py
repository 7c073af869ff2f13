"""Add to the site the pages generated from the code, and the pages outside docs/."""

from __future__ import annotations

import inspect
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT), str(Path(__file__).parent)]

import messages  # noqa: E402 - they lie where the line above says

from nono.audit import event  # noqa: E402
from nono.cli.command_table import COMMANDS, offered_parsers  # noqa: E402
from nono.cli.completion.choices import choices  # noqa: E402
from nono.cli.help.json_page import json_page  # noqa: E402
from nono.cli.help.markdown import markdown, table  # noqa: E402
from nono.cli.help.overview import overview  # noqa: E402
from nono.cli.help.page import Entry, Section  # noqa: E402
from nono.cli.help.page_of import page_of, subparsers_of  # noqa: E402
from nono.cli.help.settings import config_sections, profile_sections  # noqa: E402
from nono.cli.help.topics import TOPICS  # noqa: E402
from nono.cli.shapes.table import SHAPES  # noqa: E402
from nono.policy.builtin import shipped  # noqa: E402
from nono.policy.export.json_schema import schema as profile_schema  # noqa: E402

BESIDE = {
    "SECURITY.md": "security.md",
    "ARCHITECTURE.md": "architecture.md",
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
}


def on_files(files: Files, config: MkDocsConfig) -> Files:
    for path, text in generated().items():
        files.append(File.generated(config, path, content=text))
    return files


def on_page_markdown(text: str, **_: Any) -> str:
    """Lead links to files of the repository that the site has under another name to where they are."""
    for old, new in BESIDE.items():
        text = text.replace(f"](../{old}", f"]({new}").replace(f"](../../{old}", f"](../{new}")
    return text


def generated() -> dict[str, str]:
    """Return the text of each page by its path."""
    pages = {f"reference/{name}.md": text for name, text in references()}
    pages |= {new: _moved((ROOT / old).read_text(encoding="utf-8")) for old, new in BESIDE.items()}
    schemas = {each.file: each.document for each in SHAPES} | {"nono-profile.schema.json": profile_schema()}
    return pages | {f"schemas/{name}": f"{json.dumps(each, indent=2)}\n" for name, each in schemas.items()}


def references() -> Iterator[tuple[str, str]]:
    known = choices()
    parts = [markdown(overview({name: each.help for name, each in COMMANDS.items() if not each.is_hidden}))]
    for _, text, parser in offered_parsers():
        actions = [page_of(each, about, known) for about, each in subparsers_of(parser)]
        parts.append(markdown(page_of(parser, text, known), actions, depth=2))
    yield "cli", "\n".join(parts).replace("# nono\n", "# Commands\n", 1)
    yield (
        "environment",
        "# Environment, exit codes, files\n\n"
        + "\n".join(f"{make().description}\n\n{_sections(make().sections)}" for make in TOPICS.values()),
    )
    yield (
        "profile",
        f"# Profile fields\n\nFrom the schema that also checks profiles.\n\n{_sections(profile_sections())}",
    )
    yield "config", f"# Settings\n\n`~/.config/nono/config.toml`\n\n{_sections(config_sections())}"
    yield "hosts", hosts()
    yield "events", events()
    yield "json", json_page("../schemas")
    yield "messages", messages.page()


def hosts() -> str:
    """Return the page of network profiles, groups of hosts and services."""
    policy = shipped.network_policy()
    profiles = [Entry((name,), ", ".join(groups)) for name, groups in policy.profiles.items()]
    groups = [Entry((name,), ", ".join(names)) for name, names in policy.groups.items()]
    services = [
        Entry((name,), f"{each.get('upstream', '')}; variable {each.get('env_var', '')}")
        for name, each in policy.services.items()
    ]
    sections = (
        Section("Network profiles", tuple(profiles)),
        Section("Groups of hosts", tuple(groups)),
        Section("Services", tuple(services)),
    )
    return f"# Hosts and services\n\n`nono profile hosts NAME` prints the same.\n\n{_sections(sections)}"


def events() -> str:
    """Return the page of the kinds of events."""
    found = [
        Entry((name,), (inspect.getdoc(each) or "").split("\n")[0].rstrip("."))
        for name, each in vars(event).items()
        if inspect.isfunction(each)
        and each.__annotations__.get("return") == "Event"
        and not name.startswith("_")
    ]
    intro = "# Events\n\nWhat the audit log holds, by the function that makes it.\n\n"
    return f"{intro}{_sections([Section('Kinds', tuple(found))])}"


def _sections(sections: Any) -> str:
    return "\n".join(
        line for section in sections for line in (f"## {section.title}", "", *table(section), "")
    )


def _moved(text: str) -> str:
    """Change the links of a page that moves from the top into docs/."""
    text = text.replace("](docs/", "](")
    for old, new in BESIDE.items():
        text = text.replace(f"]({old}", f"]({new}")
    return text
