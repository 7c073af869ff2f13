"""Represent HTTP as checked values. Pure, and below everything else in the proxy.

`message` checks heads, `passing` chooses the fields that go on to the next hop, `writing` serialises.
`target` normalises a request target, `request_reader` parses requests with llhttp. `content_coding` decodes
in bounded steps and memory, by `coded_streams`, `accept_encoding` chooses what an upstream may send,
`charset` recognises charsets that cannot be searched, `websocket` is the opening handshake, `refusal` the
proxy's own answers, `upstream_proxy` a CONNECT to an upstream proxy.
"""
