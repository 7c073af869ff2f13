"""`nono credential`: the keys that the proxy injects, and the logins of agents."""
