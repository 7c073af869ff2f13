"""Check what happens when the commands shown in docs are run."""
