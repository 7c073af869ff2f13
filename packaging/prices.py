"""Writes the list prices of models anew, from the table in a wheel of litellm (MIT): `make prices WHEEL=...`.

They are those of the usual service: faster and slower ones have prices of their own.
"""

from __future__ import annotations

import json
import re
import sys
import zipfile
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
TARGET = ROOT / "nono/policy/data/model_prices.json"
TABLE = "litellm/model_prices_and_context_window_backup.json"
# Whoever makes a model says what it costs. Others who offer it have prices of their own for the same name.
MAKERS = ("anthropic", "openai", "gemini", "deepseek", "xai", "mistral", "dashscope", "zai", "moonshot")
TEXT = frozenset(("chat", "completion", "responses", "embedding"))
_LONGER = re.compile(r"_above_(\d+)k_tokens$")
_NAME = re.compile(r"[a-z][\w.-]*", re.ASCII)
_MILLION = 1_000_000
_DIGITS = 6

Price = list[Any] | None  # a row of the file, whose comment describes it
COMMENT = (
    "List prices in USD per million tokens of text: input, input read from a cache, output, and, where they "
    "differ from the price of input, input written to a cache for minutes and for an hour. An object at the "
    "end has the prices of responses with more tokens of input. null: known, and not priced by such tokens "
    "alone. The longest name that begins a model's name counts; what follows it must begin with '-', '@' or "
    "':'."
)


def main(wheel: str) -> None:
    with zipfile.ZipFile(wheel) as opened:
        table = json.loads(opened.read(TABLE))
    document = json.loads(TARGET.read_text("utf-8"))
    document["comment"] = COMMENT
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
    if entry.get("mode") not in TEXT:
        return None
    (first, row), *longer = [*_tiers(entry)] or [(0, None)]
    return None if first else _with(row, longer)


def _with(row: Price, longer: list[tuple[int, list[float]]]) -> Price:
    """Return a row with those for more tokens of input."""
    if row is None or not longer:
        return row
    (above, following), *others = longer
    return [*row, {"above": above, "prices": _with(following, others)}]


def _tiers(entry: Mapping[str, Any]) -> Iterator[tuple[int, list[float]]]:
    """Yield the prices by the tokens of input above which they hold, the lowest first."""
    for tier in entry.get("tiered_pricing") or ():
        if (row := _row(tier, "")) is not None:
            yield int(tier["range"][0]), row
    suffixes = {0: ""} | {int(found[1]) * 1000: found[0] for found in map(_LONGER.search, entry) if found}
    for above in sorted(suffixes):
        if (row := _row(entry, suffixes[above])) is not None:
            yield above, row


def _row(prices: Mapping[str, Any], suffix: str) -> list[float] | None:
    def of(name: str) -> float | None:
        found = prices.get(f"{name}{suffix}")
        return None if found is None else round(found * _MILLION, _DIGITS)

    of_input, of_output = of("input_cost_per_token"), of("output_cost_per_token")
    if not of_input or of_output is None:
        return None
    row = [of_input, min(of("cache_read_input_token_cost") or of_input, of_input), of_output]
    created = of("cache_creation_input_token_cost")
    for_an_hour = None if suffix else of("cache_creation_input_token_cost_above_1hr")
    if created in (None, of_input) and for_an_hour in (None, of_input):
        return row
    return [*row, created or of_input, *([] if for_an_hour is None else [for_an_hour])]


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
    return json.dumps(price and [*map(_short, price)])


def _short(each: Any) -> Any:
    if isinstance(each, dict):
        return {"above": each["above"], "prices": [*map(_short, each["prices"])]}
    return int(each) if each == int(each) else each


if __name__ == "__main__":
    main(sys.argv[1])
