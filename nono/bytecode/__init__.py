"""One file with the bytecode of what a start imports: `finder` imports from it, `writer` leaves it."""
