"""`nono profile` and its actions, which `command` dispatches."""
