"""From capabilities to kernel state: probe the host, draw the plan, apply it, execute the command."""
