"""Capture logins: store tokens on disk and give the command phantoms instead."""
