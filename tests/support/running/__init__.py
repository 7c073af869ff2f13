"""How the suite runs: workers side by side, turns on the machine, builds shared, races counted."""
