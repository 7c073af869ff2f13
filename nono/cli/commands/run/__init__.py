"""`nono run` and `nono shell`: run one command in the sandbox, supervised."""
