"""The certificates of a session: its CA, and the roots that clients inside trust."""
