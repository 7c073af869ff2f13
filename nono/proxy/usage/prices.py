"""Look up the shipped list prices of language models."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nono.named_tuple import NamedTuple
from nono.policy.builtin import shipped
from nono.proxy.usage.meter import Usage


class Price(NamedTuple):
    """USD per million tokens. What is written to a cache costs as other input where its own price is None."""

    input: float
    cached_input: float
    output: float
    cache_creation: float | None = None
    cache_creation_1h: float | None = None  # for an hour; None: as for minutes
    longer: tuple[int, Price] | None = None  # holds for all tokens of a response above so many of input

    def of_length(self, input_tokens: int) -> Price:
        """Return the price for a response with so many tokens of input."""
        price = self
        while price.longer is not None and input_tokens > price.longer[0]:
            price = price.longer[1]
        return price

    def cost_usd(self, usage: Usage) -> float:
        price = self.of_length(usage.input_tokens)
        cached = min(usage.cached_input_tokens, usage.input_tokens)
        created = min(usage.cache_creation_tokens, usage.input_tokens - cached)
        for_an_hour = min(usage.cache_creation_1h_tokens, created)
        creation = price.input if price.cache_creation is None else price.cache_creation
        creation_1h = creation if price.cache_creation_1h is None else price.cache_creation_1h
        return (
            (usage.input_tokens - cached - created) * price.input
            + cached * price.cached_input
            + (created - for_an_hour) * creation
            + for_an_hour * creation_1h
            + usage.output_tokens * price.output
        ) / 1_000_000


class ModelPrices(NamedTuple):
    as_of: str  # year and month
    models: Mapping[str, Price | None]  # by name prefix; None: not priced per token

    def of(self, model: str) -> Price | None:
        """Return the price of the longest known name that `model` begins with, or None.

        ``vendor/model`` and ``models/model`` are looked up as ``model``. After the known name, the model must
        end or continue with "-", "@" or ":", so that a new version is not priced as an older one.
        """
        name = model.rpartition("/")[2]
        for end in range(len(name), 0, -1):
            if name[:end] in self.models and name[end : end + 1] in ("", "-", "@", ":"):
                return self.models[name[:end]]
        return None

    def cost_usd(self, usage: Usage) -> float | None:
        """Estimate what a response has cost; None if its model has no known price."""
        price = self.of(usage.model)
        return None if price is None else price.cost_usd(usage)


def shipped_prices() -> ModelPrices:
    document = shipped.model_prices_document()
    entries = document["models"].items()
    return ModelPrices(document["as_of"], {name: _price(row) if row else None for name, row in entries})


def _price(row: list[Any]) -> Price:
    """Read a row of the file, whose comment describes it."""
    if not isinstance(row[-1], dict):
        return Price(*row)
    *prices, longer = row
    return Price(*prices)._replace(longer=(longer["above"], _price(longer["prices"])))
