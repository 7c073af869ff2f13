"""Decide about a request. Pure: a parsed head goes in, a verdict with its reason comes out.

`dispatch` handles each form of request, CONNECT among them, and `intercepted` the requests inside a CONNECT;
both end in `judge`, which `live_judge` replaces when rules change. `verdict` defines the values and `routes`
the table of routes. `slots` finds where a request presents keys, `phantoms` checks them, `logins` those of
captured logins, `host_policy` and `browser_check` check origins, `overrides` and `refused_calls` the effect
of a request. `memo` caches verdicts on repeated heads. `rewrite` writes the head that goes upstream, with the
credential; `audit_events` builds the events to record.
"""
