"""Serve the client side of a connection.

`entrance` admits connections. `http1` takes requests one by one from an `intake`, within `time_limits`, and
answers through an `output`; `jobs` chooses what carries a request out. A CONNECT that `verdict` allows
becomes a `tunnel`, or `intercept` terminates its TLS; so does a `transparent` connection, whose client knows
of no proxy. `host_question` holds a request while a person is asked about its host.
"""
