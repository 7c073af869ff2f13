"""The shipped list prices of language models."""

from __future__ import annotations

from collections.abc import Mapping

from nono.named_tuple import NamedTuple
from nono.policy.builtin import shipped


class Price(NamedTuple):
    """USD per million tokens."""

    input: float
    cached_input: float
    output: float


class ModelPrices(NamedTuple):
    as_of: str  # year and month
    models: Mapping[str, Price | None]  # the beginning of a model's name; None: not priced by such tokens

    def of(self, model: str) -> Price | None:
        """The price of the longest name that model begins with; None when none is known.

        ``vendor/model`` and ``models/model`` are looked up as ``model``. What follows the known name must be
        set off from it, so that a version nobody has priced yet is not taken for the one before.
        """
        name = model.rpartition("/")[2]
        for end in range(len(name), 0, -1):
            if name[:end] in self.models and name[end : end + 1] in ("", "-", "@", ":"):
                return self.models[name[:end]]
        return None


def shipped_prices() -> ModelPrices:
    document = shipped.model_prices_document()
    entries = document["models"].items()
    return ModelPrices(document["as_of"], {name: Price(*price) if price else None for name, price in entries})
