"""Each way to enforce a run, on a kernel as it is or simulated, judged by what a command could then do.

stage and launch set the place up; probe and report are run by their paths inside and print what they found.
"""
