"""What a person does all day, as a table of commands, each with what it claims.

`case` says what a case is and how it is run; `files` has those that need files alone.
"""
