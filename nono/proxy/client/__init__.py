"""The client side of a connection.

`http1` takes requests one by one. A CONNECT is judged, then becomes a `tunnel` or is terminated by
`intercept`.
"""
