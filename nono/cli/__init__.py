"""The command line: parses, calls one composition root, prints what a person needs to know."""
