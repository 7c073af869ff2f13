"""The composition root of a run: the one place that knows every part."""
