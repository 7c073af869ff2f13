"""Control how and where the suite runs: workers, turns on the machine, builds, races, mounts of a host."""
