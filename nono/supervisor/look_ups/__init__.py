"""Answer the command's look-ups of names: `name_server` by UDP, `tcp_name_server` where it has none."""
