"""Writes the list prices of models anew, from the table in a wheel of litellm (MIT): `make prices WHEEL=...`.

They are those of the shortest contexts, where longer ones cost more.
"""

from __future__ import annotations

import json
import re
import sys
import zipfile
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
TARGET = ROOT / "nono/policy/data/model_prices.json"
TABLE = "litellm/model_prices_and_context_window_backup.json"
# Whoever makes a model says what it costs. Others who offer it have prices of their own for the same name.
MAKERS = ("anthropic", "openai", "gemini", "deepseek", "xai", "mistral", "dashscope", "zai", "moonshot")
TEXT = frozenset(("chat", "completion", "responses", "embedding"))
_NAME = re.compile(r"[a-z][\w.-]*", re.ASCII)
_MILLION = 1_000_000
_DIGITS = 6

Price = list[float] | None  # as in the file: input, input read from a cache, output


def main(wheel: str) -> None:
    with zipfile.ZipFile(wheel) as opened:
        table = json.loads(opened.read(TABLE))
    document = json.loads(TARGET.read_text("utf-8"))
    document["as_of"] = datetime.now(UTC).strftime("%Y-%m")
    document["models"] = merged(document["models"], told(table))
    TARGET.write_text(written(document), "utf-8")
    print(f"{TARGET.relative_to(ROOT)}: {len(document['models'])} models")


def told(table: Mapping[str, Mapping[str, Any]]) -> dict[str, Price]:
    """Return the price of each model of a maker by its name; None for one that takes more than text."""
    found: dict[str, Price] = {}
    for name, entry in table.items():
        model = name.rpartition("/")[2]
        if entry.get("litellm_provider") in MAKERS and name.count("/") <= 1 and _NAME.fullmatch(model):
            found.setdefault(model, price_of(entry))
    return found


def price_of(entry: Mapping[str, Any]) -> Price:
    of_input, of_output = entry.get("input_cost_per_token"), entry.get("output_cost_per_token")
    if entry.get("mode") not in TEXT or not of_input or of_output is None:
        return None
    cached = entry.get("cache_read_input_token_cost") or of_input
    return [round(each * _MILLION, _DIGITS) for each in (of_input, min(cached, of_input), of_output)]


def merged(known: Mapping[str, Price], told: Mapping[str, Price]) -> dict[str, Price]:
    """Return all models but those that another one speaks for, as gpt-4o does for gpt-4o-2024-08-06."""
    models = {**known, **told}
    return {name: models[name] for name in sorted(models) if not _is_said(name, models)}


def _is_said(name: str, models: Mapping[str, Price]) -> bool:
    """Return True if ModelPrices.of (nono/proxy/usage/prices.py) finds the price without this name."""
    ends = (end for end in range(len(name) - 1, 0, -1) if name[end] in "-@:")
    return next((models[name[:end]] for end in ends if name[:end] in models), None) == models[name]


def written(document: Mapping[str, Any]) -> str:
    """Return the file: a line for each model."""
    *lines, (last, models) = document.items()
    assert last == "models"
    head = "".join(f"  {json.dumps(name)}: {json.dumps(value)},\n" for name, value in lines)
    rows = ",\n".join(f"    {json.dumps(name)}: {_compact(price)}" for name, price in models.items())
    return f'{{\n{head}  "models": {{\n{rows}\n  }}\n}}\n'


def _compact(price: Price) -> str:
    return "null" if price is None else f"[{', '.join(f'{each:g}' for each in price)}]"


if __name__ == "__main__":
    main(sys.argv[1])
