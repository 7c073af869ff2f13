"""Run nono where something else confines it already, as in a container; hosts lists each with its words.

__main__ describes what is simulated and what the kernel itself does.
"""
