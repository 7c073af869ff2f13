"""Print help in a terminal, as man pages and as pages of the documentation, from one description. Pure.

Read `page` (the values), then `page_of` (builds a page from a command's parser and the table of options),
then `terminal`. `sections`, `examples` and `topics` hold what the table of options does not: only the help
needs it, so a run must not pay for it.
"""
