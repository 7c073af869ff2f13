"""A proxy put together for a run: `assembly` is the top."""
