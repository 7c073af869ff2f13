"""Ways to files that rules keep away: other names, mounts, devices, and programs that no path names."""
