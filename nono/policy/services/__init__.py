"""Credential services and captured logins: sources and uses of a key, and who approves requests. Pure.

Start with `credential_service`.
"""
