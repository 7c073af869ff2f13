"""Control how the suite runs: parallel workers, turns on the machine, shared builds, counted races."""
