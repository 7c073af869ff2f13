"""One module a command; each has run(argv, environ)."""
