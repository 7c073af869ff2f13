"""packaging/prices.py: each model has the price of who makes it, once."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

ROOT = Path(__file__).parents[3]
_spec = importlib.util.spec_from_file_location("prices", ROOT / "packaging/prices.py")
assert _spec is not None
assert _spec.loader is not None
prices = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(prices)

CHAT = {"mode": "chat", "input_cost_per_token": 2.5e-06, "output_cost_per_token": 1e-05}
OF_MAKER = CHAT | {"litellm_provider": "openai"}


def test_a_model_has_the_price_of_its_maker_for_a_million_tokens() -> None:
    table = {
        "gpt-9": OF_MAKER | {"cache_read_input_token_cost": 1.25e-06},
        "openai/gpt-9-pro": OF_MAKER,
        "azure/gpt-9-nano": CHAT | {"litellm_provider": "azure"},
        "gpt-9-tts": OF_MAKER | {"mode": "audio_speech"},
        "low/1024-x-1024/gpt-9": OF_MAKER,
        "ft:gpt-9": OF_MAKER,
    }
    assert prices.told(table) == {"gpt-9": [2.5, 1.25, 10], "gpt-9-pro": [2.5, 2.5, 10], "gpt-9-tts": None}


def test_what_a_cache_is_given_has_a_price_of_its_own() -> None:
    created = {"cache_read_input_token_cost": 2e-07, "cache_creation_input_token_cost": 3e-06}
    table = {
        "minutes": OF_MAKER | created,
        "hour": OF_MAKER | created | {"cache_creation_input_token_cost_above_1hr": 5e-06},
        "same": OF_MAKER | {"cache_creation_input_token_cost": 2.5e-06},
    }
    assert prices.told(table) == {
        "minutes": [2.5, 0.2, 10, 3],
        "hour": [2.5, 0.2, 10, 3, 5],
        "same": [2.5, 2.5, 10],
    }


def test_a_response_with_a_long_input_has_a_price_of_its_own() -> None:
    longer = {
        "input_cost_per_token_above_200k_tokens": 5e-06,
        "output_cost_per_token_above_200k_tokens": 2e-05,
    }
    tier = {"input_cost_per_token": 1e-06, "output_cost_per_token": 2e-06}
    twice = {"input_cost_per_token": 2e-06, "output_cost_per_token": 4e-06}
    thrice = {"input_cost_per_token": 3e-06, "output_cost_per_token": 6e-06}
    ranges = [tier | {"range": [0, 32e3]}, twice | {"range": [32e3, 1e5]}, thrice | {"range": [1e5, 1e6]}]
    table = {
        "long": OF_MAKER | longer,
        "tiers": {"mode": "chat", "litellm_provider": "dashscope", "tiered_pricing": ranges},
        "late": {"mode": "chat", "litellm_provider": "dashscope", "tiered_pricing": ranges[1:]},
    }
    assert prices.told(table) == {
        "long": [2.5, 2.5, 10, {"above": 200_000, "prices": [5, 5, 20]}],
        "tiers": [1, 1, 2, {"above": 32_000, "prices": [2, 2, 4, {"above": 100_000, "prices": [3, 3, 6]}]}],
        "late": None,
    }


def test_a_name_that_another_one_speaks_for_is_left_out() -> None:
    own, other = [1, 1, 1], [2, 2, 2]
    known = {"old": other, "m": other, "m.5": own}
    told = {"m": own, "m-2026": own, "m-pro": other, "m-pro-2026": other, "m-tts": None, "n-tts": None}
    assert prices.merged(known, told) == {"m": own, "m-pro": other, "m-tts": None, "m.5": own, "old": other}


def test_the_file_is_written_as_it_is_read() -> None:
    text = prices.TARGET.read_text(encoding="utf-8")
    document = json.loads(text)
    assert prices.written(document) == text
    assert prices.merged(document["models"], {}) == document["models"]
