"""Serve the client side of a connection.

`entrance` admits connections and `http1` takes requests one by one. A CONNECT that `verdict` has allowed
becomes a `tunnel`, or `intercept` terminates its TLS. `host_question` holds a request while a person is asked
about its host.
"""
