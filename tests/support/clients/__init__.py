"""Real clients inside the sandbox, in Python, Go and Java, told where to go by the environment alone.

run sets the stage for them, intercepted the one where a service is reached under its own name. http2 is a
client of the tests themselves and can break every rule.
"""
