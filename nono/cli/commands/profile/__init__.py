"""`nono profile` and its actions; `command` dispatches them."""
