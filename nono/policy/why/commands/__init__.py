"""Read a command line, and the scripts that it names, for the programs that it starts. Pure.

`words` splits a line and a shell's script into programs and their words; `named_scripts` finds the script
that a line names: a file of a shell, a script of package.json, the recipes of a Makefile. Both guess: nothing
is expanded.
"""
