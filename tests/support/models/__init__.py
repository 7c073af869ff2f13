"""The APIs of model providers, as far as their SDKs and real coding agents need them; no key opens them.

anthropic, gemini and openai have an agent run one shell command; chat and all_formats answer what was asked.
"""
