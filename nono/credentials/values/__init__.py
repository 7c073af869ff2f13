"""Describes credentials as values. Pure.

`reference` parses env://, file://, op:// and names; `credential` is what the proxy asks of one, `errors`
how it can be missing. `content` and `shapes` judge texts, `injection` spells a secret as it is sent,
`proxy_authorization` the password for an upstream proxy. `tripwire` finds a secret in what comes back:
in the `spellings` of it, once `escapes` are undone. `leak_mask` masks it in a passing body; `holding`
says what of that has to wait.
"""
