"""Captured logins, as far as a request is judged by them.

`table` has the token endpoints and the hosts whose answers are searched; `phantoms` finds the phantoms of a
login in a request, and decides whether they are redeemed.
"""
