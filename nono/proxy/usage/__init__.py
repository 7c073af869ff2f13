"""Tokens of language models: `meter` reads them off a response, `ledger` holds them against limits, `prices`
tells what they cost. Pure.
"""
