"""Who an audit log goes to: a time-stamping authority and a collector; and a sender that is killed."""
