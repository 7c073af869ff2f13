"""Filter a response on its way to the command. Pure.

`response` cleans the head and builds the filter of the body; `body_search` searches one body for the secret,
`message_ends` finds the messages in it that can be passed on at once.
"""
