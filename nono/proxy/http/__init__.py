"""HTTP as checked values. Pure, and below everything else in the proxy.

`message` has heads as values, `target` the one spelling of a request target, `request_reader` cuts requests
out of bytes with llhttp. `content_coding` decodes in bounded steps, `websocket` is the opening handshake,
`refusal` the proxy's own answers, `upstream_proxy` a CONNECT to a proxy behind this one.
"""
