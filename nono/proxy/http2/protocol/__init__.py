"""Keep the state of one HTTP/2 connection (RFC 9113), without input or output.

`engine` turns octets into `events`, and `sender` what is sent into octets. `frames` splits the octets and
limits floods, `payloads` reads what a frame holds, `compression` the heads in it (RFC 7541). `streams`,
`windows` and `settings` are state.
"""
