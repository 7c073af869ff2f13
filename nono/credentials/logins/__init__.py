"""Captured logins: tokens kept on disk, phantoms in their place."""
