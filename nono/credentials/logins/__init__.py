"""Captures logins: keeps tokens on disk and gives the command phantoms in their place."""
