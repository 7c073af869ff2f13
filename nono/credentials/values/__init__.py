"""Describe credentials as values. Pure.

`reference` parses env://, file://, op:// and names; `credential` is what the proxy asks of one, `errors` how
it can be missing. `content` and `shapes` judge texts, `injection` writes a secret into a request,
`proxy_authorization` the password for an upstream proxy. `tripwire` finds a secret in a response: in its
`spellings`, once `escapes` are undone in the parts that are `suspects`, by an `automaton`. `leak_mask` masks
it in a passing body; `holding` decides how much of the body has to wait.
"""
