"""Real servers behind the proxy: each writes down what it understood, and `asking` compares.

`real` starts those that this machine has. The programs answer a POST to /unread without reading its body.
"""
