"""Look up the shipped list prices of language models."""

from __future__ import annotations

from collections.abc import Mapping

from nono.named_tuple import NamedTuple
from nono.policy.builtin import shipped
from nono.proxy.usage.meter import Usage


class Price(NamedTuple):
    """USD per million tokens."""

    input: float
    cached_input: float
    output: float


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
        if price is None:
            return None
        cached = min(usage.cached_input_tokens, usage.input_tokens)
        return (
            (usage.input_tokens - cached) * price.input
            + cached * price.cached_input
            + usage.output_tokens * price.output
        ) / 1_000_000


def shipped_prices() -> ModelPrices:
    document = shipped.model_prices_document()
    entries = document["models"].items()
    return ModelPrices(document["as_of"], {name: Price(*price) if price else None for name, price in entries})
