"""Receive an audit log: a time-stamping authority and a collector; and a sender that is killed."""
