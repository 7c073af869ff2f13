"""What is tried, from a seed: `steps` first; `signatures` → `calls`, `sweeps` → `mixed`; `reducer`."""
