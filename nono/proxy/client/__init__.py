"""The client side of a connection.

`http1` takes requests one by one. A CONNECT that `verdict` has allowed becomes a `tunnel`, or its TLS is
ended by `intercept`.
"""
