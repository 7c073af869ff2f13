"""Runs nono where something else holds it already, as a container does; hosts has each with its words.

__main__ says what is simulated, and what the kernel itself does.
"""
