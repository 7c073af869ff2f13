"""Run real clients inside the sandbox, in Python, Go and Java, told where to go by the environment alone.

run sets the stage for them, and intercepted does so where a service is reached under its own name. http2 is a
client written for the tests, which can break every rule.
"""
