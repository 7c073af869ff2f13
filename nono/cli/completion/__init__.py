"""Completion scripts for bash, fish and zsh, written from one tree. Pure."""
