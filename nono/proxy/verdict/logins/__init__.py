"""Judge requests by the captured logins of a run.

`table` has the token endpoints and the hosts whose responses are searched; `phantoms` finds a login's
phantoms in a request, and decides whether they are redeemed.
"""
