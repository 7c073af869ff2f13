"""Run a proxy on a loop in its own thread, with stages around it, for tests that send it exact bytes.

thread runs it. interception, http2_stage and grpc_peers put a client and an upstream on either side.
localhost is the minimum needed to intercept, login_stage adds a provider of logins, and transports sends a
request to a host over each of the five transports.
"""
