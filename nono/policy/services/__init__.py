"""Credential services and captured logins: where a key is from and goes, and who is asked for approval.
Pure.

Start with `credential_service`.
"""
