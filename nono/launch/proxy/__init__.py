"""The parts of a run's proxy; start reading at `assembly`."""
