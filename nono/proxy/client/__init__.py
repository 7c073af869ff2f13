"""The client's end of a connection.

`http1` takes requests one by one; a CONNECT is judged and becomes a `tunnel`, or is opened by
`intercept`.
"""
