"""A proxy on a loop of its own thread, and stages around it, for tests that speak to it byte for byte.

thread runs it; interception, http2_stage and grpc_peers put a client and an upstream on either side,
localhost is the least that is needed to intercept, login_stage adds a provider of logins, and transports
sends one request over each of the five transports to a host.
"""
