"""Send to somebody: with a destination in the call, or by UDP."""
