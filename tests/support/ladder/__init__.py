"""Test each way to enforce a run, on the real kernel or a simulated one, by what a command could do then.

stage and launch prepare the place. probe and report are run inside by their paths and print what they found.
"""
