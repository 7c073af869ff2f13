"""Both ends of the proxy, in the thread of the proxy: nothing moves unless a play pumps it.

`stage` outlives a play; `routes` are of one. `wire` moves octets, `clients` ask through it and `upstreams`
answer, coded as `codings` has it.
"""
