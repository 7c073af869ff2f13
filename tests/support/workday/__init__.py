"""List what a person does all day as a table of commands, each with its claim.

`case` defines a case and how it is run; `files` has the cases that need only files.
"""
