"""Fake the APIs of model providers, as far as their SDKs and real coding agents need them; no key works.

anthropic, gemini and openai make an agent run one shell command; chat and all_formats answer the question.
"""
