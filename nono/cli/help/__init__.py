"""Prints help: in a terminal, as man pages and as pages of the documentation, from one description. Pure.

Read `page` (the values), then `page_of` (a page from the parser of a command and the table of options),
then `terminal`. `sections`, `examples` and `topics` hold what the table of options does not: only
help needs it, and a run must not pay for it.
"""
